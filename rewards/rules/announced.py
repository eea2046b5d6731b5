r"""Where a response announces a choice: boxes, "the answer is", "I choose", "that leaves".

    [mark[0] for mark in marks("I pick (B). The answer is B.")]   # ["pick", "answer is"]

"each option:" and "the wrong answer is" announce nothing (NO_NOUN), nor does "if you choose"
(NO_VERB). Left out: what is announced (`choice`).
"""

import re
from collections.abc import Iterator
from itertools import islice

MOST_MARKERS = 16
# of small letters, tried only where one of these begins: most of a response is searched at the
# speed of str.rfind
_BEGINS = (
    *("\\boxed", "\\fbox", "answer", "ans:", "ans.", "ans =", "choice", "option", "solution"),
    *("choos", "chose", "pick", "select", "go with", "go for", "going with", "going for"),
    *("went with", "went for", "goes with", "goes for", "opt for", "opted for", "opting for"),
    *("settl", "vote for", "leaves", "leaving", "left with", "conclu", "答案", "选"),
    *("wait", "actually", "sorry", "correction"),
)
_MARKER = re.compile(
    r"(?P<box>\\(?:boxed|fbox)\s{0,3}\{)"
    r"|\b(?P<noun>ans(?:wer)?\b(?:[^.:!?\n=]{0,60}?\s(?:is|be|was|becomes|remains)(?:n['’]t)?\b"
    r"|[\s*_.]{0,4}[:=：]|(?=\s\(?[a-z0-9]\b))|(?:choice|option|solution|pick|selection)\b"
    r"(?:\s(?:here|then|therefore|thus|would|should|must|can|has|to|only)){0,3}"
    r"(?:\s(?:is|be|was)(?:n['’]t)?\b|[\s*_]{0,4}[:=：]))"
    r"|\b(?P<verb>(?:choos|select|pick)(?:e|es|ed|ing|s)?|chose|(?:go|going|went|goes)\s(?:with|for)"
    r"|opt(?:ed|ing|s)?\sfor|settl(?:e|ed|es|ing)\s(?:on|for)|vote\sfor|leav(?:es|ing)|left\swith"
    r"|conclude(?:\sthat)?|conclusion\sis)\b|\b(?P<mended>wait|actually|sorry|correction)\b"
    r"|答案\s{0,3}(?:应该|应)?(?:是|为|选|[:：])|选项\s{0,3}(?:是|为|[:：])"
    r"|(?P<pick>选(?:择|项)?)\s{0,3}[:：]?(?=\s{0,3}[（(]?[a-z0-9])"
)
# "each option:", "the wrong answer is", "if you choose"
NO_NOUN = re.compile(
    r"\b(?:each|every|any|all|another|other|first|second|third|fourth|fifth|next|wrong|incorrect|worst"
    r"|false|which|per|no|bad|whether|one|tempting|what|if|common|a|an|this|that|possible)"
    r"(?:\s+\w+)?[\s*_]*$|[Ii]s\sthe\s(?:\w+\s)?$",
    re.IGNORECASE,
)
NO_VERB = re.compile(
    r"\b(?:if|when|who|whoever|might|may|could|some|many|most|people|they|students?|you|cannot|not"
    r"|never|nor|\w+n['’]t)\b[^.,;!?\n]{0,20}$|不$",
    re.IGNORECASE,
)
FILLER = re.compile(
    r"[\s*_:(\"'“‘]*(?:(?:the|with|us|me|only|option|choice|answer|letter|just|for|as|my|final|to|be|is"
    r"|that|it|must|correct|best|one|has)[\s*_:,(\"'“‘]+){0,6}",
    re.IGNORECASE,
)


def _places(text: str, begins: str) -> Iterator[int]:
    at = len(text)
    for _ in range(2 * MOST_MARKERS):
        at = text.rfind(begins, 0, at)
        if at < 0:
            return
        yield at


def marks(text: str) -> list[re.Match]:
    """The last announcements, in their order."""
    small = text.lower()
    small = small if len(small) == len(text) else text  # "İ" becomes two
    there = [begins for begins in _BEGINS if begins in small]
    places = sorted({at for begins in there for at in _places(small, begins)}, reverse=True)
    found = (mark for at in places if (mark := _MARKER.match(small, at)))
    return [*islice(found, MOST_MARKERS)][::-1]
