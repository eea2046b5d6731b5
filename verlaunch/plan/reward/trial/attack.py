"""Cheap answers: what a policy could say without solving anything. None of them should be paid.

    for answer in attacks([Row("math_reasoning", "", "x^2 - 1 = 0")]):
        print(answer.kind, answer.row.response)    # '"= 0"' '= 0', 'a wrong number' '7', ...

A guess that happens to be right is no cheap answer: it is left out where the reference shows it,
and a kind of which one must be right (letters) counts where two of it are paid (on_attack.py).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from rewards.part import Row
from rewards.rules.options import read_options
from verlaunch.plan.reward.trial.answers import IDLE_PROGRAM, Answer, question_of, reference_of
from verlaunch.plan.reward.trial.final import final, is_prose, says, value

NUMBERS = range(101)
LETTERS = "ABCDEFGHIJ"
BLANKS = (r"\boxed{}", "#### ", "The answer is", "<answer></answer>", "{}", "[]", "None")
PROMPT, ZERO, PROGRAM = "the prompt", '"= 0"', "a program that does nothing"
WORD, NUMBER, LETTER = "the reference's last word", "a wrong number", "any letter"
ALL_NUMBERS, ALL_LETTERS = "all numbers from 0 to 100", "all letters at once"
MINUS, NEGATED = "the reference with a minus", "the reference denied"
THOUGHT, OTHER, EITHER = "the reference in a thought", "another row's reference", "two references"
BLANK, ASSENT = "an answer left blank", '"yes" and "no" alike'
# Of these, one answer may be right by chance: they count where so many of one kind are paid.
TOGETHER = {LETTER: 2, ALL_LETTERS: 2, ALL_NUMBERS: 2, EITHER: 2, ASSENT: 2}
# These hold a piece of the reference, for which a rule may give a part of the score.
PARTIAL = (WORD, MINUS, NEGATED, THOUGHT, OTHER, EITHER)
FAMILIES = (NUMBER, LETTER)  # many answers each
Cheap = tuple[str, str]  # kind and text


def _without_knowing(row: Row, is_code: bool) -> Iterator[Cheap]:
    if row.messages:
        yield PROMPT, str(row.messages[-1].get("content"))
    yield ZERO, "= 0"
    for text in BLANKS:
        yield BLANK, text
    for text in ("x = 1", "raise SystemExit") if is_code else (IDLE_PROGRAM,):
        yield PROGRAM, text


def _about(reference: str, other: str | None, is_code: bool) -> Iterator[Cheap]:
    """What a rule may take for the reference."""
    end = reference if is_prose(reference) else final(reference)
    for text in (f"<think>{end}</think>", f"{end}\n</think>", f"<think>\n{end}"):
        yield THOUGHT, text
    if other is not None:
        yield OTHER, other
    if is_code or is_prose(reference) or end.startswith(("{", "[")):
        return
    words = [word for word in end.split() if word.lower() not in ("the", "a", "an")]
    if len(words) > 1:
        yield WORD, words[-1]
    if value(end):
        yield MINUS, end[1:] if end.startswith("-") else f"-{end}"
    yield NEGATED, f"The answer is not {end}."
    if other is not None:
        yield from ((EITHER, text) for text in (f"{end} or {other}", f"{other} or {end}"))


def _lists() -> Iterator[Cheap]:
    for text in ("yes", "no"):
        yield ASSENT, text
    for kind, texts in ((ALL_NUMBERS, list(map(str, NUMBERS))), (ALL_LETTERS, list(LETTERS))):
        yield kind, ", ".join(texts)
        yield kind, ", ".join(reversed(texts))


def _families() -> Iterator[Cheap]:
    yield from ((NUMBER, str(number)) for number in NUMBERS)
    yield from ((LETTER, letter) for letter in LETTERS)


def _has_options(row: Row) -> bool:
    return read_options(row.extra_info or {}) is not None


def _cheap(row: Row, other: str | None, is_code: bool, families: bool) -> Iterator[Cheap]:
    """other: the reference of another row of the same data_source."""
    reference = reference_of(row)
    if families:
        if reference is not None and not is_code:
            yield from (one for one in _families() if one[0] == LETTER or not _has_options(row))
        return
    yield from _without_knowing(row, is_code)
    if reference is not None:
        yield from _about(reference, other, is_code)
        yield from () if is_code else _lists()


def attacks(
    rows: Sequence[Row], programs: Collection[str] = (), families: bool = True
) -> Iterator[Answer]:
    """For each question once. `families`: every number and letter too, after all others.

    programs: data_sources whose answers are programs; numbers and letters are none.
    """
    questions: dict[str, Row] = {}
    for row in rows:
        questions.setdefault(question_of(row), row)
    known = [(row, reference_of(row)) for row in questions.values()]
    for is_family in (False, True)[: 1 + families]:
        for number, (row, reference) in enumerate(known):
            others = (
                final(text)
                for one, text in known[number + 1 :] + known[:number]
                if one.data_source == row.data_source and text is not None
            )
            own = "" if reference is None else reference
            other = next((text for text in others if not says(text, own)), None)
            for kind, text in _cheap(row, other, row.data_source in programs, is_family):
                if reference is None or not says(text.removeprefix("= "), own):
                    yield Answer(kind, replace(row, response=text), number)
