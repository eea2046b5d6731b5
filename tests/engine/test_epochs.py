"""Policy and critic of an epoch: when one ends, what its folder holds, whole or not at all."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
)

from tests.recorded_run import write_run
from verlaunch.config.trainer_extras import TrainerSettings
from verlaunch.engine.training import epochs
from verlaunch.engine.training.epochs import Epoch, Epochs, ended, is_written, sweep, write
from verlaunch.machine import disk

IDS = torch.tensor([[5, 9, 13, 21, 34, 55]])


@pytest.fixture
def record(tmp_path: Path) -> Path:
    write_run(tmp_path / "run", steps=4)
    return tmp_path / "run"


def outputs(model: PreTrainedModel) -> torch.Tensor:
    """(1, 6, vocabulary), or (1, 6, 1) of a critic."""
    with torch.no_grad():
        return model.eval()(IDS).logits


def saved(model: PreTrainedModel, tokenizer: Path, role: Path) -> PreTrainedModel:
    """The model as one rank of FSDP saves it."""
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights), alpha=0.02)  # no longer what it began with
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(role / "huggingface")
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(role / "huggingface")
    torch.save(model.state_dict(), role / "model_world_size_1_rank_0.pt")
    (role / "fsdp_config.json").write_text('{"world_size": 1}')
    return model


def checkpoint_of(tmp_path: Path, base: Path) -> tuple[Path, PreTrainedModel, PreTrainedModel]:
    folder = tmp_path / "global_step_10"
    policy = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    critic = AutoModelForTokenClassification.from_pretrained(base, num_labels=1)
    return folder, saved(policy, base, folder / "actor"), saved(critic, base, folder / "critic")


@pytest.mark.parametrize(
    ("step", "per_epoch", "total", "epoch"),
    [
        (0, 5, 20, None),
        (4, 5, 20, None),
        (5, 5, 20, Epoch(1, 5, complete=True)),
        (20, 5, 20, Epoch(4, 20, complete=True)),
        (18, 5, 18, Epoch(4, 18, complete=False)),
        (3, 5, 3, Epoch(1, 3, complete=False)),
        (7, 1, 9, Epoch(7, 7, complete=True)),
    ],
)
def test_an_epoch_ends_with_the_data_or_with_the_run(
    step: int, per_epoch: int, total: int, epoch: Epoch | None
) -> None:
    assert ended(step, per_epoch, total) == epoch


def test_an_epochs_folder_loads_as_policy_and_as_critic(
    record: Path, tmp_path: Path, tiny_qwen2: Path
) -> None:
    checkpoint, policy, critic = checkpoint_of(tmp_path, tiny_qwen2)
    epoch = Epoch(2, 10, complete=True)
    out = write(record, checkpoint, epoch, {"actor": str(tiny_qwen2), "critic": str(tiny_qwen2)})
    assert out == record / "epochs" / "epoch_2" and is_written(record, epoch)
    assert {path.name for path in out.iterdir()} == {
        "actor", "critic", "config.yaml", "training_curves.png", "epoch.json",
    }  # fmt: skip
    assert torch.equal(
        outputs(AutoModelForCausalLM.from_pretrained(out / "actor")), outputs(policy)
    )
    assert AutoTokenizer.from_pretrained(out / "actor").eos_token
    value = AutoModelForTokenClassification.from_pretrained(out / "critic")
    assert type(value).__name__ == "Qwen2ForTokenClassification" and value.config.num_labels == 1
    assert torch.allclose(outputs(value), outputs(critic), atol=1e-6)
    assert (out / "config.yaml").read_text() == (record / "config.yaml").read_text()
    assert (out / "training_curves.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_critic_there_is_only_the_policy(
    record: Path, tmp_path: Path, tiny_qwen2: Path
) -> None:
    checkpoint, *_ = checkpoint_of(tmp_path, tiny_qwen2)
    (checkpoint / "critic").rename(tmp_path / "elsewhere")
    out = write(record, checkpoint, Epoch(1, 10, True), {"actor": "", "critic": ""})
    assert (out / "actor").is_dir() and not (out / "critic").exists()


def test_an_epoch_that_cannot_be_written_leaves_the_earlier_one_and_nothing_half(
    record: Path, tmp_path: Path, tiny_qwen2: Path
) -> None:
    checkpoint, *_ = checkpoint_of(tmp_path, tiny_qwen2)
    base_models = {"actor": str(tiny_qwen2), "critic": str(tiny_qwen2)}
    cut = write(record, checkpoint, Epoch(1, 3, complete=False), base_models)
    (checkpoint / "critic" / "model_world_size_1_rank_0.pt").write_bytes(b"half")
    with pytest.raises(Exception, match="critic"):
        write(record, checkpoint, Epoch(1, 10, complete=True), base_models)
    assert [path.name for path in cut.parent.iterdir()] == ["epoch_1"]
    assert is_written(record, Epoch(1, 3, complete=False))
    assert not is_written(record, Epoch(1, 10, complete=True))


def test_no_run_ends_for_want_of_a_picture(
    record: Path, tmp_path: Path, tiny_qwen2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verlaunch.record.report.curves.draw", lambda history, file: 1 / 0)
    checkpoint, *_ = checkpoint_of(tmp_path, tiny_qwen2)
    out = write(record, checkpoint, Epoch(1, 10, complete=True), {"actor": str(tiny_qwen2)})
    assert (out / "actor").is_dir() and not (out / "training_curves.png").exists()


def test_what_a_killed_run_was_building_is_swept_away(record: Path) -> None:
    for name in (".epoch_2-4711", "epoch_1"):
        (record / "epochs" / name / "actor").mkdir(parents=True)
    sweep(record)
    assert [path.name for path in (record / "epochs").iterdir()] == ["epoch_1"]
    sweep(record / "no such run")


# ---- when the trainer writes one ------------------------------------------------------------


class Loop(Epochs):
    """The trainer's loop and its checkpoints, without a model."""

    def __init__(self, record: Path, total: int, resumed: int = 0, asked: bool = True) -> None:
        from omegaconf import OmegaConf

        from verlaunch.record.channel import Channel

        self.channel = Channel(record)
        self.training = TrainerSettings(save_epochs=asked)
        models = {"actor_rollout_ref": {"model": {"path": "a"}}, "critic": {"model": {"path": "c"}}}
        self.config = OmegaConf.create({"trainer": {"total_training_steps": total}, **models})
        self.steps_per_epoch, self.use_critic = 3, False
        self.global_steps = self.saved_step = resumed
        self.last_checkpoint = f"global_step_{resumed}"
        self.total_training_steps = total
        self.saves: list[int] = []
        self.on_init_end()

    def _save_checkpoint(self) -> None:
        self.saves.append(self.global_steps)
        self.saved_step = self.global_steps
        self.last_checkpoint = f"global_step_{self.global_steps}"


