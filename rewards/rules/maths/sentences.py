r"""What a sentence states: the number or formula that it leads up to, or the one it begins with.

    stated("after 4 days he has 24 coins")     # "24"
    stated("12 apples, 3 for each child")      # "12"
    stated("40 or 42")                         # "40 or 42"
    stated("not 42 but 43")                    # "43"
    stated("at least 42")                      # "at least 42"
    stated("the side is $4\sqrt{5}$")          # r"4\sqrt{5}"
    stated("it is the compound CH4")           # None

A number is never cut out of a formula or a word. Works on LONGEST characters, in linear passes.
Left out: understanding; a sentence that puts its result first and a second number last ("24 coins
are left of 40") is read by its prepositions alone.
"""

import re
from collections.abc import Sequence

from rewards.rules.maths.phrases import (
    BOUND,
    CLAUSE,
    CONDITION,
    DENYING,
    FILLER,
    GOES_ON,
    LATER,
    NEGATION,
    RESULT,
    STATING,
)
from rewards.rules.maths.runs import Group, Token, groups_of, prepared, tokens_of, word_at
from rewards.rules.maths.units import MONTHS, unit_of

DENIED = ""  # a number was named, and taken back
_ASIDE = re.compile(r"(\bnot|n't),[^,]{1,40},")  # "not, as some say, 42"
FAR = 40  # characters of a clause before a number that are looked at


def _before(text: str, token: Token) -> str:
    """The clause before a group."""
    head = text[max(0, token.start - 2 * FAR) : token.start]
    head = _ASIDE.sub(r"\1 ", head)
    edges = [match.end() for match in CLAUSE.finditer(head)]
    return head[edges[-1] :] if edges else head


def _is_denied(text: str, tokens: Sequence[Token], group: Group) -> bool:
    """ "not moving for 8 hours" denies no number."""
    clause = BOUND.sub(" ", _before(text, tokens[group.first]).casefold())  # "not more than"
    found = list(NEGATION.finditer(clause))
    between = re.findall(r"[^\W\d_]+", clause[found[-1].end() :]) if found else []
    return bool(found) and all(word in DENYING for word in between)


def _bound(text: str, token: Token) -> str:
    """The words that make the number a bound, directly before it."""
    clause = _before(text, token)
    if "between" in text[max(0, token.start - 12) : token.start].casefold():
        return "between"
    found = list(BOUND.finditer(clause.casefold()))
    rest = clause[found[-1].end() :].split() if found else ["no"]
    return found[-1][0] if all(word.casefold() in FILLER for word in rest) else ""


def _is_condition(text: str, tokens: Sequence[Token], group: Group) -> bool:
    """ "in 3 hours", "after 4 days": what is stated holds then."""
    at = group.first - 1
    while word_at(tokens, at) in FILLER - {"of"}:
        at -= 1
    start, end = tokens[group.first].start, tokens[group.last].end
    if "=" in text[start:end] or RESULT.search(text[:start].casefold().rstrip()):
        return False
    return word_at(tokens, at) in CONDITION or bool(LATER.match(text, end))


def _last_stated(text: str, tokens: Sequence[Token], groups: Sequence[Group]) -> Group:
    """The last one that is no condition; but "12 + 28 = 40 hours for 6 coats" states 40."""
    left = [group for group in groups if not _is_condition(text, tokens, group)] or groups
    for group in reversed(left[:-1]):
        between = text[tokens[group.last].end : tokens[left[-1].first].start]
        if STATING.search(between.casefold()):
            break
        if "=" in text[tokens[group.first].start : tokens[group.last].end]:
            return group
    return left[-1]


def _unit_behind(rest: str) -> int:
    """How many characters the unit takes that a text begins with."""
    pieces = rest[:FAR].split(" ")
    for count in range(min(4, len(pieces)), 0, -1):
        unit = " ".join(pieces[:count]).rstrip(" .,;:!?)")
        if unit_of(unit) and (unit.strip() != "in" or not rest.strip(" .")[2:]):
            return len(unit)
    return 0


def _source(text: str, tokens: Sequence[Token], group: Group) -> str:
    """With the unit behind it, what a list is of, and the month beside it."""
    start, end = tokens[group.first].start, tokens[group.last].end
    behind, before = word_at(tokens, group.last + 1), word_at(tokens, group.first - 1)
    if unit := _unit_behind(text[end:]):
        end += unit
    elif behind in MONTHS or (group.joined and behind):
        end = tokens[group.last + 1].end
    if before in MONTHS:
        start = tokens[group.first - 1].start
    cry = text[end - 1 : end] in ("!", "'")  # in dollar signs it is a factorial
    found = text[start : end - 1] if cry else text[start:end]
    return _balanced(found.replace("⟦", " ").replace("⟧", " ").strip())


def _balanced(text: str) -> str:
    """Without a bracket at an edge that has no other."""
    if text[:1] in "([" and text.count("(") + text.count("[") > text.count(")") + text.count("]"):
        text = text[1:]
    if text[-1:] in ")]" and text.count("(") + text.count("[") < text.count(")") + text.count("]"):
        text = text[:-1]
    return text.strip()


def _leads(tokens: Sequence[Token], groups: Sequence[Group]) -> bool:
    """The sentence begins with its number, and a remark follows: "12 apples, 3 for each"."""
    first = groups[0]
    words = [token.text.casefold() for token in tokens[: first.first] if token.kind == "word"]
    behind = word_at(tokens, first.last + 1)
    goes_on = behind in GOES_ON or (behind == "of" and "%" in tokens[first.last].text)
    begins = all(word in FILLER or word in MONTHS for word in words)
    if goes_on and len(groups) > 1:
        return False
    return begins and not _is_subject(tokens, first)


def _is_subject(tokens: Sequence[Token], group: Group) -> bool:
    """ "the 2 numbers are 4 and 5": what they are comes behind."""
    words = [word_at(tokens, group.last + at) for at in range(1, 5)]
    at = next((at for at, word in enumerate(words) if word in ("is", "are", "was", "were")), 0)
    behind = group.last + at + 2
    return at > 0 and all(words[:at]) and behind < len(tokens) and tokens[behind].kind == "run"


def stated(sentence: str, announced: bool = True) -> str | None:
    """The source of an answer; DENIED, or None where nothing is stated.

    announced: a marker stands before it, so that a number at its beginning is the answer.
    """
    text = prepared(sentence)
    tokens = tokens_of(text)
    groups = groups_of(tokens)
    if not groups:
        return None
    if announced and _leads(tokens, groups) and not _is_condition(text, tokens, groups[0]):
        chosen = groups[0]
    else:
        left = [group for group in groups if not _is_denied(text, tokens, group)]
        if not left:
            return DENIED
        chosen = _last_stated(text, tokens, left)
    bound = _bound(text, tokens[chosen.first])
    return f"{bound} {_source(text, tokens, chosen)}".strip()
