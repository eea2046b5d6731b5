"""What a person sees while a run goes: one live line in a terminal, one line a step elsewhere.

    screen = Screen(sys.stdout)
    screen.phase("ready", total_steps=60)
    screen.phase("rollout", step=3)
    screen.metrics(3, {"critic/score/mean": 0.61, ...})

    step 3/60 generating  eta 1m25s  reward 0.610  kl 0.0021  policy -0.013 ...

Numbers are verl's; what each word stands for is in `ON_SCREEN` and report/names.py.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TextIO

from verlaunch.paths import as_typed
from verlaunch.record.report.names import Line, by_name, only_validates, validation_score, value
from verlaunch.text import columns, duration, told

# What a line has room for: the word on the screen, and the metric of report/names.py.
ON_SCREEN = {
    "reward": "reward_mean",
    "kl": "kl_divergence",
    "policy": "policy_loss",
    "value": "value_loss",
    "clip": "clip_fraction",
    "entropy": "entropy",
    "tok/s": "throughput",
}
FORMS = {"policy": ".3f", "value": ".3f", "entropy": ".2f"}  # shorter than in a report
COLUMNS = tuple(
    (word, by_name[name], FORMS.get(word, by_name[name].form)) for word, name in ON_SCREEN.items()
)
PHASES = {
    "starting ray": "starting Ray",
    "validation": "validating",
    "rollout": "generating",
    "update": "updating",
    "checkpoint": "saving a checkpoint",
    "export": "exporting the model",
}
STEP_PHASES = ("rollout", "update")
ERASE = "\r\x1b[2K"
USUAL_WIDTH = 80  # where a terminal does not say


def numbers(metrics: Line) -> list[str]:
    """["reward 0.612", "kl 0.0021", ...]; what a run does not measure is left out."""
    parts = []
    for word, metric, form in COLUMNS:
        if (found := value(metric, metrics)) is not None:
            parts.append(f"{word} {found:{form}}")
    score = validation_score(metrics)
    return parts if score is None else [*parts, f"val {score:.3f}"]


def fit(parts: Iterable[str], width: int) -> str:
    """As many whole parts as the width takes, two blanks apart."""
    line = ""
    for part in parts:
        longer = f"{line}  {part}" if line else part
        if len(longer) > width:
            return line or longer[:width]
        line = longer
    return line


class Screen:
    """Knows whether it writes to a terminal. A terminal that goes away does not end a run."""

    def __init__(self, out: TextIO = sys.stdout, now: Callable[[], float] = time.monotonic) -> None:
        self.out = out
        self.now = now
        self.live = out.isatty()
        self.since = now()
        self.activity = ""
        self.step = self.done = self.total_steps = 0  # under way, finished, in all
        self.numbers: list[str] = []
        self.step_ends: deque[float] = deque(maxlen=10)
        self.scores: list[tuple[int, float]] = []  # of validation: step, score
        self._line = ""  # what stands on the live line now

    def say(self, text: str = "") -> None:
        """A line that stays."""
        self._write((ERASE if self._line else "") + as_typed(text) + "\n")
        self._line = ""

    def warn(self, text: str) -> None:
        self.say(told(f"  ! {as_typed(text)}", self.out))

    def phase(self, name: str, step: int | None = None, total_steps: int | None = None) -> None:
        self.total_steps = total_steps or self.total_steps
        self.step = step if step and name in STEP_PHASES else self.step
        self.activity = PHASES.get(name, name)
        if not self.live and name not in STEP_PHASES:
            self.say(f"[{duration(self.now() - self.since)}] {self.activity}")
        self.tick()

    def metrics(self, step: int, metrics: Line) -> None:
        """A finished step, or the validation before the first one."""
        self.numbers = numbers(metrics)
        if (score := validation_score(metrics)) is not None:
            self.scores.append((step, score))
        if only_validates(metrics):
            when = f"before step {step + 1}" if step else "before training"
            self.say("  ".join([when, *self.numbers]))
            return
        self.done = step
        self.step = max(self.step, step)
        self.step_ends.append(self.now())
        if not self.live or score is not None:
            self.say("  ".join([f"step {step}/{self.total_steps}", *self._eta(), *self.numbers]))

    def eta_s(self) -> float | None:
        """From the last ten steps; None before two have been seen."""
        if len(self.step_ends) < 2 or not self.total_steps:
            return None
        pace = (self.step_ends[-1] - self.step_ends[0]) / (len(self.step_ends) - 1)
        end = self.step_ends[-1] + pace * (self.total_steps - self.done)
        return max(0.0, end - self.now())

    def tick(self) -> None:
        """Draws the live line anew when it has changed."""
        line = fit(self._parts(), self._width()) if self.live and self.activity else ""
        if line != self._line:
            self._write(ERASE + line)
            self._line = line

    def _parts(self) -> list[str]:
        step = f"step {self.step}/{self.total_steps} " if self.step else ""
        clock = self._eta() or [duration(self.now() - self.since)]
        return [step + self.activity, *clock, *self.numbers]

    def _eta(self) -> list[str]:
        eta_s = self.eta_s()
        return [] if eta_s is None or self.done >= self.total_steps else [f"eta {duration(eta_s)}"]

    def progress(self) -> str:
        """`Validation score: 0.530 before training, 0.990 after step 60.`; empty without two."""
        if len(self.scores) < 2:
            return ""
        (first, before), (last, after) = self.scores[0], self.scores[-1]
        begin = f"after step {first}" if first else "before training"
        return f"Validation score: {before:.3f} {begin}, {after:.3f} after step {last}."

    def _width(self) -> int:
        return (columns(self.out) or USUAL_WIDTH) - 1

    def _write(self, text: str) -> None:
        try:
            self.out.write(text)
            self.out.flush()
        except OSError:  # the terminal was closed, or the reader of the pipe has gone
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.out.fileno())  # for what is still in the buffer, and the rest
            os.close(nowhere)
            self.live = False
