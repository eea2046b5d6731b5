r"""Multiple choice: is the chosen letter, A to J, the right one?

    compute_score("multiple_choice", "Both grow, so the answer is (B).", "B")
    # {"score": 1.0, "answered": 1.0}
    compute_score("multiple_choice", r"\boxed{Paris}", 1, {"choices": ["Rome", "Paris"]})
    # {"score": 1.0, "answered": 1.0}

What stands behind the last `\boxed{`, `<answer>` or "answer is" counts, else the last bold letter,
else the one line that begins with a letter (`B.`), else the last line where it is an option's text.
Several letters ("A or B") are no answer, and the article "A" is no letter. Every pass is linear.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

LETTERS = "ABCDEFGHIJ"
LONGEST = 400  # characters behind a marker, and of a last line
SHORT = 40  # characters of a last line that may say no more than a letter

_MARKER = re.compile(
    r"\\boxed\s{0,3}\{|<answer>|\b(?:answer|choice|option)\b[\s*_]{0,4}(?:is\b|[:=：])"
    r"|答案\s{0,3}(?:是|为|[:：])|(?:故|应)?选(?:择)?\s{0,3}[:：]?(?=\s{0,3}[（(]?[A-J])",
    re.IGNORECASE,
)
_END = re.compile(r"</answer>|\n|[。;；]|\.(?:\s|$)")
# "(B)", "**B**", "B.", "option B", "\text{B}"; a small letter only in brackets or with its own sign
_LETTER = re.compile(
    r"(?<![A-Za-z0-9_'’\\])(?:\((?P<bracket>[A-Ja-j])\)|(?P<signed>[a-j])(?=[).:])"
    r"|(?P<plain>[A-J])(?![A-Za-z0-9_'’\\-]|\s*=))"
)
# "A dog", "I think": an article and a pronoun; "A because" and "A is right" are answers
_IN_PROSE = re.compile(r"\s+(?!(?:because|since|as|is|which|and|or|for|with|in|not)\b)[a-z]")
_BOLD = re.compile(r"\*\*\s{0,3}\(?([A-J])[).:]{0,2}\s{0,3}(?:\*\*|(?=\s[^*\n]{0,200}\*\*))")
_LABEL = re.compile(r"^[ \t]{0,8}(?:\(([A-J])\)|([A-J])(?:[).:]|[ \t]{0,8}$))", re.MULTILINE)
_ALONE = re.compile(r"[\W_]{0,9}[A-J][\W_]{0,9}")
_SEVERAL = re.compile(r"\b[A-J]\)?\s{0,3}(?:,|/|&|\bor\b|\band\b)\s{0,3}\(?[A-J]\b")
_FENCE = re.compile(r"\\[()\[\]]|\$")  # of formulas
_SIGNS = re.compile(r"[\W_]+")


def _plain(text: Any) -> str:
    return _SIGNS.sub(" ", str(text)).strip().casefold()


def _options(extra_info: Mapping[str, Any] | None) -> dict[str, str]:
    """Letter -> text, from a list, or from {"text": [...], "label": [...]} as ARC has it."""
    given = (extra_info or {}).get("choices")
    if given is None:
        return {}
    if isinstance(given, Mapping):
        given = given["text"] if "text" in given else [given[key] for key in sorted(given)]
    return {letter: _plain(text) for letter, text in zip(LETTERS, given, strict=False)}


def _letter_of(text: str, options: Mapping[str, str]) -> str | None:
    """The letter of the one option with this text."""
    found = [letter for letter, option in options.items() if option and option == _plain(text)]
    return found[0] if len(found) == 1 else None


def _gold(truth: Any, options: Mapping[str, str]) -> str:
    """From a letter, an option's text, or an index from 0. Raises ValueError."""
    text = str(truth).strip()
    letter = text.strip("().: ").upper()
    if len(letter) == 1 and letter in LETTERS:
        return letter
    by_text = _letter_of(text, options)
    if by_text and not isinstance(truth, int):
        return by_text
    if text.isdecimal() and int(text) < len(LETTERS):
        return LETTERS[int(text)]
    raise ValueError(
        f"ground_truth {text[:40]!r} is no letter from A to J, no index from 0 to 9, "
        "and no text in extra_info['choices']"
    )


def _letters(text: str) -> list[str]:
    found = []
    for match in _LETTER.finditer(text):
        letter = (match["bracket"] or match["signed"] or match["plain"]).upper()
        is_word = match["plain"] in ("A", "I") and _IN_PROSE.match(text, match.end())
        if not is_word:
            found.append(letter)
    return found


def _one(letters: Sequence[str]) -> str | None:
    return letters[0] if len(set(letters)) == 1 else None


def _stated(text: str, options: Mapping[str, str]) -> str | None:
    """What a piece of text settles on: "B. Paris, not A" is B, "A or B" is none."""
    text = _FENCE.sub(" ", text)
    by_text = _letter_of(text.strip(" {}"), options)
    letters = _letters(text)
    return by_text or (letters[0] if letters and not _SEVERAL.search(text) else None)


def _marked(text: str, options: Mapping[str, str]) -> str | None:
    """Behind the last marker that states one."""
    end = len(text)
    for mark in reversed(list(_MARKER.finditer(text))[-16:]):
        body = text[mark.end() : min(end, mark.end() + LONGEST)].lstrip(" \t\r\n*_:")
        body = body.partition("}")[0] if mark[0].startswith("\\") else body
        body = body.removeprefix(r"\text{").removeprefix(r"\textbf{").removeprefix(r"\mathrm{")
        # the dot of "B. Paris" ends no sentence
        stop = _END.search(body, 2)
        found = _stated(body[: stop.start()] if stop else body, options)
        if found:
            return found
        end = mark.start()
    return None


def chosen(text: str, options: Mapping[str, str]) -> str | None:
    """The letter that a response settles on, None when it does not."""
    if marked := _marked(text, options):
        return marked
    if bold := _BOLD.findall(text):
        return bold[-1]
    last = text.strip().rpartition("\n")[2][-LONGEST:]
    labels = [a or b for a, b in _LABEL.findall(text)]
    if labels and not _ALONE.fullmatch(
        last
    ):  # a response that lists the options has not chosen the last one
        return _one(labels)
    return _letter_of(last, options) or (_stated(last, {}) if len(last) <= SHORT else None)


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | int,
    extra_info: dict[str, Any] | None = None,
) -> dict[str, float]:
    """score: 1.0 or 0.0; answered: 1.0 when one option was chosen at all.

    ground_truth: "B", an index from 0, or an option's text. extra_info["choices"]: the options.
    """
    options = _options(extra_info)
    gold, letter = _gold(ground_truth, options), chosen(solution_str, options)
    return {"score": float(letter == gold), "answered": float(letter is not None)}
