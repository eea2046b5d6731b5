"""What a judge said after it had thought, without the fence or the tag around it.

    said('Let me see: 8?</think>{"reason": "Right.", "score": 9}')   # '{"reason": "Right.", ...'
    said("<think>9, or rather")                                      # Unfinished

Everything up to the last closing mark is thought, whatever it holds: a draft of a verdict is none.
A mark within the verdict itself, which may speak of one, cuts nothing. Left out on purpose: what
the verdict is (parse.py).
"""

import json
import re

_NAMES = r"(?:\w{1,16}:)?(?:think|thinking|thought|thoughts|reasoning|reflection|analysis)"
_OPENED = re.compile(
    rf"\s*(?:<(?:\|?{_NAMES}\|?|longcat_think)>|\[THINK\]|◁think▷|<\|START_THINKING\|>"
    r"|<\|begin_of_thought\|>|<\|channel\|?>\s*(?:analysis|thought)|<unused94>)",
    re.IGNORECASE,
)
_CLOSED = re.compile(
    rf"</(?:\|?{_NAMES}\|?|longcat_think)>|<\|?/{_NAMES}\|?>|\[/THINK\]|◁/think▷"
    r"|<\|END_THINKING\|>(?:\s*<\|START_RESPONSE\|>)?|<\|end_of_thought\|>|<channel\|>|<unused95>"
    # gpt-oss: the channel that is for the reader, also where a server left its tokens out
    r"|<\|channel\|>\s*final(?:\s*<\|constrain\|>\s*\w+)?\s*<\|message\|>|\bassistant\s?final(?=\s*[{`])",
    re.IGNORECASE,
)
_ENDS = re.compile(r"(?:<\|(?:return|end|END_RESPONSE)\|>|</(?:answer|response)>)\s*$")
_FENCED = re.compile(r"```[a-zA-Z]*\n(.*)```", re.DOTALL)
_BEGINS = re.compile(r"\s*<(?:answer|response)>")


class Unfinished(ValueError):
    """It thought, and never came to an end."""


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def said(text: str) -> str:
    """Raises Unfinished."""
    closed = [mark.end() for mark in _CLOSED.finditer(text)]
    if not closed:
        if _OPENED.match(text):
            raise Unfinished("it began to think and never closed that")
        return _bare(text)
    # the first rest that is one whole object: all marks behind stand in its own words
    starts = (start for start in (0, *closed) if _is_object(_bare(text[start:])))
    return _bare(text[next(starts, closed[-1]) :])


def only_object(text: str) -> str:
    """What was said, where that is one whole JSON object; else nothing."""
    try:
        found = said(text)
    except Unfinished:
        return ""
    return found if _is_object(found) else ""


def _bare(text: str) -> str:
    text = _BEGINS.sub("", _ENDS.sub("", text), count=1).strip()
    fenced = _FENCED.fullmatch(text)
    return fenced[1].strip() if fenced else text
