"""A row's messages as plain turns of a conversation that a reward model can be given.

    conversation([{"role": "user", "content": "Hi"}], "Hello!", drop_system=True)
    # [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]

Left out on purpose: images and tool calls; of content in parts, the text is read.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from rewards.part import Failure

Turn = dict[str, str]
LABELS = {"user": "Human", "assistant": "Assistant"}


def _text(content: Any) -> str:
    if isinstance(content, list):  # parts, as multimodal prompts have them
        return "\n".join(part.get("text", "") for part in content if isinstance(part, Mapping))
    return content or ""


def conversation(
    messages: Iterable[Mapping[str, Any]], response: str, drop_system: bool = False
) -> list[Turn]:
    """The prompt's turns and the response. A prompt that ends within an answer is continued."""
    turns = [{"role": turn["role"], "content": _text(turn.get("content"))} for turn in messages]
    if not any(turn["role"] != "assistant" for turn in turns):
        raise Failure("reward_model", "the row has no prompt; a reward model reads it as well")
    rest = [turn for turn in turns if turn["role"] != "system"]
    if drop_system and rest:
        turns = rest
    if turns[-1]["role"] == "assistant":
        return [*turns[:-1], {"role": "assistant", "content": turns[-1]["content"] + response}]
    return [*turns, {"role": "assistant", "content": response}]


def without_system(turns: list[Turn]) -> list[Turn]:
    """The system's words at the head of the user's, for templates that know two roles."""
    if all(turn["role"] != "system" for turn in turns):
        return turns
    said = [turn["content"] for turn in turns if turn["role"] == "system"]
    rest = [turn for turn in turns if turn["role"] != "system"]
    if rest[0]["role"] == "assistant":
        return [{"role": "user", "content": "\n\n".join(said)}, *rest]
    return [{**rest[0], "content": "\n\n".join([*said, rest[0]["content"]])}, *rest[1:]]


def question_and_answer(turns: list[Turn]) -> tuple[str, str]:
    """Plain text. A prompt of several turns is labelled as in the data of such models."""
    *prompt, answer = turns
    if sum(turn["role"] != "system" for turn in prompt) <= 1:
        return "\n\n".join(turn["content"] for turn in prompt), answer["content"]
    labels = [(LABELS.get(turn["role"]), turn["content"]) for turn in prompt]
    lines = [f"{label}: {content}" if label else content for label, content in labels]
    return "\n\n".join(lines), answer["content"]
