"""A checkpoint is saved, or the run waits for room; the last good one is untouched meanwhile.

`verl` below stands for verl's part of a save, which needs a cluster; the full disk is real where
/dev/full answers as one does.
"""

import inspect
import io
import json
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.checkpoint.fsdp_checkpoint_manager import FSDPCheckpointManager
from verl.workers.engine.fsdp.transformer_impl import FSDPEngine

from verlaunch.engine.training.engines import BARRIERS, WholeSaves
from verlaunch.engine.training.patience import PatientChannel
from verlaunch.engine.training.saving import Saving, first_size
from verlaunch.launch.screen import Screen
from verlaunch.launch.view import View
from verlaunch.machine import disk
from verlaunch.record.channel import FULL, STOP_AFTER_STEP, Channel, Tail
from verlaunch.record.checkpoints.manifest import examine
from verlaunch.record.checkpoints.search import all_complete, latest


def to_full_disk() -> None:
    torch.save({"a": torch.zeros(10)}, "/dev/full")


def by_python() -> None:
    Path("/dev/full").write_text("x")


def told_by_ray() -> None:
    raise RuntimeError("ray::save_checkpoint() OSError: [Errno 28] No space left on device")


class Bench:
    """A trainer whose verl writes `content`, or does what stands in `faults`, one per save."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.faults = folder, []
        self.content = b"w" * 1000
        self.free = [10**9]  # the last one stays
        self.waited = 0
        trainer = Saving.__new__(Saving)
        trainer.config = OmegaConf.create({
            "trainer": {"default_local_dir": str(folder / "checkpoints"), "nnodes": 1,
                        "n_gpus_per_node": 1},
            "actor_rollout_ref": {"model": {"path": str(folder), "lora_rank": 0}, "rollout": {}},
            "critic": {"model": {"path": str(folder)}},
        })  # fmt: skip
        trainer.channel = PatientChannel(folder)
        trainer.keep, trainer.use_critic, trainer.reward_state = 2, True, {"count": 3}
        trainer.algorithm_state = lambda: {"kl_coef": 0.2}
        self.trainer, self.events = trainer, Tail(trainer.channel.events)
        monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", self._verl)
        waiting = partial(disk.wait_for_room, room=self._free)
        monkeypatch.setattr(disk, "time", SimpleNamespace(sleep=self._sleep))
        monkeypatch.setattr(disk, "wait_for_room", waiting)

    def _verl(self) -> None:
        actor = self.at(self.trainer.global_steps) / "actor"
        actor.mkdir()
        (actor / "weights").write_bytes(self.content)
        if self.faults:
            self.faults.pop(0)()

    def _free(self, folder: Path) -> int:
        return self.free.pop(0) if len(self.free) > 1 else self.free[0]

    def _sleep(self, seconds: float) -> None:
        self.waited += 1
        assert self.waited < 1000, "waits for ever"

    def at(self, step: int) -> Path:
        return self.folder / "checkpoints" / f"global_step_{step}"

    def save(self, step: int) -> list[str]:
        """What the screen is told of the disk."""
        self.trainer.global_steps = step
        self.trainer._save_checkpoint()
        return [event["text"] for event in self.events.new() if event["event"] == "disk"]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_a_save_is_complete_with_reward_and_algorithm(bench: Bench) -> None:
    assert bench.save(2) == []
    found = examine(bench.at(2), hashes=True)
    assert set(found.files) == {"actor/weights", "reward.json", "trainer.json"}
    assert json.loads((bench.at(2) / "trainer.json").read_text()) == {"kl_coef": 0.2}
    assert (bench.trainer.saved_step, bench.trainer.last_checkpoint) == (2, str(bench.at(2)))


def test_the_config_of_a_continued_adapter_travels_with_the_checkpoint(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/adapter_config.json").write_text('{"r": 4, "use_rslora": true}')
    model = bench.trainer.config.actor_rollout_ref.model
    OmegaConf.update(model, "lora_adapter_path", str(tmp_path / "old"), force_add=True)
    bench.save(2)
    (copied,) = tmp_path.glob("**/actor/adapter_config.json")
    assert json.loads(copied.read_text())["use_rslora"]


def test_the_newest_two_stay(bench: Bench) -> None:
    for step in (2, 4, 6):
        bench.save(step)
    left = all_complete(bench.folder / "checkpoints")
    assert [found.step for found in left] == [4, 6]


def test_too_little_room_is_waited_for_before_anything_is_written(bench: Bench) -> None:
    bench.save(2)
    bench.free = [500, 500, 800, 5000]
    before, after = bench.save(4)
    assert "a checkpoint needs 1.1 kB" in before and "has 0.5 kB free" in before
    assert "the run goes on by itself" in before and after.startswith("5.0 kB free")
    assert bench.trainer.saved_step == 4 and bench.waited == 3


@pytest.mark.parametrize("fault", [to_full_disk, by_python, told_by_ray])
def test_a_disk_that_fills_up_in_the_middle_is_waited_for(
    bench: Bench, fault: Callable[[], None]
) -> None:
    bench.save(2)
    good = examine(bench.at(2), hashes=True)
    bench.faults = [fault]
    bench.free = [2000, 2000, 2000, 9000]
    told = bench.save(4)
    assert len(told) == 2 and bench.trainer.saved_step == 4
    assert examine(bench.at(4), hashes=True).step == 4
    assert examine(bench.at(2), hashes=True) == good


def test_whoever_ends_the_wait_keeps_the_last_good_one(bench: Bench) -> None:
    bench.save(2)
    bench.free = [10]
    bench.trainer.channel.stop.write_text(STOP_AFTER_STEP)
    assert len(bench.save(4)) == 1
    assert bench.trainer.saved_step == 2 and not bench.at(4).exists()
    bench.trainer.total_training_steps = 4
    bench.trainer._save_last()  # at the end of training: tries, and gives up at once
    assert bench.trainer.saved_step == 2
    examine(bench.at(2), hashes=True)


def test_another_failure_is_not_taken_for_a_full_disk(bench: Bench) -> None:
    def fail() -> None:
        raise RuntimeError("a rank died")

    bench.faults = [fail]
    with pytest.raises(RuntimeError, match="a rank died"):
        bench.save(2)
    assert latest(bench.folder / "checkpoints") is None


def test_a_disk_without_a_byte_for_the_record_is_waited_for_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, out = bench.trainer.channel, io.StringIO()
    (bench.folder / "log").touch()
    view = View(Screen(out), bench.folder, bench.folder / "log")
    rows = bench.folder / "rows.jsonl"
    rows.symlink_to("/dev/full")

    def make_room(seconds: float) -> None:
        view.update()
        rows.unlink()

    monkeypatch.setattr("verlaunch.engine.training.patience.time.sleep", make_room)
    channel.append(rows, {"step": 3})
    assert list(Tail(rows).new()) == [{"step": 3}]
    assert f"! Waiting for room on the disk: {bench.folder} has " in out.getvalue()
    assert not (bench.folder / FULL).exists()


def test_who_stops_the_run_ends_the_wait_for_a_line(bench: Bench) -> None:
    channel = bench.trainer.channel
    channel.metrics.symlink_to("/dev/full")
    with pytest.raises(OSError):
        Channel(bench.folder).log({"loss": 1.0}, step=3)  # of whoever does not train
    channel.stop.touch()
    channel.log({"loss": 1.0}, step=3)
    assert channel.stop_requested() == STOP_AFTER_STEP


def test_the_validation_of_a_saved_step_makes_it_the_best(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores: Iterator[float] = iter([0.4, 0.9, 0.5])
    monkeypatch.setattr(
        PPOTrainerSync, "_validate", lambda self: {"val-core/math/reward/mean@1": next(scores)}
    )
    for step in (2, 3, 4):
        if step != 3:  # validated, and not saved
            bench.save(step)
        bench.trainer.global_steps = step
        bench.trainer._validate()
    noted = json.loads((bench.folder / "checkpoints" / "best.json").read_text())
    assert noted == {"step": 4, "score": 0.5}


def test_verl_is_not_asked_to_prune(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PPOTrainerSync, "__init__", lambda self, config: None)
    kept = {"max_actor_ckpt_to_keep": 3, "max_critic_ckpt_to_keep": 2}
    trainer = Saving(OmegaConf.create({"trainer": kept}))
    assert trainer.keep == 3


def _safetensors(shapes: dict[str, list[int]]) -> bytes:
    facts = {n: {"dtype": "F32", "shape": s, "data_offsets": [0, 0]} for n, s in shapes.items()}
    header = json.dumps({**facts, "__metadata__": {"format": "pt"}})
    return struct.pack("<Q", len(header)) + header.encode()


def test_the_first_checkpoints_size_is_known_from_the_models_headers(tmp_path: Path) -> None:
    (tmp_path / "model-1.safetensors").write_bytes(_safetensors({"a": [10, 3], "b": []}))
    (tmp_path / "model-2.safetensors").write_bytes(_safetensors({"c": [7]}))
    assert disk.parameters(tmp_path) == 38
    config = OmegaConf.create({"actor_rollout_ref": {"model": {"path": str(tmp_path)}},
                               "critic": {"model": {"path": str(tmp_path / "none")}}})  # fmt: skip
    assert first_size(config, with_critic=True) == 38 * 12
    config.actor_rollout_ref.model.lora_rank = 8
    assert first_size(config, with_critic=False) == 38 * 4


def test_a_quota_that_no_number_shows_is_tried_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    slept: list[float] = []
    monkeypatch.setattr(disk, "time", SimpleNamespace(sleep=slept.append))
    room = 10**12
    assert disk.wait_for_room(tmp_path, 10, told.append, lambda: False, True, lambda _: room)
    assert sum(slept) == disk.RETRY_S and len(told) == 2


def test_sizes_are_told_as_disks_are_sold() -> None:
    told = [disk.amount(size) for size in (999, 1500, 84 * 10**9)]
    assert told == ["1.0 kB", "1.5 kB", "84.0 GB"]


def test_the_screen_says_what_the_disk_lacks(tmp_path: Path) -> None:
    channel, log, out = Channel(tmp_path), tmp_path / "log", io.StringIO()
    log.touch()
    view = View(Screen(out), tmp_path, log)
    channel.event("disk", text=disk.shortage(tmp_path, 2 * 10**9, 10**9))
    view.update()
    assert f"a checkpoint needs 2.0 GB, and {tmp_path} has 1.0 GB free" in out.getvalue()


class Ranks:
    """Counts who has met whom. `fails_at`: the place in a save where this rank's disk is full."""

    def __init__(self, fails_at: int | None) -> None:
        self.fails_at = fails_at
        self.checkpoint_manager = SimpleNamespace(should_save_hf_model=False)

    def save_checkpoint(self) -> None:
        for place in range(3):
            if place == self.fails_at:
                to_full_disk()
            torch.distributed.barrier()


class Engine(WholeSaves, Ranks):
    pass


@pytest.mark.parametrize("fails_at", [None, 0, 1, 2])
def test_a_rank_that_fails_meets_the_others_as_often_as_they_meet_it(
    monkeypatch: pytest.MonkeyPatch, fails_at: int | None
) -> None:
    met: list[int] = []
    monkeypatch.setattr(torch.distributed, "barrier", lambda: met.append(1))
    mine = torch.distributed.barrier
    try:
        Engine(fails_at).save_checkpoint()
    except RuntimeError as error:
        assert fails_at is not None and disk.is_full(error)
    else:
        assert fails_at is None
    assert len(met) == 3
    assert torch.distributed.barrier is mine


def test_the_barriers_that_are_counted_are_verls() -> None:
    manager = inspect.getsource(FSDPCheckpointManager.save_checkpoint)
    before_whole_model, _, whole_model = manager.partition("if self.should_save_hf_model:")
    engine = inspect.getsource(FSDPEngine.save_checkpoint)
    barrier = "torch.distributed.barrier()"
    assert before_whole_model.count(barrier) + engine.count(barrier) == BARRIERS
    assert whole_model.count(barrier) == 1
