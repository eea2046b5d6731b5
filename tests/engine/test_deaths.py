"""A real Ray cluster that loses a process: the driver ends, and says which one it was."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.ray_clusters import Cluster, cluster
from verlaunch.machine import processes

pytestmark = pytest.mark.slow

# A driver that waits for ever, as the trainer does for responses that never come.
DRIVER = """
import os, signal, sys, time
from pathlib import Path
from verlaunch.machine import processes
from verlaunch.engine import environment
from verlaunch.engine.processes.deaths import Deaths
from verlaunch.record.channel import Channel

def find(word):
    for pid in processes.descendants(os.getpid()):
        if word in Path(f"/proc/{pid}/cmdline").read_bytes().decode():
            return pid

class RolloutShell:
    def pid(self):
        return os.getpid()

os.environ.update(environment.PRIVATE, RAY_AUTH_TOKEN="0" * 64)
watch = Deaths(Channel(Path(sys.argv[1])))
import ray
ray.init(address="local", num_cpus=4, include_dashboard=False, object_store_memory=100 * 2**20,
         _temp_dir=os.environ["VERLAUNCH_TEMP"])
actors = [ray.remote(num_cpus=1)(RolloutShell).remote() for _ in range(3)]
pids = ray.get([actor.pid.remote() for actor in actors])
"""
# Two that may end: the first was told to, nobody needs the second any more.
END_WELL = """
ray.kill(actors.pop())
actors.pop()
time.sleep(4)
watch.stop()
ray.shutdown()
sys.exit(7)
"""
KILL = "os.kill({}, signal.SIGKILL); time.sleep(300)"


def drive(folder: Path, last: str) -> tuple[int, list[dict]]:
    """Exit code, and the events of deaths."""
    guardian = subprocess.Popen(
        [sys.executable, "-m", "verlaunch.machine.guardian", "/tmp/verlaunch-",
         sys.executable, "-c", DRIVER + last, str(folder)],
        stdin=subprocess.PIPE,
    )  # fmt: skip
    code = guardian.wait()
    assert guardian.stdin is not None
    guardian.stdin.close()
    events = folder / "logs" / "events.jsonl"
    return code, [json.loads(line) for line in events.open()] if events.exists() else []


@pytest.mark.parametrize(
    ("victim", "name"),
    [
        ("pids[1]", "rollout worker"),
        ("find('raylet/raylet')", "Ray's raylet"),
        ("find('gcs_server')", "Ray's gcs_server"),
    ],
)
def test_a_death_ends_the_driver_and_is_named(tmp_path: Path, victim: str, name: str) -> None:
    code, events = drive(tmp_path, KILL.format(victim))
    assert code == 1
    assert [(event["event"], event["process"]) for event in events] == [("died", name)]


def test_an_actor_that_was_told_to_end_has_not_died(tmp_path: Path) -> None:
    assert drive(tmp_path, END_WELL) == (7, [])


def cores(cluster: Cluster) -> list[int]:
    """gcs_server and raylet; Ray's agents look a minute for a cluster that is gone."""
    below = processes.descendants(cluster.process.pid)
    words = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in below}
    return [pid for pid in below if b"gcs_server" in words[pid] or b"raylet/raylet" in words[pid]]


def test_rays_own_processes_end_with_the_one_that_started_them_however_it_ends() -> None:
    with cluster(cpus=1, gpus=0) as started:
        own = cores(started)
        assert len(own) == 2
        started.process.kill()
        for _ in range(600):
            if all(map(processes.is_dead, own)):
                return
            time.sleep(0.1)
        raise AssertionError(own)
