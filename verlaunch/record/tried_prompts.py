"""What an exported model is tried on: prompts of the run's own samples, with their responses.

    asked(Path("outputs"), step=60)   ->  [Asked([{"role": "user", "content": "3+4="}], "7"), ...]

A run without samples is asked what anybody would ask.
"""

from dataclasses import dataclass
from pathlib import Path

from verlaunch.record.channel import SAMPLES
from verlaunch.record.report.history import Line, lines

MOST = 4
Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Asked:
    messages: Messages
    response: str


HELLO = Asked([{"role": "user", "content": "Hello! What can you do?"}], "")


def messages_of(prompt: object) -> Messages | None:
    """A prompt as data files have it: text, or a list of chat messages. None when it is neither."""
    if isinstance(prompt, str) and prompt.strip():
        return [{"role": "user", "content": prompt}]
    if isinstance(prompt, list) and prompt and all(
        isinstance(m, dict) and {"role", "content"} <= m.keys() for m in prompt
    ):  # fmt: skip
        return [{"role": str(m["role"]), "content": str(m["content"])} for m in prompt]
    return None


def _asked(line: Line) -> Asked | None:
    messages = messages_of(line.get("prompt"))
    return Asked(messages, str(line.get("response", ""))) if messages else None


def asked(run: Path | None, step: int) -> list[Asked]:
    """The first few different prompts of the last step that has samples, `step` at most."""
    by_step: dict[int, dict[str, Asked]] = {}
    for line in lines(run / SAMPLES) if run else ():
        found = _asked(line)
        if found and isinstance(line.get("step"), int) and line["step"] <= step:
            by_step.setdefault(line["step"], {}).setdefault(str(found.messages), found)
    return list(by_step[max(by_step)].values())[:MOST] if by_step else [HELLO]
