r"""What a sandbox saw of a program in one case, and whether the case holds.

passed(case, Ran("exit", 0, stdout="3\n"))
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rewards.sandbox.cases import Case
from rewards.sandbox.equal_values import holds
from rewards.sandbox.output import same_output


@dataclass(frozen=True)
class Ran:
    """ended: exit, signal, timeout, or too much (output, memory, processes). code: -1 if killed.

    finished: the test's code came to its end. reports: what it said of its checks.
    """

    ended: str
    code: int = -1
    stdout: str = ""
    finished: bool = False
    reports: tuple[dict[str, Any], ...] = ()

    @property
    def compiled(self) -> bool:
        """The first report, which is made before the program runs, says so."""
        return bool(self.reports) and self.reports[0].get("compiled") is True


def read_reports(lines: Iterable[str]) -> tuple[dict[str, Any], ...]:
    """Every line that is a JSON object; a program may write what it likes between them."""
    found = []
    for line in lines:
        try:
            report = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(report, dict):
            found.append(report)
    return tuple(found)


def has_finished(reports: Iterable[dict[str, Any]], mark: str) -> bool:
    """Whether the end was reported with the mark, which no program can know beforehand."""
    return any(report.get("done") == mark for report in reports)


def _fulfilled(case: Case, reports: tuple[dict[str, Any], ...]) -> bool:
    """Every check that must be seen was, at least one in any case, and none failed."""
    seen = set()
    for report in reports:
        number = report.get("check")
        if isinstance(number, int) and 0 <= number < len(case.checks):
            if not holds(case.checks[number], report):
                return False
            seen.add(number)
    required = {number for number, check in enumerate(case.checks) if check.required}
    return required <= seen and bool(seen or not case.checks)


def passed(case: Case, ran: Ran) -> bool:
    """Only a program that ends by itself, with exit code 0, passes anything."""
    if ran.ended != "exit" or ran.code != 0:
        return False
    if case.source is None:
        return same_output(ran.stdout, case.expected)
    return ran.finished and _fulfilled(case, ran.reports)
