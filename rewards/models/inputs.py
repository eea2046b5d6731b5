"""A conversation as the token ids that one reward model was trained on.

    Inputs(tokenizer, probe).encode([{"role": "user", "content": "Hi"}], "Hello!").input_ids

The model's own tokenizer, template and way to truncate. Special tokens that a prompt or response
spells out are removed: an answer that writes <|eot_id|> could forge a turn, and its own reward.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import TemplateError

from rewards.models.probe import Probe
from rewards.models.profiles import LLAMA2_TEMPLATE
from rewards.models.scorer import Encoded
from rewards.models.turns import Turn, conversation, question_and_answer, without_system
from rewards.part import Failure


def _special_tokens(tokenizer: Any) -> re.Pattern[str]:
    added = tokenizer.added_tokens_decoder.values()
    found = {str(token) for token in tokenizer.all_special_tokens}
    found |= {token.content for token in added if token.special}
    longest_first = sorted(filter(str.strip, found), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _common(a: list[int], b: list[int]) -> int:
    """How many ids both begin with."""
    pairs = enumerate(zip(a, b))  # noqa: B905 - one is longer on purpose
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))


def _rfind(ids: list[int], pattern: list[int]) -> int | None:
    starts = range(len(ids) - len(pattern), -1, -1)
    return next((i for i in starts if ids[i : i + len(pattern)] == pattern), None)


class Inputs:
    """Not for several threads: tokenizers keep their truncation."""

    def __init__(self, tokenizer: Any, probe: Probe) -> None:
        self._tokenizer, self._probe, self._profile = tokenizer, probe, probe.profile
        self._template = LLAMA2_TEMPLATE if probe.input == "llama2" else None
        self._special = _special_tokens(tokenizer)
        gate = probe.profile.gate
        self._gate = tokenizer.encode(gate, add_special_tokens=False) if gate else None

    def encode(self, messages: Iterable[Mapping[str, Any]], response: str) -> Encoded:
        """Raises Failure for a conversation that the model cannot be given."""
        turns = conversation(messages, response, self._profile.drop_system)
        turns = [{**turn, "content": self._plain(turn["content"])} for turn in turns]
        return self._pair(turns) if self._probe.input == "pair" else self._chat(turns)

    def _plain(self, text: str) -> str:
        while (shorter := self._special.sub("", text)) != text:  # <|eo<|eot_id|>t_id|>
            text = shorter
        return text

    def _pair(self, turns: list[Turn]) -> Encoded:
        texts, limit = question_and_answer(turns), self._probe.max_length
        found = self._tokenizer(*texts, verbose=False)
        truncated = len(found["input_ids"]) > limit
        if truncated:
            found = self._tokenizer(*texts, truncation="longest_first", max_length=limit)
        return Encoded(found["input_ids"], found.get("token_type_ids"), truncated)

    def _chat(self, turns: list[Turn]) -> Encoded:
        if self._template:
            turns = without_system(turns)
        try:
            ids = self._render(turns)
        except TemplateError:
            turns = without_system(turns)
            ids = self._render_or_fail(turns)
        truncated = len(ids) > self._probe.max_length
        if truncated:
            ids = self._shorten(ids, turns)
        if self._gate is None:
            return Encoded(ids, truncated=truncated)
        gate = _rfind(ids, self._gate)
        if gate is None:
            raise Failure("reward_model", "the model reads its prompt at a turn that is not there")
        return Encoded(ids, truncated=truncated, gate=gate)

    def _render_or_fail(self, turns: list[Turn]) -> list[int]:
        try:
            return self._render(turns)
        except TemplateError as error:
            raise Failure("reward_model", f"the model's chat template refuses: {error}") from None

    def _render(self, turns: list[Turn], asks: bool = False) -> list[int]:
        """asks: the prompt alone, up to where the answer begins."""
        text = self._tokenizer.apply_chat_template(
            turns, tokenize=False, chat_template=self._template, add_generation_prompt=asks
        )
        ids = self._tokenizer.encode(text, add_special_tokens=self._probe.is_encoder, verbose=False)
        bos, ending = self._tokenizer.bos_token_id, self._probe.ending
        if bos is not None and ids[:2] == [bos, bos]:
            ids = ids[1:]
        return ids if ending is None or ids[-1:] == [ending] else [*ids, ending]

    def _shorten(self, ids: list[int], turns: list[Turn]) -> list[int]:
        """The first and the last token stay: models read at both."""
        limit = self._probe.max_length
        if self._profile.truncate != "response":
            return ids[:1] + ids[1 - limit :]
        prompt = _common(ids, self._render(turns[:-1], asks=True))
        room = min(limit // 4, len(ids) - prompt)  # for the answer, however long the prompt is
        kept = min(prompt, limit - room)
        head = ids[:prompt] if kept == prompt else ids[:1] + ids[prompt + 1 - kept : prompt]
        return head + ids[prompt : prompt + limit - kept - 1] + ids[-1:]
