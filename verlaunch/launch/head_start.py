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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verlaunch.cluster.place import Place
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


def pays(hardware: str, settings: Mapping[str, Any]) -> bool:
    """CUDA does not survive a fork, and the workers of another's cluster are not ours to fork."""
    return hardware == "cpu" and not settings["ray_address"]


def new_log(folder: Path, what: str = "train") -> Path:
    log = folder / "logs" / time.strftime(f"{what}-%Y%m%d-%H%M%S.log")
    log.touch()
    return log


@contextlib.contextmanager
def start(
    folder: Path,
    place: Place | None = None,
    env: Mapping[str, str] | None = None,
    driver: str = zygote.DRIVER,
    what: str = "train",
) -> Iterator[Early]:
    """`folder`: of the run; it is locked, and has its logs/. `place`: among several machines.

    `env`: variables to add. `driver`: the module that runs first, `what` it is for the log's name.
    """
    log, go = new_log(folder, what), folder / "logs" / GO
    go.unlink(missing_ok=True)
    theirs = {**os.environ, **(env or {})}
    added = {**(env or {}), **environment.for_run("cpu", theirs, asdict(place) if place else None)}
    added |= zygote.environment({**theirs, **added})
    command = [sys.executable, "-m", zygote.__name__, str(go), driver]
    with contextlib.ExitStack() as running:
        guardian = running.enter_context(run_guarded.run(command, log, folder, added))
        try:
            yield Early(guardian, log, go, running)
        finally:
            if not go.exists():  # nothing was trained
                running.close()
                log.unlink(missing_ok=True)
            go.unlink(missing_ok=True)
