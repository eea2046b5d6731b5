"""Letters of options in a sentence: which are meant, and which of them are turned down.

    reader = reader_of("ABCD")
    reader.settle("not A but B, since D is too small")   # "B"
    reader.settle("A or B")                              # SEVERAL
    reader.settle("neither A nor C")                     # REJECTED
    reader.settle("vitamin C helps")                     # None

A letter behind a word that names no option ("vitamin C", "plan B") is none, nor is the article "A".
Letters joined by "or", "and" or a comma are one group, which a negation before it ("not", "rule
out") or a verb behind it ("is wrong", "contradict") turns down. Every pass is linear.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

SEVERAL, REJECTED = "several", "rejected"
LOOKED_AT = 90  # characters behind a letter

_NAMES = r"options?|choices?|answers?|letters?|statements?|alternatives?|candidates?|items?|labels?"
_WORDS = r"""is are was were be been being am not nor neither either both and or for on with at to
as just only than say so thus hence therefore then choose chooses choosing chose pick picks picking
picked select selects selecting selected take taking go leaves leave leaving left mark circle
tick submit bet guess vote favor favour prefer support supports matches match fits suits
indicates suggests means gives makes it us me that but because since while out eliminate
eliminates eliminated eliminating exclude excludes excluded excluding reject rejects rejected
rejecting discard discarding dismiss dismissing instead of from between over against by yes no
correct right best wrong incorrect final perhaps maybe probably remains remain see think thinks
believe conclude now here like unlike if when where though although all except without besides
would consider considering try check checking keep drop the must settle called in into rather
other ok okay well wait finally i e which ruled isn't can't cannot don't won't cross off strike
text textbf mathrm mathbf boxed fbox
"""
_OPTION_WORD = re.compile(rf"\b(?:{_NAMES})[\s*_(\[\"'“‘:]{{0,6}}$", re.IGNORECASE)
_BEFORE = re.compile(r"([A-Za-z0-9'’]+)[\s*_`\"“‘'(\[{$\\]*$")
_MEANT = frozenset(_WORDS.split()) | set(_NAMES.replace("s?", "s").split("|"))
_MEANT |= frozenset(_NAMES.replace("s?", "").split("|"))
# "A dog", "I think": an article and a pronoun; "A because" and "A is right" are answers
_AFTER_A = r"""
because since as is was which that and or but for with in not due given by from while where
although though so if when based according on to rather instead only fits fit seems must has
would cannot could should will does remains works matches holds satisfies appears alone here
"""
_AFTER_I = "because since is which and or for not"
_WORD = re.compile(r"\s+([a-z]+)")
_JOIN = re.compile(
    r"[\s*_\"'”’)\]$.]{0,6}(?P<by>,|/|&|、|\+|\b(?:and|or|nor|as well as|vs|versus)\b|和|或者?|与"
    rf"|,\s?(?:and|or|nor)\b)?[\s*_\"'“‘(\[$]{{0,6}}(?:(?:and|or|nor|also|{_NAMES})\b[\s*_(]{{0,6}})?",
    re.IGNORECASE,
)
_FRESH = re.compile(  # a negation before these is another clause's
    r"[.;!?,:。；，\n]|\b(?:(?<!anything )(?<!everything )(?<!\ball )but|so|therefore|thus|hence"
    r"|then|it['’]s|it is|must be|leav(?:es|ing)|left)\b",
    re.IGNORECASE,
)
_NO_DOUBT = re.compile(
    r"\b(?:no|without|beyond)\s(?:a\s|any\s)?(?:reasonable\s)?(?:doubt|question)\b|\bnot only\b"
    r"|\b(?:none|no|nothing|(?:cannot|can['’]t|could not)\sbe\sanything)\s(?:else\s|one\s)?"
    r"(?:other than|but|except)\b",
    re.IGNORECASE,
)
_NOT_BEFORE = re.compile(
    r"\b(?:(?:any|every)thing but|all but(?=\W*$)|not|never|neither|nor|no|cannot|\w+n['’]t|without"
    r"|unlike|except|besides|wrong|incorrect|false|against|avoid|drop|over|than"
    r"|(?:rul|cross|strik)\w*\s(?:out|off)|(?:instead|ahead) of"
    r"|(?:eliminat|exclud|reject|discard|dismiss|disqualif|remov|disprov|refut)\w*)\b|不|非|排除|错",
    re.IGNORECASE,
)
_FAILS = (
    r"fail(?:s|ed)?|contradict(?:s|ed)?|violates?|conflicts?|lacks?|ignores?|misses|overlooks?"
    r"|exceeds?|breaks?|misses|goes against|go against"
)
_STOPS = re.compile(
    r"\b(?:because|since|but|so|as|while|whereas|although|though|if|when|for|and|therefore|thus"
    r"|hence|that|which)\b|[,.;!?\n。；，]",
    re.IGNORECASE,
)
_IS_WRONG = re.compile(
    r"[\s*_\"'”’)\].:]*(?:(?:all|both|each|clearly|also|then|option|\w+ly)\s+)*"
    r"(?:(?:cannot|\w+n['’]t)\b"
    r"|(?:is|are|was|were|be|seems?|looks?|appears?|can|could|would|will|must|should|does|do|did|has"
    r"|have|gets?|got)\b[^\n]{0,60}?(?:\b(?:not|never|wrong|incorrect|false|impossible|invalid|untrue"
    r"|unlikely|out|too|eliminated|excluded|rejected|discarded|dismissed|irrelevant|inconsistent"
    r"|unsupported|implausible|absurd|off|worse|worst|bad)\b|n['’]t\b)"
    r")|\s*(?:不|错)",
    re.IGNORECASE,
)
_WRONG_AT_ALL = re.compile(
    rf"{_IS_WRONG.pattern}|[\s*_\"'”’)]*(?:{_FAILS}|(?:wrong|incorrect|no|false|out)\W*$)",
    re.IGNORECASE,
)
_WHICH_IS_WRONG = re.compile(
    r"[\s*_)]*,?\s(?:which|that)\s(?:is|was|are|were)\s(?:\w+ly\s)?"
    r"(?:wrong|incorrect|false|not right)\b",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"\b(?:because|since|as|for|while|whereas|although|though|due to|given)\b|[.;:!?\n。；]",
    re.IGNORECASE,
)
_CORRECTED = re.compile(
    r"\b(?:no,?\s+wait|wait|actually|i mean|scratch that|correction|sorry|on second thought)\b"
    r"[,:.]?",
    re.IGNORECASE,
)


class Group(NamedTuple):
    """letters: joined by "or" or a comma. labelled: "(B)", "B.", as before an option's text."""

    letters: tuple[str, ...]
    start: int
    end: int
    labelled: bool