def verls_fit(loop: Loop, agent_loop_manager: object) -> None:
    """verl/trainer/ppo/v1/trainer_base.py:412, with only what is called around a step."""
    loop.global_steps += 1
    while loop.global_steps <= loop.total_training_steps:
        loop.on_step_begin()
        if loop.global_steps == loop.total_training_steps:
            loop._save_checkpoint()
        loop.on_step_end()
        loop.global_steps += 1


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(checkpoint, step) of each epoch that the loop has written."""
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    found: list[tuple[str, int]] = []

    def write(record: Path, checkpoint: Path, epoch: Epoch, base_models: dict[str, str]) -> None:
        assert base_models == {"actor": "a", "critic": "c"}
        folder = record / "epochs" / epoch.name
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"number": epoch.number, "step": epoch.step, "complete": epoch.complete}
        (folder / "epoch.json").write_text(json.dumps(facts))
        found.append((str(checkpoint), epoch.step))

    monkeypatch.setattr(epochs, "write", write)
    monkeypatch.setattr(PPOTrainerSync, "fit", verls_fit)
    for hook in ("on_init_end", "on_step_end"):
        monkeypatch.setattr(PPOTrainerSync, hook, lambda loop: None)
    return found


def names(*steps: int) -> list[tuple[str, int]]:
    return [(f"global_step_{step}", step) for step in steps]


def test_every_epoch_and_the_end_are_written_from_checkpoints_of_their_own_steps(
    tmp_path: Path, written: list[tuple[str, int]]
) -> None:
    loop = Loop(tmp_path, total=8)
    loop.fit(None)
    assert written == names(3, 6, 8)
    assert loop.saves == [3, 6, 8]


def test_nothing_is_written_unless_asked_for(
    tmp_path: Path, written: list[tuple[str, int]]
) -> None:
    loop = Loop(tmp_path, total=8, asked=False)
    loop.fit(None)
    assert (written, loop.saves) == ([], [8])


def test_a_continued_run_does_no_finished_epoch_again_and_makes_up_a_missing_one(
    tmp_path: Path, written: list[tuple[str, int]]
) -> None:
    Loop(tmp_path, total=6).fit(None)
    Loop(tmp_path, total=9, resumed=6).fit(None)
    assert written == names(3, 6, 9)
    (tmp_path / "epochs" / "epoch_3" / "epoch.json").unlink()
    Loop(tmp_path, total=12, resumed=9).fit(None)
    assert written == names(3, 6, 9, 9, 12)


def test_steps_that_are_trained_again_replace_their_epoch(
    tmp_path: Path, written: list[tuple[str, int]]
) -> None:
    Loop(tmp_path, total=6).fit(None)
    Loop(tmp_path, total=6, resumed=3).fit(None)
    assert written == names(3, 6, 6)


def test_a_full_disk_is_waited_for(
    tmp_path: Path, written: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))] * 2
    write = epochs.write

    def write_when_there_is_room(*facts: Any) -> None:
        if full:
            raise full.pop()
        write(*facts)

    monkeypatch.setattr(epochs, "write", write_when_there_is_room)
    monkeypatch.setattr(disk, "RETRY_S", 0.01)
    monkeypatch.setattr(disk, "POLL_S", 0.01)
    Loop(tmp_path, total=3).fit(None)
    assert written == names(3)
    told = (tmp_path / "logs" / "events.jsonl").read_text()
    assert "Waiting for room on the disk" in told


def test_a_run_that_is_stopped_while_the_disk_is_full_writes_nothing_of_another_step(
    tmp_path: Path, written: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loop, "_save_checkpoint", lambda loop: None)
    Loop(tmp_path, total=3).fit(None)
    assert written == []


def test_a_run_is_not_finished_while_its_last_epoch_waits_for_room(
    tmp_path: Path, written: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "wait_for_room", lambda *_: False)
    loop = Loop(tmp_path, total=3)
    loop.fit(None)
    assert (written, loop.owes_an_epoch) == ([], True)


def test_a_request_to_stop_leaves_the_epoch_to_the_next_start(
    tmp_path: Path, written: list[tuple[str, int]]
) -> None:
    loop = Loop(tmp_path, total=9)
    loop.total_training_steps = 3  # as the trainer does when it is asked to stop
    loop.channel.stop.touch()
    loop.fit(None)
    assert (written, loop.saves[-1]) == ([], 3)
    loop.channel.stop.unlink()
    Loop(tmp_path, total=9, resumed=3).fit(None)
    assert written == names(3, 6, 9)
