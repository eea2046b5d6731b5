"""The kinds of failure that are known, as data, and as the table of docs/failures.md.

failures()[0].name   ->  "A GPU is full"
markdown()           ->  "| What the screen says | ..."
"""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from verlaunch.launch.failures.ways_out import IN_WORDS

TABLE = Path(__file__).with_name("table.yaml")
RANKS = ("exact", "cause", "general", "follows")  # the lower wins
GROUP = re.compile(r"\{(\w+)\}")
COMMAND = re.compile(r"^(?P<command>.*?)(?P<effect> \(.*\))?$", re.DOTALL)
PROSE = ("a ", "another ", "prompts ", "the same command")


@dataclass(frozen=True)
class Failure:
    name: str
    match: tuple[re.Pattern[str], ...]
    says: str
    todo: tuple[str, ...]  # names of remedies, or texts
    why: str = ""
    rank: str = "cause"

    def search(self, line: str) -> re.Match[str] | None:
        return next((found for p in self.match if (found := p.search(line))), None)


@functools.cache
def failures() -> tuple[Failure, ...]:
    return tuple(_failure(**row) for row in yaml.safe_load(TABLE.read_text()))


def follows(line: str) -> bool:
    """Whether it says no more than that another process is gone; the end of a run explains it."""
    return any(one.rank == "follows" and one.search(line) for one in failures())


def _failure(match: list[str], todo: list[str], **rest: str) -> Failure:
    return Failure(match=tuple(map(re.compile, match)), todo=tuple(todo), **rest)


def markdown() -> str:
    """One row a failure: what the screen says, what it means, what to type."""
    head = ["| What happened | What the screen says, and what it means | What to type |",
            "| --- | --- | --- |"]  # fmt: skip
    return "\n".join([*head, *map(_row, failures())])


def _row(failure: Failure) -> str:
    said = GROUP.sub(r"*\1*", f"{failure.says} {failure.why}".strip())
    said = said.replace("*doing*", "*the work under way*")
    for optional in ("*of_total*", "*of_wanted*", "*of_size*"):
        said = said.replace(optional, "")
    cells = (failure.name, said.replace("*waited*", ""), "; ".join(map(_typed, failure.todo)))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _typed(todo: str) -> str:
    if todo in IN_WORDS:
        return IN_WORDS[todo]
    text = GROUP.sub(lambda m: m.group(1).upper(), todo).replace("{{", "{").replace("}}", "}")
    found = COMMAND.match(text)
    assert found is not None
    if text.startswith(PROSE):
        return text
    return f"`{found['command']}`{found['effect'] or ''}"