class Reader:
    """Reads one alphabet: the labels of a row's options, in capitals, one character each."""

    def __init__(self, alphabet: str) -> None:
        big, small = alphabet, "".join(sorted({*alphabet.lower()} - {*alphabet}))
        some, capital = re.escape(big + small), re.escape(big)
        self.label = re.compile(
            rf"^[ \t>*_#-]{{0,9}}(?:[\[(](?P<round>[{capital}])[\])]"
            rf"|(?P<plain>[{capital}])(?:[*_]{{0,2}}[).:：、]|[ \t*_]{{0,8}}$))(?P<rest>[^\n]*)",
            re.MULTILINE,
        )
        few = re.escape(small) or "(?!)"
        self.letter = re.compile(
            r"(?<![A-Za-z0-9_\\°.'’-])(?<![A-Za-z]\.)(?:"
            rf"\(\s?(?P<round>[{some}])\s?\)|\[(?P<square>[{some}])\]"
            rf"|(?P<quote>[\"'“‘`])(?P<quoted>[{some}])(?=[\"'”’`])"
            rf"|(?P<small>[{few}])(?=[).:](?![A-Za-z0-9]))"
            rf"|(?P<plain>[{capital}])(?![A-Za-z0-9_\\^#%°]|['’][A-Za-z]|[+-]\w|\+\+"
            r"|\s*=|\s*[<>]\s|[.,]\d|\.[A-Za-z]\b))"
        )
        self.alone = re.compile(
            r"(?:\\(?:text|textbf|mathrm|mathbf|boxed|fbox)\s?\{|[^\w\\¬~!<>=+-]|_)*"
            rf"(?:(?:{_NAMES})\b[\W_]*)?(?P<one>[{some}])[\W_]*",
            re.IGNORECASE,
        )
        self.first_small = re.compile(
            rf"[\s*_\"'“‘]*(?:(?:{_NAMES})\s)?(?P<one>[{few}])(?:(?=[\W_]*$)|(?=[.,;:)!\"'”’*])"
            r"|(?=\s+(?P<next>[a-z]+)))"
        )

    def with_big(self, text: str) -> str:
        """What is announced may begin with a small letter: "c because", but not "a bird"."""
        found = self.first_small.match(text)
        if not found or (
            found["one"] in "ai" and found["next"] and found["next"] not in _AFTER_I.split()
        ):
            return text
        return text[: found.start("one")] + found["one"].upper() + text[found.end("one") :]

    def is_alone(self, text: str) -> str | None:
        """The letter of a text that is no more than a letter, also a small one."""
        found = self.alone.fullmatch(text[:80]) if len(text) <= 80 else None
        return found["one"].upper() if found else None

    def _all(self, text: str) -> Iterator[re.Match]:
        for match in self.letter.finditer(text):
            before = text[max(0, match.start() - 24) : match.start()]
            word = _BEFORE.search(before)
            named = word[1].lower().removesuffix("'s").removesuffix("’s") if word else ""
            meant = not named or named in _MEANT or named.endswith("ly") or len(named) == 1
            meant = (meant and not self._is_word(match, text)) or bool(_OPTION_WORD.search(before))
            if meant or match["round"] or match["square"]:
                yield match

    def _is_word(self, match: re.Match, text: str) -> bool:
        """An article, a pronoun, or a count of things."""
        if match["plain"] is None:
            return False
        follows = _WORD.match(text, match.end())
        letter = "I" if match["plain"].isdigit() else match["plain"]
        rest = {"A": _AFTER_A, "I": _AFTER_I}.get(letter)
        return rest is not None and follows is not None and follows[1] not in rest.split()

    def groups(self, text: str) -> list[Group]:
        found: list[Group] = []
        for match in self._all(text):
            letter = next(
                match[n] for n in ("round", "square", "quoted", "small", "plain") if match[n]
            )
            end = match.end() + (1 if match["quote"] else 0)
            signed = bool(match["round"] or match["square"]) or text[end : end + 1] in (
                ")",
                ":",
                ".",
            )
            last = found[-1] if found else None
            join = _JOIN.fullmatch(text, last.end, match.start()) if last else None
            beside = last and not last.labelled and text[last.end : match.start()].isspace()
            if last and join and (join["by"] or beside):
                found[-1] = last._replace(letters=(*last.letters, letter), end=end)
            else:
                found.append(Group((letter,), match.start(), end, signed))
        return found

    def is_rejected(self, group: Group, text: str, since: int, until: int, announced: bool) -> bool:
        """since, until: where the group before it ends, and the next one begins."""
        before = text[since : group.start]
        fresh = list(_FRESH.finditer(before))
        before = before[fresh[-1].end() :] if fresh else before
        if _NOT_BEFORE.search(_NO_DOUBT.sub(" ", before)):
            return True
        if group.labelled and announced:
            return False  # behind it stands the option's text, and that may be "is not a metal"
        after = text[group.end : min(group.end + LOOKED_AT, until)]
        stop = _STOPS.search(after, 2 if group.labelled else 0)
        after = after[: stop.start()] if stop and not _WHICH_IS_WRONG.match(after) else after
        wrong = _IS_WRONG if group.labelled else _WRONG_AT_ALL
        return bool(wrong.match(after) or _WHICH_IS_WRONG.match(after))

    def settle(self, text: str, announced: bool = False) -> str | None:
        """A letter; SEVERAL; REJECTED where letters are only turned down; None without any.

        announced: the text stands behind "the answer is".
        """
        parts = [part for part in _CORRECTED.split(text) if part]
        said = [found for part in parts if (found := self._settle(part, announced))]
        chosen = [found for found in said if found != REJECTED]
        return chosen[-1] if chosen else REJECTED if said else None

    def _settle(self, text: str, announced: bool) -> str | None:
        groups = self.groups(text)
        since = [0, *(group.end for group in groups)]
        until = [*(group.start for group in groups[1:]), len(text)]
        meant = [
            group
            for group, begin, end in zip(groups, since, until, strict=False)
            if not self.is_rejected(group, text, begin, end, announced)
        ]
        if not meant:
            return REJECTED if groups else None
        first = meant[0]
        reason = _REASON.search(text, first.end)
        end = first.end if first.labelled else reason.start() if reason else len(text)
        letters = {x for group in meant if group.end <= max(end, first.end) for x in group.letters}
        return first.letters[0] if len(letters) == 1 else SEVERAL


@lru_cache(maxsize=256)
def reader_of(alphabet: str) -> Reader:
    return Reader(alphabet)
