"""Runs in a real Ray cluster that is not theirs: who gets in, what they leave."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.guard_scenes import DEMO, scene_of
from tests.guard_scenes import told as told_by_guard
from tests.ray_clusters import TOKEN, Cluster, cluster
from verlaunch.cluster import foreign
from verlaunch.engine.processes import guest, guest_check
from verlaunch.engine.processes.guest_check import Need, Node
from verlaunch.errors import UserError
from verlaunch.plan.guards.machine import other_rays

pytestmark = pytest.mark.slow

DRIVER = """
import json, os, sys, time
from verlaunch.engine.processes import guest
from verlaunch.errors import UserError
launch = json.loads(sys.argv[1])
try:
    os.environ.update(guest.environment(launch, os.environ))
    guest.join(launch)
except UserError as error:
    print(*error.problems)
    sys.exit(2)
import ray
exec(sys.argv[2])
"""
STAY = "print('in', flush=True); time.sleep(300)"
# What is in the cluster, asked by somebody else: namespaces, live actors, the place.
LOOK = """
import json, ray
ray.init(address=ADDRESS, log_to_driver=False)
from ray._private.state import state
actors = [a for a in state.actor_table(None).values() if a["State"] != "DEAD"]
named = [a["name"] for a in ray.util.list_named_actors(all_namespaces=True)]
groups = [g for g in ray.util.placement_group_table().values() if g["state"] != "REMOVED"]
print(json.dumps({"actors": len(actors), "named": named, "groups": len(groups)}))
"""
# Another verl job, as far as its queue tells of it (transfer_queue/interface.py:200).
VERL = (
    """
import ray, time
ray.init(address=ADDRESS, log_to_driver=False)
class Queue: ...
name = {"name": "TransferQueueController", "namespace": "transfer_queue"}
held = ray.remote(Queue).options(**name).remote()
ray.get(held.__ray_ready__.remote())
"""
    + STAY
)


@pytest.fixture(scope="module")
def others() -> Iterator[Cluster]:
    with cluster(cpus=20, gpus=2) as found:
        yield found


def launch(others: Cluster, folder: Path, gpus: int = 2, model: Path | None = None) -> dict:
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    return {
        "ray_address": others.address,
        "record": str(folder),
        "hardware": "cpu",
        "ray_cpus": 3 * gpus + 8,
        "reward_gpus": 0,
        "config": {
            "trainer": {"nnodes": 1, "n_gpus_per_node": gpus},
            "actor_rollout_ref": {"model": {"path": str(model or folder)}},
        },
    }


def start(words: list[str], others: Cluster, **env: str | None) -> subprocess.Popen:
    given = {**os.environ, "RAY_AUTH_TOKEN": TOKEN, **env}
    return subprocess.Popen(
        [sys.executable, "-c", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: value for name, value in given.items() if value is not None},
    )


def told(words: list[str], others: Cluster, **env: str | None) -> tuple[int, str]:
    process = start(words, others, **env)
    text, _ = process.communicate(timeout=120)
    return process.returncode, text


def as_guest(asked: dict[str, Any], script: str = "ray.shutdown()") -> list[str]:
    return [DRIVER, json.dumps(asked), script]


def wait_for(process: subprocess.Popen, word: str) -> str:
    """What it has printed up to the line with this word."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if line.strip() == word:
            return seen
    raise AssertionError(f"ended without {word!r}:\n{seen}")


def look(others: Cluster) -> dict[str, Any]:
    script = f"ADDRESS = {others.address!r}\n{LOOK}"
    code, text = told([script], others, **others.alone)
    assert code == 0, text
    return json.loads(text.strip().splitlines()[-1])


def wait_until_clean(others: Cluster) -> None:
    for _ in range(30):
        found = look(others)
        if found == {"actors": 0, "named": [], "groups": 0}:
            return
        time.sleep(0.5)
    raise AssertionError(found)


def test_a_second_run_is_told_of_the_first_and_a_killed_one_leaves_nothing(
    others: Cluster, tmp_path: Path
) -> None:
    first = start(as_guest(launch(others, tmp_path / "first"), STAY), others)
    try:
        wait_for(first, "in")
        code, text = told(as_guest(launch(others, tmp_path / "second")), others)
        assert code == 2
        assert f"run in {tmp_path / 'first'} (process {first.pid} on" in text
        assert "Traceback" not in text
        assert look(others)["named"] == [guest.PLACE]
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    wait_until_clean(others)
    code, text = told(as_guest(launch(others, tmp_path / "second")), others)
    assert code == 0, text
    assert list((tmp_path / "second" / "logs").iterdir()) == []  # no probe either
    assert others.process.poll() is None
    wait_until_clean(others)


ACTOR = """
class Reads:
    def __init__(self, secrets):
        self.given = secrets
    def read(self):
        return dict(os.environ), self.given
import os
actor = ray.remote(Reads).remote(guest.secrets(os.environ))
found, given = ray.get(actor.read.remote())
names = ("VERL_PLATFORM", "VLLM_LOGGING_LEVEL", "NCCL_ALGO", "HF_TOKEN", "OPENAI_API_KEY")
print(json.dumps([{n: found.get(n) for n in names}, given, found["PYTHONPATH"],
                  str(ray.get_runtime_context().runtime_env), ray.get_runtime_context().namespace]))
ray.shutdown()
"""


