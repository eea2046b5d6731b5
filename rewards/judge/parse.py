"""Reads the score out of a judge's answer, or says why there is none.

    read_score('{"reason": "Wrong sum.", "score": 2}', (1, 10))      # 2
    read_score('Graded: {"reason": "Fine.", "score": 9}', (1, 10))   # 9
    read_score("I would say 9 of 10", (1, 10))                       # Unparsable

Three readings in turn: the text is the object; the text holds it; the text is the object but for
a reason with stray quotes. Strict, because a misread number trains the policy: only whole numbers
within the scale (7.0, "7" and true are none, and nothing is clamped), never a number that merely
stands in the text or in a thought (thoughts.py), never an object that was copied out of the
response, and no choice between two that disagree. Who asked can ask again.

`lenient` is for servers that cannot hold a model to a form: 7.0 and "7" are 7, and the reason may
be missing.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from rewards.judge.prompts import REASON, SCORE
from rewards.judge.thoughts import Unfinished, said

LONGEST = 65_536  # characters; no answer of max_tokens comes near
MOST_BRACES = 256  # each may begin an object; a text with more is not an answer of ours
SHOWN = 120  # characters of the answer in a message

# The reason may hold anything here: our object's last key is the score, so it is read at the end.
_STRAY_QUOTES = re.compile(
    rf'\{{\s*"{REASON}"\s*:\s*".*"\s*,\s*"{SCORE}"\s*:\s*(-?[0-9]{{1,4}})\s*\}}', re.DOTALL
)
_ALONE = re.compile(r'"?(-?[0-9]{1,4})(?:\.0+)?"?')


class Unparsable(ValueError):
    """No score that can be trusted; the message says what came instead."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice: either value could be meant")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_once)


def _is_ours(found: Any, lenient: bool) -> bool:
    if not isinstance(found, dict) or SCORE not in found:
        return False
    return isinstance(found.get(REASON), str) or (lenient and found.get(REASON) is None)


def _objects(text: str) -> Iterator[tuple[str, Any]]:
    """The outermost objects that stand in the text, each with its source."""
    end = 0
    for brace in re.finditer(r"\{", text):
        if brace.start() < end:
            continue
        try:
            found, end = _DECODER.raw_decode(text, brace.start())
        except (ValueError, RecursionError):
            continue
        if text[end:].lstrip()[:1] not in ('"', ","):  # it would end within quoted words
            yield text[brace.start() : end], found


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _candidates(text: str, response: str, lenient: bool) -> list[Any]:
    """The scores that the judge may have meant."""
    if lenient and _ALONE.fullmatch(text):
        return [text]
    response = _squeezed(response)
    ours = [(source, found[SCORE]) for source, found in _objects(text) if _is_ours(found, lenient)]
    if not ours and (match := _STRAY_QUOTES.fullmatch(text)):
        ours = [(match[0], int(match[1]))]
    return [score for source, score in ours if _squeezed(source) not in response]


def _whole(score: Any) -> Any:
    """9 for 9.0, "9" and "9.0"; anything else as it is."""
    if isinstance(score, float) and score.is_integer():
        return int(score)
    if isinstance(score, str) and (match := _ALONE.fullmatch(score.strip())):
        return int(match[1])
    return score


def _checked(score: Any, scale: tuple[int, int], lenient: bool) -> int:
    low, high = scale
    score = _whole(score) if lenient else score
    if isinstance(score, bool) or not isinstance(score, int):
        raise Unparsable(f"its score is {str(score)[:SHOWN]!r}, not a whole number")
    if not low <= score <= high:
        raise Unparsable(f"its score is {score}, outside the scale from {low} to {high}")
    return score


def read_score(text: str, scale: tuple[int, int], response: str = "", lenient: bool = False) -> int:
    """response: as the judge saw it. Raises Unparsable."""
    try:
        text = said(text)
    except Unfinished as error:
        raise Unparsable(f"{error}: {text[:SHOWN]!r}") from None
    if len(text) > LONGEST or text.count("{") > MOST_BRACES:
        raise Unparsable(f"it is far too long: {len(text)} characters")
    found = _candidates(text, response, lenient)
    scores = [_checked(score, scale, lenient) for score in found]
    if not scores:
        raise Unparsable(f"it holds no {REASON} and {SCORE} as JSON: {text[:SHOWN]!r}")
    if len(set(scores)) > 1:
        raise Unparsable(f"it gives several scores: {', '.join(map(str, scores))}")
    return scores[0]
