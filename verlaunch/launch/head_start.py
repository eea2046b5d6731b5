"""What starts of a run while the launcher still checks: the guardian, and below it the imports.

    with early.start(folder) as begun:
        ...                                     # what could still refuse the run
        with begun.train(facts) as guardian:    # the driver reads launch.json
            while guardian.poll() is None: ...

The imports of a run on the CPU take as long as everything else before its first step; see
engine/zygote.py. Leaving either `with` ends all that was started.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verlaunch.engine import environment
from verlaunch.engine.fork import zygote
from verlaunch.machine import run_guarded

GO = "go"  # in logs/: the zygote waits for it


@dataclass
class Early:
    guardian: subprocess.Popen
    log: Path
    go: Path
    running: contextlib.ExitStack

    @contextlib.contextmanager
    def train(self, facts: Path) -> Iterator[subprocess.Popen]:
        with self.running:
            part = self.go.with_suffix(".part")
            part.write_text(str(facts.resolve()))
            part.rename(self.go)  # it is read as soon as it is there
            yield self.guardian


def pays(hardware: str, settings: Mapping[str, Any], alone: bool) -> bool:
    """CUDA does not survive a fork, and the workers of other machines are not ours to fork."""
    return hardware == "cpu" and alone and not settings["ray_address"]


def new_log(folder: Path) -> Path:
    log = folder / "logs" / time.strftime("train-%Y%m%d-%H%M%S.log")
    log.touch()
    return log


@contextlib.contextmanager
def start(folder: Path) -> Iterator[Early]:
    """`folder`: of the run; it is locked, and has its logs/."""
    log, go = new_log(folder), folder / "logs" / GO
    go.unlink(missing_ok=True)
    added = environment.for_run("cpu", os.environ)
    added |= zygote.environment({**os.environ, **added})
    command = [sys.executable, "-m", zygote.__name__, str(go)]
    with contextlib.ExitStack() as running:
        guardian = running.enter_context(run_guarded.run(command, log, folder, added))
        try:
            yield Early(guardian, log, go, running)
        finally:
            if not go.exists():  # nothing was trained
                running.close()
                log.unlink(missing_ok=True)
            go.unlink(missing_ok=True)