def test_workers_get_what_libraries_need_and_keys_travel_apart(
    others: Cluster, tmp_path: Path
) -> None:
    keys = {"HF_TOKEN": "hf-secret", "OPENAI_API_KEY": "sk-secret"}
    env = {**keys, "NCCL_ALGO": "Ring"}
    code, text = told(as_guest(launch(others, tmp_path), ACTOR), others, **env)
    assert code == 0, text
    found, given, path, runtime_env, namespace = json.loads(text.strip().splitlines()[-1])
    assert found == {"VERL_PLATFORM": "cpu", "VLLM_LOGGING_LEVEL": "WARN", "NCCL_ALGO": "Ring",
                     "HF_TOKEN": None, "OPENAI_API_KEY": None}  # fmt: skip
    assert given == keys
    assert "cpu_metadata" in path
    assert "secret" not in runtime_env and TOKEN not in runtime_env
    assert namespace.startswith("verlaunch-")


@pytest.mark.parametrize("token", ["another-token-0123456789", None])
def test_a_wrong_or_missing_token_gets_one_message(
    others: Cluster, tmp_path: Path, token: str | None
) -> None:
    asked = launch(others, tmp_path)
    code, text = told(as_guest(asked), others, RAY_AUTH_TOKEN=token, HOME=str(tmp_path))
    assert code == 2
    assert "Give the one that it was started with" in text
    assert "Traceback" not in text and TOKEN not in text


def test_no_room_and_a_model_that_is_not_there_are_told_at_once(
    others: Cluster, tmp_path: Path
) -> None:
    asked = launch(others, tmp_path, gpus=4, model=tmp_path / "nowhere")
    code, text = told(as_guest(asked), others)
    assert code == 2
    assert "4 GPUs and 12 CPUs on one machine" in text
    assert "127.0.0.1 (this machine) 2 of 2 GPUs and 20 of 20 CPUs" in text
    assert f"does not see {tmp_path / 'nowhere'}" in text
    wait_until_clean(others)


def test_somebody_elses_verl_job_goes_on_beside_us(others: Cluster, tmp_path: Path) -> None:
    theirs = start([f"ADDRESS = {others.address!r}\n{VERL}"], others, **others.alone)
    try:
        wait_for(theirs, "in")
        code, text = told(as_guest(launch(others, tmp_path)), others)
        assert code == 0, text
        assert look(others)["named"] == ["TransferQueueController"]
    finally:
        theirs.kill()
        theirs.wait()


def test_the_cluster_is_the_one_that_this_machine_belongs_to(others: Cluster) -> None:
    assert others.address in foreign.here()
    assert foreign.find(others.address.replace("127.0.0.1", "localhost"), foreign.here())


@pytest.mark.parametrize(
    ("asked", "members", "words"),
    [
        ("auto", [], "no Ray cluster runs on this machine"),
        ("auto", ["10.0.0.1:1", "10.0.0.2:1"], "Say which"),
        ("10.0.0.9:6379", ["10.0.0.1:1"], "is not part of that cluster. It belongs to 10.0.0.1:1"),
        ("ray://10.0.0.9:10001", [], "Ray's client"),
        ("10.0.0.9", [], "takes HOST:PORT, or auto"),
    ],
)
def test_an_address_without_a_cluster_here_says_what_to_do(
    asked: str, members: list[str], words: str
) -> None:
    with pytest.raises(UserError, match=words.replace("(", r"\(")):
        foreign.find(asked, members)


def node(name: str, free: tuple[float, float], whole: tuple[float, float] = (8, 96)) -> Node:
    return Node(name, f"10.0.0.{name}", free, whole)


def test_every_machine_needs_its_share_and_ours_the_rest() -> None:
    need = Need(machines=2, gpus=8, rest_cpus=18, reward_gpus=0, logical=False)
    assert not guest_check.room(need, [node("1", (8, 42)), node("2", (8, 24))], "1")
    missing = guest_check.room(need, [node("1", (8, 41)), node("2", (8, 24))], "1")
    assert "8 GPUs and 24 CPUs on each of 2 machines, and 18 CPUs beside them" in missing
    assert "10.0.0.1 (this machine) 8 of 8 GPUs and 41 of 96 CPUs" in missing
    assert "Wait for the others to end" in missing
    small = [node("1", (8, 32), (8, 32)), node("2", (8, 32), (8, 32))]
    assert "ray start --num-cpus 42" in guest_check.room(need, small, "1")


def test_reward_cards_are_on_our_machine() -> None:
    need = Need(machines=1, gpus=4, rest_cpus=10, reward_gpus=2, logical=False)
    assert not guest_check.room(need, [node("1", (6, 90))], "1")
    assert "and 2 GPUs beside them" in guest_check.room(need, [node("1", (1, 90))], "1")
    assert not guest_check.room(need, [node("1", (2, 90)), node("2", (4, 12))], "1")


def test_a_start_asks_whether_this_machine_belongs_to_the_cluster(others: Cluster) -> None:
    assert told_by_guard(other_rays, scene_of(DEMO, "--ray_address", others.address)) == []
    strange = told_by_guard(other_rays, scene_of(DEMO, "--ray_address", "192.0.2.1:6379"))
    assert len(strange) == 1
    assert strange[0].startswith("STOP") and "is not part of that cluster" in strange[0]
