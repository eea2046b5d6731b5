"""How servers of reward models are asked, and where in their answers the score is.

    CLASSIFY.body(turns, "left")   # {"messages": [...], "use_activation": False, ...}
    CLASSIFY.value({"data": [{"probs": [3.25]}]})     # 3.25

vLLM serves a head on the last token at /classify, a value for each token at /pooling. /get_reward
is what OpenRLHF's server has, and what is quickly written by hand.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rewards.models.turns import Turn, question_and_answer

# Control tokens of chat templates. A server reads them as such even in the middle of an answer,
# which could then write turns of its own; the tokenizer that knows all of them is not here.
_CONTROL = re.compile(r"<\|[^|<>\s]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>")
_SHOWN = 200  # characters of an answer


class Unreadable(Exception):
    """The answer has no score where it should be."""


@dataclass(frozen=True)
class Dialect:
    """body: from the turns and the side to truncate. value: raises Unreadable."""

    path: str
    body: Callable[[list[Turn], str], dict[str, Any]]
    value: Callable[[Any], float]


def plain(text: str) -> str:
    while (shorter := _CONTROL.sub("", text)) != text:  # <|eo<|eot_id|>t_id|>
        text = shorter
    return text


def _messages(turns: list[Turn], side: str) -> dict[str, Any]:
    """An over-long text is an error unless -1, the model's own length, is asked for.

    The switch was once called `activation`; by that name it is ignored, and scores are squeezed.
    """
    return {
        "messages": turns,
        "use_activation": False,
        "truncate_prompt_tokens": -1,
        "truncation_side": side,
    }


def _query(turns: list[Turn], side: str) -> dict[str, Any]:
    """Plain text, since the template is the server's; its own code may prefer the messages."""
    question, answer = question_and_answer(turns)
    return {
        "query": [f"{question}\n{answer}"],
        "prompts": [question],
        "responses": [answer],
        "messages": [turns],
    }


def _last(found: Any) -> float:
    """[[0.1], [0.2]] and [0.2] and 0.2 are all 0.2."""
    while isinstance(found, list):
        found = found[-1]
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise TypeError
    return float(found)


def _at(*places: tuple[Any, ...]) -> Callable[[Any], float]:
    """Reads the first of the places that the answer has."""

    def value(answer: Any) -> float:
        for place in places:
            found = answer
            try:
                for key in place:
                    found = found[key]
                return _last(found)
            except (KeyError, IndexError, TypeError):
                continue
        wanted = " or ".join(".".join(map(str, place)) for place in places)
        raise Unreadable(f"the answer has no number at {wanted}: {answer!r:.{_SHOWN}}")

    return value


def _one_label(answer: Any) -> float:
    value = _at(("data", 0, "probs"))(answer)
    count = len(answer["data"][0]["probs"])
    if count != 1:
        raise Unreadable(f"the model has {count} labels; a reward is one number")
    return value


def _one_wide(answer: Any) -> float:
    """One value for each token; a head of several labels gives lists of several."""
    value, found = _at(("data", 0, "data"))(answer), answer["data"][0]["data"]
    last = found[-1] if isinstance(found, list) else found
    if isinstance(last, list) and len(last) != 1:
        raise Unreadable(f"the head is {len(last)} wide; a reward is one number")
    return value


CLASSIFY = Dialect("/classify", _messages, _one_label)
POOLING = Dialect("/pooling", _messages, _one_wide)
GET_REWARD = Dialect("/get_reward", _query, _at(("rewards",), ("reward",), ("scores",)))
DIALECTS = (CLASSIFY, POOLING, GET_REWARD)
