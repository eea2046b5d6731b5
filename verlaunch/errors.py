"""A user's mistake, told once.

Every stage raises `UserError` for what the user can mend; the launcher prints the text and exits
with 2. Anything else is a fault of ours (or of the engine) and keeps its traceback in the log.

    raise UserError("data/train.json not found. Make one: ./train.sh data --help")
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class UserError(Exception):
    """One or more things the user can mend. `problems`: one complete sentence or more each."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))

    def __reduce__(self) -> tuple:
        return type(self), self.problems


def raise_all(problems: Sequence[str]) -> None:
    """Raises one `UserError` that holds every problem, or nothing when there are none."""
    if problems:
        raise UserError(*problems)


@dataclass(frozen=True)
class Finding:
    """What a check has seen: a complete sentence or more, with the way out."""

    text: str
    stops: bool = True  # False: the run may start, and the plan shows it as a warning


def stopping(findings: Iterable[Finding]) -> list[str]:
    return [finding.text for finding in findings if finding.stops]


def warnings(findings: Iterable[Finding]) -> list[str]:
    return [finding.text for finding in findings if not finding.stops]
