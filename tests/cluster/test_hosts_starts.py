"""Starts on several machines, as typed on each, that end before anything expensive begins.

Each node is a process of its own in a network namespace (tests/hosts.py). Real runs on several
machines are in tests/e2e/test_cluster.py.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import pytest

from tests import hosts
from tests.hosts import Hosts
from verlaunch.cluster import tokens

pytestmark = pytest.mark.slow

ROWS = [{"prompt": f"{a}+1=", "ground_truth": str(a + 1), "data_source": "math_reasoning"}
        for a in range(40)]  # fmt: skip
CHECKOUT = Path(__file__).resolve().parents[2]
GIVEN = "a-token-that-both-were-given"


@dataclass
class Node:
    process: subprocess.Popen[bytes]
    screen: Path

    def text(self) -> str:
        return self.screen.read_text()

    def wait_for(self, text: str, timeout_s: float = 90) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in self.text():
            assert self.process.poll() is None, f"ended before {text!r}:\n{self.text()}"
            assert time.monotonic() < deadline, f"no {text!r}:\n{self.text()}"
            time.sleep(0.1)

    def end(self, timeout_s: float = 120) -> int:
        code = self.process.wait(timeout_s)
        assert "Traceback" not in self.text(), self.text()
        return code


@dataclass
class Lab:
    """Machines, and what is typed on each: `start(rank, words)`."""

    machines: Hosts
    folder: Path
    model: Path
    cache: Path
    leader: str = ""
    words: tuple[str, ...] = ()
    started: list[Node] = field(default_factory=list)

    def start(
        self,
        rank: int,
        *words: str,
        output_dir: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path = CHECKOUT,
        own_disk: Path | None = None,
    ) -> Node:
        """`own_disk`: a folder in whose place this machine has an empty one."""
        typed = ["--model", str(self.model), "--data", str(self.folder / "data.json"),
                 "--output_dir", output_dir or str(self.folder / "out"), "--steps", "2",
                 *self.words, *words]  # fmt: skip
        variables = {
            "NNODES": "2",
            "NODE_RANK": str(rank),
            "MASTER_ADDR": self.leader or self.machines.address(0),
            "VERLAUNCH_CACHE": str(self.cache),
            **(env or {}),
        }
        screen = self.folder / f"screen-{len(self.started)}"
        command = [sys.executable, "-m", "verlaunch", *typed]
        if own_disk:
            mount = 'mount -t tmpfs none "$0" && exec "$@"'
            command = ["sh", "-c", mount, str(own_disk), *command]
        process = self.machines.popen(rank, command, screen, variables, cwd)
        self.started.append(Node(process, screen))
        return self.started[-1]


@pytest.fixture
def lab(
    machines: Callable[[int], Hosts],
    tmp_path: Path,
    tiny_qwen2: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Lab:
    monkeypatch.delenv(tokens.VARIABLE, raising=False)
    (tmp_path / "data.json").write_text(json.dumps(ROWS))
    return Lab(machines(2), tmp_path, tiny_qwen2, cache)


def test_a_node_that_never_comes_is_missed_by_its_rank(lab: Lab) -> None:
    leader = lab.start(0, "--join_timeout", "0.05")
    assert leader.end() == 2
    told = " ".join(leader.text().split())
    assert "1 of 2 nodes: missing rank 1 after 3 s." in told
    assert "NODE_RANK=1 and MASTER_ADDR=10.77.0.1" in told
    assert "10.77.0.1:29500" in told


def test_a_node_whose_leader_never_comes_says_where_it_looked(lab: Lab) -> None:
    lab.leader = "host0"  # by name, as schedulers give it
    node = lab.start(1, "--join_timeout", "0.02")
    assert node.end() == 2
    assert "Node 0 did not answer at host0:29500 within 0.02 min (Connection refused)" in (
        node.text()
    )
    assert "node 1 of 2 is 10.77.0.2 on eth0, and joins node 0 at host0:29500" in node.text()


def test_a_node_without_the_token_is_told_what_to_do_and_node_0_says_so_too(lab: Lab) -> None:
    leader = lab.start(0)
    wrong = lab.start(1, env={tokens.VARIABLE: GIVEN})
    none = lab.start(1, output_dir=str(lab.folder / "elsewhere"))  # sees another disk
    assert (wrong.end(), none.end()) == (2, 2)
    assert "Node 0 at 10.77.0.1:29500 has another token than the one in RAY_AUTH_TOKEN." in (
        wrong.text()
    )
    file = Path("out", tokens.FILE)
    assert f"not in {lab.folder / 'elsewhere' / tokens.FILE}, where node 0 writes it" in none.text()
    assert "RAY_AUTH_TOKEN=THAT_LINE" in none.text()
    leader.wait_for("Refused a node at 10.77.0.2: it has a wrong token.")
    leader.wait_for("Refused a node at 10.77.0.2: it has no token.")
    assert str(lab.folder / file) in leader.text()
    leader.process.send_signal(signal.SIGINT)
    assert leader.end() == 130
    made = (lab.folder / file).read_text().strip()
    for screen in (leader.text(), wrong.text(), none.text()):
        assert made not in screen
        assert GIVEN not in screen


def test_other_versions_and_other_code_are_named_on_both_sides(lab: Lab) -> None:
    other = lab.folder / "checkout"
    for name in ("verlaunch", "rewards", "configs", "data"):
        shutil.copytree(CHECKOUT / name, other / name,
                        ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    (other / "verlaunch" / "__init__.py").open("a").write("# edited\n")
    old_ray = lab.folder / "packages"
    (old_ray / "ray-2.59.0.dist-info").mkdir(parents=True)
    (old_ray / "ray-2.59.0.dist-info" / "METADATA").write_text("Name: ray\nVersion: 2.59.0\n")
    leader = lab.start(0)
    node = lab.start(1, env={"PYTHONPATH": str(old_ray)}, cwd=other)
    assert (node.end(), leader.end()) == (2, 2)
    ray = f"ray 2.59.0 instead of {metadata.version('ray')}, our own code "
    assert f"Node 0 does not take this node: it has {ray}" in node.text()
    assert f"Node 1 (host1, 10.77.0.2) cannot take part: it has {ray}" in leader.text()


def test_a_folder_that_is_not_shared_is_refused_with_the_reason(lab: Lab) -> None:
    """Node 1 has an empty disk of its own at the same path."""
    out = lab.folder / "out"
    out.mkdir()
    token = {tokens.VARIABLE: GIVEN}
    leader = lab.start(0, env=token)
    node = lab.start(1, env=token, own_disk=out)
    assert (node.end(), leader.end()) == (2, 2)
    why = f"it does not see node 0's {out}"
    assert f"Node 1 (host1, 10.77.0.2): {why}" in leader.text()
    assert "--output_dir /SHARED/FOLDER" in leader.text()
    assert why in node.text()
    assert GIVEN not in leader.text() + node.text()


def test_a_model_that_one_machine_lacks_is_told_on_both(lab: Lab) -> None:
    leader = lab.start(0)
    node = lab.start(1, own_disk=lab.model)
    assert (leader.end(), node.end()) == (2, 2)
    lacks = f"--model {lab.model} lacks config.json"
    assert lacks in node.text()
    assert f"Node 1 (host1, 10.77.0.2) cannot take part: {lacks}" in leader.text()


@pytest.mark.parametrize(("asked", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_late_node_joins_and_who_stops_node_0_ends_both(
    lab: Lab, asked: signal.Signals, code: int
) -> None:
    leader = lab.start(0)
    leader.wait_for("1 of 2 nodes; waiting 10 min for rank 1.")
    node = lab.start(1)
    leader.wait_for("Node 1 (host1, 10.77.0.2) is here: 2 of 2 nodes.")
    os.kill(leader.process.pid, asked)
    assert (leader.end(), node.end()) == (code, code)
    assert f"The run has ended with exit code {code}" in node.text()


def test_machines_meet_over_ipv6_in_any_order_and_other_settings_are_named(lab: Lab) -> None:
    if not hosts.has_ipv6():
        pytest.skip("this kernel has no IPv6")
    lab.leader = lab.machines.address6(0)
    node = lab.start(1)
    node.wait_for("Waiting for node 0 at [fd77::1]:29500, for 10 min at most.")
    leader = lab.start(0, "--lr", "3e-6")
    assert (leader.end(), node.end()) == (2, 2)
    assert "node 1 of 2 is fd77::2 on eth0, and joins node 0 at [fd77::1]:29500" in node.text()
    assert "Node 1 (host1, fd77::2) cannot take part: its settings are others" in leader.text()
    for screen in (leader.text(), node.text()):
        assert "--lr is 1e-06 instead of 3e-06" in screen


def test_a_busy_port_is_named_and_another_proposed(lab: Lab) -> None:
    listen = ("import socket, time; s = socket.create_server(('', 29500)); "
              "print('listening', flush=True); time.sleep(600)")  # fmt: skip
    screen = lab.folder / "busy"
    busy = Node(lab.machines.popen(0, [sys.executable, "-c", listen], screen), screen)
    busy.wait_for("listening")
    leader = lab.start(0)
    assert leader.end() == 2
    assert "cannot wait for the others at 10.77.0.1:29500 (Address already in use)" in (
        leader.text()
    )
    assert "--master_port 29501" in leader.text()


def test_a_run_that_cannot_be_is_told_before_anybody_is_waited_for(lab: Lab) -> None:
    leader = lab.start(0, "--node_addr", "10.77.0.2", "--port_range", "5-6")
    assert leader.end() == 2
    assert "--node_addr 10.77.0.2 is not an address of this machine (eth0 10.77.0.1" in (
        leader.text()
    )
    assert "--port_range 5-6: takes FIRST-LAST" in leader.text()
    assert "waiting" not in leader.text()
