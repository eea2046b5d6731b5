"""Several machines on this one: network namespaces on a bridge, each with a name and two addresses.

    with Hosts(2) as hosts:
        node = hosts.popen(1, ["./train.sh", "--nnodes", "2"], tmp / "screen", {"NODE_RANK": "1"})
        hosts.run(0, ["ping", "-c", "1", "host1"]).stdout
        hosts.unplug(1)

Every machine has its own interfaces, ports and host name; disk, memory and processes are shared,
and none reaches the world. The bridge lies in a namespace of its own, so nothing of this machine's
own network changes. Without root, a user namespace is tried. Left out on purpose: slow and lossy
cables.
"""

import contextlib
import functools
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import psutil

PREFIX = "verlaunch"
TOOLS = {"ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux", "mount": "mount"}
COUNTER = itertools.count()
# A host name of its own, and an /etc/hosts that knows all of them. exec keeps the process's id.
DRESS = 'hostname "$1" && mount --bind "$2" /etc/hosts && cd "$3" && shift 3 && exec "$@"'
END_S = 10.0

Enter = tuple[str, ...]  # what is typed before a command that makes or enters namespaces


class Hosts:
    def __init__(self, number: int, enter: Enter | None = None) -> None:
        self.number = number
        self.enter = _enter()[0] if enter is None else enter
        self.name = f"{PREFIX}-{os.getpid()}-{next(COUNTER)}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))

    # Making and removing

    def __enter__(self) -> "Hosts":
        """Raises CalledProcessError where it is not allowed: see why_not."""
        try:
            _sweep(self.enter)
            self._make()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def _make(self) -> None:
        names = [f"{self.address(i)} host{i}" for i in range(self.number)]
        self._known.write_text("\n".join(["127.0.0.1 localhost", "::1 localhost", *names, ""]))
        self._ip("netns", "add", self._switch)
        self._ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        self._ip("-n", self._switch, "link", "set", "bridge", "up")
        for i in range(self.number):
            self._add(i)

    def _add(self, i: int) -> None:
        host, port = self._namespace(i), f"port{i}"
        self._ip("netns", "add", host)
        self._ip("link", "add", "eth0", "netns", host, "type", "veth",
                 "peer", "name", port, "netns", self._switch)  # fmt: skip
        self._ip("-n", self._switch, "link", "set", port, "master", "bridge", "up")
        self._ip("-n", host, "link", "set", "lo", "up")
        self._ip("-n", host, "link", "set", "eth0", "up")
        self._ip("-n", host, "addr", "add", f"{self.address(i)}/24", "dev", "eth0")
        if has_ipv6():
            self._ip("-n", host, "addr", "add", f"{self.address6(i)}/64", "dev", "eth0", "nodad")

    def remove(self) -> None:
        """With every process that still runs on them."""
        for i in range(self.number):
            _kill(self.pids(i))
        for name in [*map(self._namespace, range(self.number)), self._switch]:
            subprocess.run([*self.enter, "ip", "netns", "del", name], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    # Using

    def address(self, i: int) -> str:
        return f"10.77.0.{i + 1}"

    def address6(self, i: int) -> str:
        return f"fd77::{i + 1}"

    def run(
        self,
        i: int,
        command: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout_s: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """`env`: variables to add. stdout holds both outputs."""
        return subprocess.run(
            self._on(i, command, cwd),
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )

    def popen(
        self,
        i: int,
        command: Sequence[str | Path],
        screen: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Its process is the command's own, so signals reach it. Both outputs go to `screen`."""
        with screen.open("ab") as out:
            return subprocess.Popen(
                self._on(i, command, cwd),
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def pids(self, i: int) -> list[int]:
        """Of what runs on that machine."""
        command = [*self.enter, "ip", "netns", "pids", self._namespace(i)]
        found = subprocess.run(command, capture_output=True, text=True)
        return [int(word) for word in found.stdout.split()]

    def unplug(self, i: int) -> None:
        """Pulls the cable out of the switch: nothing is closed, nobody is told."""
        self._ip("-n", self._switch, "link", "set", f"port{i}", "down")

    def plug(self, i: int) -> None:
        self._ip("-n", self._switch, "link", "set", f"port{i}", "up")

    # Names

    @property
    def _known(self) -> Path:
        return self.folder / "hosts"

    @property
    def _switch(self) -> str:
        return f"{self.name}-switch"

    def _namespace(self, i: int) -> str:
        return f"{self.name}-{i}"

    def _on(self, i: int, command: Sequence[str | Path], cwd: Path | None) -> list[str]:
        host = (f"host{i}", str(self._known), str(cwd or Path.cwd()))
        into = [*self.enter, "ip", "netns", "exec", self._namespace(i), "unshare", "--uts"]
        return [*into, "sh", "-c", DRESS, "sh", *host, *map(str, command)]

    def _ip(self, *words: str) -> None:
        subprocess.run(
            [*self.enter, "ip", *words], check=True, capture_output=True, text=True, timeout=20
        )


def has_ipv6() -> bool:
    """A kernel booted without it has no such folder; one that has it turned off says 1."""
    off = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
    return off.exists() and off.read_text().strip() == "0"


def why_not() -> str:
    """Why no such machines can be made here; empty when they can."""
    return _enter()[1]


@functools.cache
def _enter() -> tuple[Enter, str]:
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        packages = ", ".join(dict.fromkeys(TOOLS[tool] for tool in missing))
        return (), f"{', '.join(missing)} not found: install {packages}"
    as_we_are = _fails(())
    if not as_we_are:
        return (), ""
    enter = _user_namespace()
    if enter is None or _fails(enter):
        return (), f"no network namespaces here, with user namespaces neither: {as_we_are}"
    return enter, ""


def _fails(enter: Enter) -> str:
    try:
        with Hosts(1, enter) as hosts:
            ran = hosts.run(0, ["true"])
            return ran.stdout.strip()
    except subprocess.CalledProcessError as error:
        return str(error.stderr).strip().splitlines()[0]


def _user_namespace() -> Enter | None:
    """One in which we are root, held open by a process that ends with us."""
    flags = ["--user", "--map-root-user", "--net", "--mount"]
    held = subprocess.Popen(
        ["unshare", *flags, "sh", "-c", "mount -t tmpfs none /run && echo open && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert held.stdout is not None
    if held.stdout.readline() != b"open\n":
        held.wait()
        return None
    _HOLDERS.append(held)
    return ("nsenter", "--preserve-credentials", "--user", "--net", "--mount", "--target",
            str(held.pid))  # fmt: skip


_HOLDERS: list[subprocess.Popen[bytes]] = []


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + END_S
    while any(_lives(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def _sweep(enter: Enter) -> None:
    """What a killed test run has left: its process is in the name."""
    listed = subprocess.run([*enter, "ip", "netns", "list"], capture_output=True, text=True)
    for line in listed.stdout.splitlines():
        name = line.split()[0] if line.split() else ""
        parts = name.split("-")
        if parts[0] == PREFIX and len(parts) == 4 and not psutil.pid_exists(int(parts[1])):
            subprocess.run([*enter, "ip", "netns", "del", name], capture_output=True)
