"""What a child of the zygote does to be the process that was asked for.

    if not fork():
        become(request)     # runs Ray's default_worker.py as a new interpreter would; never returns

Everything that an interpreter has from its start and a fork has from its parent is set here:
environment, folder, words, files, signals, random numbers, threads.
"""

import gc
import json
import os
import runpy
import signal
import socket
import sys
from dataclasses import dataclass
from typing import NoReturn

MOST_FDS = 16
ANSWER_S = 5.0  # for a client that has connected to send what it wants
OOM_SCORE, MOST_EXPENDABLE = "RAY_worker_oom_score_adjustment", "1000"  # Ray's own default


@dataclass(frozen=True)
class Request:
    """words: of the command, its script first. added: variables that may name others. fds: its
    standard input, output and error, and others, whose numbers become its last words. leads:
    whether it has a process group of its own."""

    words: list[str]
    environment: dict[str, str]
    added: dict[str, str]
    folder: str
    leads: bool
    fds: tuple[int, ...]

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


def read(line: socket.socket) -> Request:
    """Raises OSError or ValueError."""
    line.settimeout(ANSWER_S)
    first, fds, _, _ = socket.recv_fds(line, 1, MOST_FDS)
    parts = [first]
    while part := line.recv(1 << 16):
        parts.append(part)
    return Request(**json.loads(b"".join(parts)), fds=tuple(fds))


def fork() -> int:
    """As os.fork; in the child signals and the garbage collector are as at a start, but that what
    it inherits is never walked, which would copy it."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        gc.freeze()
        gc.enable()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _draw_seeds()
    return pid


def _draw_seeds() -> None:
    """Python's own `random` does so by itself after a fork."""
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    if torch := sys.modules.get("torch"):
        torch.seed()


def run_module(name: str, word: str) -> NoReturn:
    module = sys.modules[name]
    sys.argv = [str(module.__file__), word]
    sys.exit(module.main(word))


def become(request: Request) -> NoReturn:
    """As Ray's setup_worker.py and exec would."""
    from ray._private.utils import update_envs

    standard, others = request.fds[:3], request.fds[3:]
    for number, fd in enumerate(standard):
        os.dup2(fd, number)
        os.close(fd)
    if request.leads:
        os.setpgid(0, 0)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    update_envs(request.added)
    _be_expendable()
    _set_threads()
    sys.argv = [*request.words, *map(str, others)]
    sys.path[0] = os.path.dirname(request.words[0])
    runpy.run_path(request.words[0], run_name="__main__")
    sys.exit()


def _be_expendable() -> None:
    """When memory runs out the kernel shall take a worker first; Ray says so of what it starts."""
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write(os.environ.get(OOM_SCORE, MOST_EXPENDABLE))


def _set_threads() -> None:
    torch, asked = sys.modules.get("torch"), os.environ.get("OMP_NUM_THREADS", "")
    if torch and asked.isdigit():
        torch.set_num_threads(int(asked))
