"""How a prompt looks to the model: the tokenizer's chat template, and lengths counted with it.

    meter = Meter.load("Qwen/Qwen2.5-0.5B")
    meter.lengths([[{"role": "user", "content": "2+3?"}]])  # [24], with the generation prompt

A base model has no template; verl's rollouts need one, so it gets the plain one below.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verlaunch.errors import UserError
from verlaunch.inputs.data import hub
from verlaunch.inputs.tokenizer import load

# User: ...\nAssistant: — what a base model has seen most. verl adds no special tokens of its own,
# so a tokenizer that has a beginning-of-text token gets it here.
DEFAULT_CHAT_TEMPLATE = (
    "{% if bos_token is defined and bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}\n\n"
    "{% else %}{{ message['role'] | capitalize }}: {{ message['content'] }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
DEFAULT_NOTE = (
    'The model has no chat template; prompts are put as "User: ...\\nAssistant:". '
    "Set another: actor_rollout_ref.model.custom_chat_template=JINJA."
)
TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges.txt", "added_tokens.json", "*.model",
                   "special_tokens_map.json", "chat_template*", "config.json")  # fmt: skip
MOST_WORDS = 160  # characters of what a template says
Messages = Sequence[dict[str, str]]


def chat_template_for(tokenizer: Any) -> tuple[str | None, str | None]:
    """(template to set, note for the screen); both None when the tokenizer brings its own."""
    if getattr(tokenizer, "chat_template", None):
        return None, None
    return DEFAULT_CHAT_TEMPLATE, DEFAULT_NOTE


def plain(messages: Messages) -> str:
    """The default template without a tokenizer, for looking only."""
    lines = [f"{m['role'].capitalize()}: {m['content']}\n" for m in messages]
    return "".join(lines) + "Assistant:"


@dataclass
class Meter:
    """Renders and measures prompts as the rollouts will see them."""

    tokenizer: Any
    note: str | None = None

    @classmethod
    def load(cls, model: str, chat_template: str | None = None) -> "Meter":
        tokenizer = _tokenizer(model)
        template, note = (chat_template, None) if chat_template else chat_template_for(tokenizer)
        if chat_template == DEFAULT_CHAT_TEMPLATE:
            note = DEFAULT_NOTE  # the launcher chose it, for the same reason as we would
        if template is not None:
            tokenizer.chat_template = template
        return cls(tokenizer, note)

    def render(self, prompts: Sequence[Messages]) -> list[str | None]:
        """The text of each prompt; None where the template refuses it (roles it does not know)."""
        try:
            return list(self._apply(list(map(list, prompts))))
        except Exception:  # a template is the model author's program and may raise anything
            return [self._one(list(prompt)) for prompt in prompts]

    def _one(self, prompt: list[dict[str, str]]) -> str | None:
        try:
            return str(self._apply(prompt))
        except Exception:  # as above; the caller counts the row
            return None

    def refusal(self, prompt: Messages) -> str | None:
        """The template's own words, where it refuses this prompt."""
        try:
            self._apply(list(prompt))
        except Exception as error:  # as above
            words = " ".join(str(error).split()) or type(error).__name__
            return f"refused by the chat template: {words[:MOST_WORDS]}"
        return None

    def shown(self, prompt: Messages) -> str:
        """What the model reads, as its tokens decode: a token that is not there cannot be seen."""
        text = self.render([prompt])[0]
        ids = self._ids([text])[0] if text is not None else []
        return str(self.tokenizer.decode(ids, clean_up_tokenization_spaces=False))

    def _apply(self, conversation: Any) -> Any:
        return self.tokenizer.apply_chat_template(
            conversation, add_generation_prompt=True, tokenize=False
        )

    def lengths(self, prompts: Sequence[Messages]) -> list[int | None]:
        """Tokens of each prompt, generation prompt included; None where the template refuses."""
        texts = self.render(prompts)
        known = [text for text in texts if text is not None]
        counts = iter(self._counts(known) if known else [])
        return [None if text is None else next(counts) for text in texts]

    def _counts(self, texts: list[str]) -> list[int]:
        """The library makes a list of each text's ids, which takes thrice as long as finding them;
        where it only hands the texts on, its backend is asked for their number."""
        if not _hands_on(type(self.tokenizer)):
            return [len(ids) for ids in self._ids(texts)]
        self._ids(texts[:1])  # sets the backend up: no truncation, no padding
        backend = self.tokenizer.backend_tokenizer
        return [len(found) for found in backend.encode_batch_fast(texts, add_special_tokens=False)]

    def _ids(self, texts: list[str]) -> list[list[int]]:
        encoded = self.tokenizer(
            texts, add_special_tokens=False, return_attention_mask=False, verbose=False
        )
        return encoded["input_ids"]


def _hands_on(kind: type) -> bool:
    """Whether a class of tokenizers leaves the work to its backend, as all but a few do."""
    from transformers import PreTrainedTokenizerFast as Fast

    same = ("__call__", "_encode_plus", "_batch_encode_plus")
    return issubclass(kind, Fast) and all(
        getattr(kind, name, None) is getattr(Fast, name, None) for name in same
    )


def tokenizer_digest(model: str) -> str:
    """A hash of the tokenizer's files when they are on this machine, else of the model's commit."""
    folder = _folder(model)
    digest = hashlib.sha256()
    if folder is None:
        return hub.ask(model, "model", "--model FOLDER")
    for file in sorted({f for pattern in TOKENIZER_FILES for f in folder.glob(pattern)}):
        if file.is_file() and not file.name.endswith((".safetensors", ".bin")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _folder(model: str) -> Path | None:
    """A local folder, or the snapshot that an earlier download left; None when neither is there."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    from huggingface_hub import errors, try_to_load_from_cache

    try:
        found = try_to_load_from_cache(model, "tokenizer_config.json")
    except errors.HFValidationError:
        raise UserError(f"--model {model}: no such folder, and not a hub id (org/name).") from None
    return Path(found).parent if isinstance(found, str) else None


def _tokenizer(model: str) -> Any:
    folder = _folder(model)
    if folder is None:
        hub.ask(model, "model", "--model FOLDER")
    from transformers import AutoTokenizer

    try:
        return load(folder) if folder else AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"--model {model}: its tokenizer does not load: {reason}") from None
