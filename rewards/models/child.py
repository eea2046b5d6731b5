"""A child process that is spoken to in lines of JSON, and that cannot outlive this one.

    child = Child("rewards.models.vllm_child", {"VLLM_TARGET_DEVICE": "cpu"})
    await child.start()
    child.send([1, [17, 4]])
    await child.read()        # [[1, 0.5, None]], or None when it has ended

It ends when its standard input does, which the system closes however we end. What it writes to
standard error goes to our log; the end of it is kept, to say why it died.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

ROOT = str(Path(__file__).parents[2])  # where `rewards` is imported from
KEPT = 12  # lines of its standard error
LONGEST_LINE = 64 * 2**20  # bytes
GRACE_S = 15.0  # to end by itself


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    paths = [ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    changed = {**os.environ, **changes, "PYTHONPATH": os.pathsep.join(paths)}
    return {name: value for name, value in changed.items() if value is not None}


class Child:
    """Runs `main()` of a module in a session of its own, so that Ctrl-C reaches us alone.

    environment: what differs from ours; None takes a variable away.
    """

    def __init__(self, module: str, environment: Mapping[str, str | None]) -> None:
        self._module, self._environment = module, environment
        self._process: asyncio.subprocess.Process | None = None
        self._last: deque[str] = deque(maxlen=KEPT)
        self._listener: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", f"from {self._module} import main; main()"),
            env=_environment(self._environment),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=LONGEST_LINE,
        )
        self._listener = asyncio.create_task(self._listen(self._process))

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            text = line.decode(errors="replace").rstrip()
            logger.info("%s: %s", self._module, text)
            self._last.append(text)

    def send(self, message: Any) -> None:
        """Lost when the child has ended; `read` tells."""
        assert self._process and self._process.stdin, "start comes first"
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def read(self) -> Any | None:
        """The child's next message; None when it has ended."""
        assert self._process and self._process.stdout, "start comes first"
        line = await self._process.stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def reason(self) -> str:
        """Why it has ended, from its exit code and its last words."""
        assert self._process and self._listener, "start comes first"
        await asyncio.wait([self._listener], timeout=1)
        code = await self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        said = next((line.strip() for line in reversed(self._last) if line.strip()), "no words")
        return f"{how}: {said}"

    async def close(self) -> None:
        """Lets it end, kills what remains of its session, and collects it."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._process.wait(), GRACE_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        if self._listener is not None:
            self._listener.cancel()
