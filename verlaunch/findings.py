"""What a check has found: a sentence that stops a run before it starts, or one to know.

    Finding("--n_gpus 4, but this machine shows 2 GPUs. Use --n_gpus 2.")
    Finding("/dev/shm has 64 MB free; ...", stops=False)

Each says what came, why it matters, and the value or command that mends it.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    text: str
    stops: bool = True  # False: the run may start, and the plan shows it as a warning


def stopping(findings: Iterable[Finding]) -> list[str]:
    return [finding.text for finding in findings if finding.stops]


def warnings(findings: Iterable[Finding]) -> list[str]:
    return [finding.text for finding in findings if not finding.stops]
