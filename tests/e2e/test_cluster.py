"""Runs of several machines (tests/hosts.py): they learn, lose a machine or a cable, and go on."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Ran, wait_until_gone
from tests.hosts import Hosts
from tests.papers import commands
from verlaunch.record.channel import Tail

pytestmark = pytest.mark.e2e

ENDS_S = 90  # a hang would be longer by far


def typed(rank: int) -> tuple[dict[str, str], list[str]]:
    """Variables and words of the page's command for the first or the second machine."""
    command = next(c for c in commands("docs/cluster.md") if f"NNODES=2 NODE_RANK={rank} " in c)
    env, words = {}, shlex.split(command)
    while "=" in words[0]:
        name, _, env[name] = words.pop(0).partition("=")
    return env, words[1:]


class Nodes:
    """One run, typed on every machine, as the page has it; a CPU is one rank, not 8 GPUs."""

    def __init__(self, hosts: Hosts, leader: str, python: str, folder: Path, cache: Path) -> None:
        self.hosts, self.leader, self.python = hosts, leader, python
        self.folder, self.cache, self.number = folder, cache, hosts.number
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, rank: int, *words: str) -> None:
        env, shown = typed(min(rank, 1))
        env |= {"N_GPUS": "1", "MASTER_ADDR": self.leader}
        env |= {"NNODES": str(self.number), "NODE_RANK": str(rank)}
        env |= {"VERLAUNCH_CACHE": str(self.cache), "VERLAUNCH_E2E": str(self.folder)}
        shown = [str(self.folder) if word == "/shared/outputs" else word for word in shown]
        command = [self.python, "-m", "verlaunch", *shown, *words]
        self._file(rank).unlink(missing_ok=True)
        at = self.folder.parent
        self.processes[rank] = self.hosts.popen(rank, command, self._file(rank), env, at)

    def start_all(self, *words: str) -> None:
        self.processes.clear()
        for rank in range(self.number):
            self.start(rank, *words)

    def _file(self, rank: int) -> Path:
        return self.folder.parent / f"node-{rank}.screen"

    def screen(self, rank: int) -> str:
        return self._file(rank).read_text(errors="replace")

    def screens(self) -> str:
        return "\n".join(f"--- node {rank}\n{self.screen(rank)}" for rank in self.processes)

    def wait_for_phase(self, phase: str, step: int) -> None:
        events = Tail(self.folder / "logs" / "events.jsonl", from_end=True)
        for _ in range(60_000):
            for event in events.new():
                if event.get("phase") == phase and event["step"] >= step:
                    return
            assert self.processes[0].poll() is None, self.screens()
            time.sleep(0.01)
        raise AssertionError(f"no {phase} of step {step}:\n{self.screens()}")

    def end(self, timeout_s: float = ENDS_S) -> list[int]:
        """Exit codes by rank, when nothing of the run is left on any machine."""
        until = time.monotonic() + timeout_s
        codes = [self._code(rank, until) for rank in sorted(self.processes)]
        wait_until_gone(self.folder)  # a killed launcher's guardian needs a moment
        return codes

    def _code(self, rank: int, until: float) -> int:
        try:
            return self.processes[rank].wait(max(1.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"node {rank} goes on:\n{self.screens()}") from None

    def kill(self, rank: int) -> None:
        os.kill(self.processes[rank].pid, signal.SIGKILL)

    def ran(self) -> Ran:
        return Ran(self.processes[0].returncode, self.screen(0), self.folder)


@pytest.fixture
def nodes(
    machines: Callable[[int], Hosts], python: str, cache: Path, tmp_path: Path
) -> Iterator[Callable[[int, bool], Nodes]]:
    """`nodes(2, False)`: a run of two machines, not begun yet; True: over IPv6."""

    def make(number: int, six: bool) -> Nodes:
        hosts = machines(number)
        leader = hosts.address6(0) if six else hosts.address(0)
        return Nodes(hosts, leader, python, tmp_path / "run", cache)

    yield make


def test_two_machines_learn_lose_one_and_go_on(nodes: Callable[[int, bool], Nodes]) -> None:
    words = ("--steps", "12", "--save_freq", "2", "--test_freq", "12")
    run = nodes(2, False)
    run.start(1, *words)
    while "Waiting for node 0" not in run.screen(1):  # in whatever order they come
        time.sleep(0.1)
    run.start(0, *words)
    run.wait_for_phase("update", 4)
    run.kill(1)
    assert run.end() == [1, -signal.SIGKILL]
    lost = f"node 1 (host1, {run.hosts.address(1)}) is lost"
    assert lost in run.screen(0) and "the same command continues" in run.screen(0)

    run.start_all(*words)
    assert run.end(600) == [0, 0], run.screens()
    ended = run.ran()
    assert "continuing from step" in ended.screen
    assert ended.steps() == list(range(13))
    scores = ended.series("val-core/math_reasoning/reward/mean@1")
    assert scores[-1] > scores[0] + 0.1, scores
    assert (run.folder / "checkpoints" / "final" / "model.safetensors").is_file()
    assert list((run.folder / "nodes" / "1" / "logs").glob("node-*.log"))


def test_machines_end_together_when_a_cable_or_the_leader_goes_and_fewer_go_on(
    nodes: Callable[[int, bool], Nodes], addition: Path, tiny_qwen2: Path
) -> None:
    words = ("--model", str(tiny_qwen2), "--data", str(addition), "--max_prompt_length", "16",
             "--max_response_length", "8", "--batch_size", "30", "--steps", "60", "--save_freq",
             "2", "--test_freq", "20", "--port_range", "20000-20999")  # fmt: skip
    run = nodes(3, True)
    run.start_all(*words)
    run.wait_for_phase("rollout", 3)
    run.hosts.unplug(2)
    assert run.end() == [1, 1, 1], run.screens()
    assert f"node 2 (host2, {run.hosts.address6(2)}) is lost: nothing was heard" in run.screen(0)
    assert "The run has ended with exit code 1" in run.screen(1)
    assert "Node 0 is lost: nothing was heard of it" in run.screen(2)

    run.number = 2
    run.start_all(*words)
    run.wait_for_phase("update", 6)
    run.hosts.unplug(1)
    assert run.end() == [1, 1], run.screens()
    assert f"node 1 (host1, {run.hosts.address6(1)}) is lost" in run.screen(0)
    run.hosts.plug(1)

    run.start_all(*words)
    run.wait_for_phase("update", 8)
    run.kill(0)
    assert run.end() == [-signal.SIGKILL, 1], run.screens()
    assert "Node 0 is lost: its connection was closed" in run.screen(1)
    assert "continuing from step" in run.screen(0)
