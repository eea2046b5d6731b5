"""Is an exported folder the model that was trained? Both are run on the same tokens.

    prove_policy(checkpoint / "actor", out / "actor", asked(run, 60), tokens=64).proof
    ->  Proof("logits", difference=0.0, largest=9.1, tokens=31, rounded=False)

Both compute in fp32; the one is freed before the other is built, so that memory for one fp32 copy
is enough.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from verlaunch.inputs.tokenizer import load
from verlaunch.record.tried_prompts import Asked
from verlaunch.weights.rebuilt import exported_model, trained_model
from verlaunch.weights.shards import CannotExport

# The largest difference that is let through: absolute for weights as they were trained, a share of
# the largest number for rounded ones.
EXACT, ROUNDED = 1e-3, 2e-2
MOST_TOKENS = 256  # of one text

Ids = Sequence[int]


@dataclass(frozen=True)
class Proof:
    what: str  # logits or values
    difference: float  # the largest
    largest: float  # of the trained model's numbers, without sign
    tokens: int
    rounded: bool

    @property
    def limit(self) -> float:
        return ROUNDED * self.largest if self.rounded else EXACT

    @property
    def holds(self) -> bool:
        return self.difference <= self.limit  # NaN is not

    def __str__(self) -> str:
        return (
            f"{self.what} differ from the training shards' by at most {self.difference:.1e} "
            f"({self.tokens} tokens; {self.limit:.1e} is allowed)"
        )


@torch.no_grad()
def _outputs(model: Any, texts: Sequence[Ids]) -> list[torch.Tensor]:
    model.eval()
    return [model(torch.tensor([list(ids)])).logits[0].float() for ids in texts]


def _compare(what: str, checkpoint: Path, ours: list[torch.Tensor], texts: Sequence[Ids],
             rounded: bool) -> Proof:  # fmt: skip
    theirs = _outputs(trained_model(checkpoint), texts)
    if [one.shape for one in ours] != [one.shape for one in theirs]:
        raise CannotExport(f"{checkpoint} is a model of another kind than the exported one.")
    difference = torch.stack([(a - b).abs().max() for a, b in zip(ours, theirs, strict=True)])
    largest = torch.stack([their.abs().max() for their in theirs])
    tokens = sum(map(len, texts))
    proof = Proof(what, difference.max().item(), largest.max().item(), tokens, rounded)
    if not proof.holds:
        raise CannotExport(f"The exported {proof}: it is not the model that was trained.")
    return proof


def _is_rounded(folder: Path) -> bool:
    """Whether the folder's own weights are kept in less than fp32."""
    from safetensors import safe_open

    file = min(folder.glob("*.safetensors"))
    with safe_open(file, "pt") as weights:
        return any(weights.get_slice(name).get_dtype() != "F32" for name in weights.keys())  # noqa: SIM118


def _rendered(tokenizer: Any, messages: Any) -> list[int]:
    if tokenizer.chat_template:
        told = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
        return list(told["input_ids"])
    return tokenizer("\n".join(message["content"] for message in messages)).input_ids


@torch.no_grad()
def _answer(model: Any, tokenizer: Any, prompt: Ids, tokens: int) -> list[int]:
    ids = torch.tensor([list(prompt)])
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id or 0,
    )
    return out[0, ids.shape[1] :].tolist()


@dataclass(frozen=True)
class Told:
    answer: str
    texts: list[list[int]]  # what the models were compared on
    proof: Proof


def prove_policy(
    checkpoint: Path, folder: Path, asked: Sequence[Asked], tokens: int, base_model: str = ""
) -> Told:
    """The answer to the first question, and the comparison on it and on the recorded ones.

    base_model: what the folder is an adapter on. Raises CannotExport when the models differ.
    """
    tokenizer = load(folder)
    model = exported_model(folder, base_model)
    first, *others = [_rendered(tokenizer, one.messages)[-MOST_TOKENS:] for one in asked]
    answer = _answer(model, tokenizer, first, tokens)
    texts = [first + answer]
    for prompt, one in zip(others, asked[1:], strict=True):
        response = tokenizer(one.response, add_special_tokens=False).input_ids
        texts.append((prompt + response)[:MOST_TOKENS])
    ours = _outputs(model, texts)
    del model
    gc.collect()
    said = tokenizer.decode(answer, skip_special_tokens=True)
    return Told(said, texts, _compare("logits", checkpoint, ours, texts, _is_rounded(folder)))


def prove_critic(checkpoint: Path, folder: Path, texts: Sequence[Ids]) -> Proof:
    """The same for values. Raises CannotExport when the models differ."""
    ours = _outputs(exported_model(folder), texts)
    gc.collect()
    return _compare("values", checkpoint, ours, texts, _is_rounded(folder))
