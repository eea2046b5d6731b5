"""What Ray starts for each worker, in the place of its setup_worker.py: asks the zygote for one.

    python fork_client.py default_worker.py --node-ip-address=127.0.0.1 ... --language=PYTHON

The zygote (zygote.py) answers with a process that has every import behind it, and this one ends:
Ray knows a worker by an id among its words, and its process id from itself. Without a zygote, and
for what a fork cannot give, Ray's own script takes over. It takes a few hundredths of a second, so
it imports the standard library alone, and nothing from its folder, which has a platform.py.
"""

import sys

if __name__ == "__main__":
    del sys.path[0]

import contextlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

ADDRESS = "zygote"  # a socket below $VERLAUNCH_TEMP
CONTEXT = "--serialized-runtime-env-context="
LANGUAGE = "--language="
# The job is the first of a cluster, no other is served.
JOB = {"RAY_JOB_ID": "01000000"}
ANSWER_S = 300.0  # the imports included, on a loaded machine
# What is read when an interpreter or a library is loaded.
READ_EARLY = ("PYTHON", "LD_", "MALLOC_", "GLIBC_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_")


def request(words: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any] | None:
    """What to ask for; None where only a new interpreter will do."""
    given = [word.removeprefix(CONTEXT) for word in words if word.startswith(CONTEXT)]
    context = json.loads(given[-1] if given else "{}")
    added = context.get("env_vars") or {}
    special = ("command_prefix", "override_worker_entrypoint", "java_jars")
    if (
        f"{LANGUAGE}PYTHON" not in words
        or context.get("py_executable", sys.executable) != sys.executable
        or any(context.get(name) for name in special)
        or any(name.startswith(READ_EARLY) for name in added)
    ):
        return None
    return {
        "words": [word for word in words if not word.startswith((CONTEXT, LANGUAGE))],
        "environment": dict(environment),
        "added": added,
        "folder": os.getcwd(),
        "leads": os.getpgrp() == os.getpid(),
    }


def ask(address: str, wanted: Mapping[str, Any], fds: Sequence[int] = (0, 1, 2)) -> int:
    """The process id of the worker. Raises OSError or ValueError when there will be none.

    fds: its standard input, output and error; the numbers of more are words behind the others.
    """
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(ANSWER_S)
        line.connect(address)
        text = json.dumps(wanted).encode()
        socket.send_fds(line, [text[:1]], list(fds))
        line.sendall(text[1:])
        line.shutdown(socket.SHUT_WR)
        return int(line.recv(16))


def main(words: list[str]) -> None:
    wanted = request(words, os.environ)
    if wanted is not None and (temp := os.environ.get("VERLAUNCH_TEMP")):
        with contextlib.suppress(OSError, ValueError):
            ask(os.path.join(temp, ADDRESS), wanted)
            return
    rays = os.path.join(os.path.dirname(words[0]), "setup_worker.py")
    os.execv(sys.executable, [sys.executable, rays, *words])


if __name__ == "__main__":
    main(sys.argv[1:])
