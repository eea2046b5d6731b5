"""A model in a process of its own, which answers conversations through vLLM.

    speaker = Speaker("after", Model({"model": folder, ...}), "cpu", log)
    speaker.wait_ready()
    speaker.ask([[{"role": "user", "content": "3+4="}]], Sampling(0.0, 64, 1))
    speaker.answers()    ->  [Answer("7")]

vLLM holds one model per process, and two processes answer at once. Lines of JSON go in and come
out; whatever else the process writes goes to `log`. It ends when its input does, so that it never
outlives the chat. Left out on purpose: text while it is being written.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from verlaunch.engine.environment import for_run
from verlaunch.errors import UserError

Conversation = Sequence[dict[str, str]]
PATIENCE_S = 5  # for a process that was asked to end


@dataclass(frozen=True)
class Model:
    """What the process loads. engine: the arguments of vLLM's LLM."""

    engine: dict[str, Any]
    template: str | None = None  # None: the tokenizer's own
    template_options: dict[str, Any] = field(default_factory=dict)
    stop_token_ids: list[int] = field(default_factory=list)  # beside the model's own ends


@dataclass(frozen=True)
class Sampling:
    temperature: float
    max_tokens: int
    seed: int


@dataclass(frozen=True)
class Answer:
    text: str
    is_cut: bool = False  # at max_tokens
    forgot: int = 0  # earlier messages that did not fit
    problem: str = ""  # why there is no text


class Speaker:
    """Raises UserError when its process ends before its time."""

    def __init__(self, title: str, model: Model, hardware: str, log: Path) -> None:
        self.title, self.log = title, log
        with log.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "verlaunch.tools.chat.speaking", json.dumps(asdict(model))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
                env={**os.environ, **for_run(hardware, dict(os.environ))},
                start_new_session=True,  # Ctrl-C is ours to answer
            )

    def _line(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise UserError(f"{self.title}: vLLM ended. {self._last_words()}")
        return json.loads(line)

    def _last_words(self) -> str:
        said = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        told = [line for line in said if "Error" in line]
        return f"{(told or said or ['It said nothing.'])[-1].strip()[:300]} All of it: {self.log}"

    def wait_ready(self) -> None:
        self._line()

    def ask(self, conversations: Sequence[Conversation], sampling: Sampling) -> None:
        request = {"conversations": list(map(list, conversations)), **asdict(sampling)}
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # answers() tells why
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()

    def answers(self) -> list[Answer]:
        """To the conversations asked about last, in their order."""
        return [Answer(**answer) for answer in self._line()]

    def close(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
