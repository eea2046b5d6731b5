"""Policy and critic as Hugging Face folders, after each pass over the data and at a run's end.

    epochs/epoch_2/{actor/, critic/, config.yaml, training_curves.png, epoch.json}

Both are exported from the checkpoint of that very step, which is made where --save_freq makes none.
An epoch is written when its last step is in the record, so that the plot shows it, and is there
whole or not at all: a run that died or was stopped in between makes it up when it is continued.
"""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verlaunch.engine.heartbeat import beat
from verlaunch.engine.training.saving import Saving
from verlaunch.machine import disk
from verlaunch.weights.export import export

logger = logging.getLogger(__name__)

EPOCHS = "epochs"
FACTS = "epoch.json"
PLOT = "training_curves.png"


@dataclass(frozen=True)
class Epoch:
    number: int  # from 1
    step: int  # the last one that is in it
    complete: bool  # a whole pass over the data; the run's last one may be cut by --steps

    @property
    def name(self) -> str:
        return f"epoch_{self.number}"


def ended(step: int, steps_per_epoch: int, total_steps: int) -> Epoch | None:
    """The epoch that ends with this step, None in the middle of one."""
    number, rest = -(-step // steps_per_epoch), step % steps_per_epoch
    if step < 1 or (rest and step != total_steps):
        return None
    return Epoch(number, step, complete=not rest)


def is_written(record: Path, epoch: Epoch) -> bool:
    try:
        facts = json.loads((record / EPOCHS / epoch.name / FACTS).read_text())
    except (OSError, ValueError):
        return False
    return facts == asdict(epoch)


def sweep(record: Path) -> None:
    """Removes what a killed run was still building."""
    for half in (record / EPOCHS).glob(".epoch_*"):
        shutil.rmtree(half, ignore_errors=True)


def _plot(record: Path, out: Path) -> None:
    from verlaunch.record.report.curves import draw
    from verlaunch.record.report.history import read

    try:
        draw(read(record), out)
    except Exception:  # no picture is worth a run
        logger.exception("the curves of %s could not be drawn", out.parent.name)


def write(record: Path, checkpoint: Path, epoch: Epoch, base_models: dict[str, str]) -> Path:
    """base_models: the folder or hub id that each role, actor or critic, began with.

    Replaces the same epoch of an earlier attempt, or a shorter one of a run that was made longer.
    """
    out = record / EPOCHS / epoch.name
    with disk.building(out) as building:
        for role in (role for role in base_models if (checkpoint / role).is_dir()):
            beat()
            export(checkpoint / role, building / role, base_models[role])
        shutil.copy(record / "config.yaml", building)
        _plot(record, building / PLOT)
        (building / FACTS).write_text(json.dumps(asdict(epoch)) + "\n")
    return out


class Epochs(Saving):
    unwritten: Epoch | None = None

    def on_init_end(self) -> None:
        super().on_init_end()
        if not self.training.save_epochs:
            return
        sweep(self.channel.folder)
        epoch = self._ended()
        if epoch and not is_written(self.channel.folder, epoch):
            self.unwritten = epoch

    def on_step_begin(self) -> None:
        super().on_step_begin()
        self._write_epoch()

    def on_step_end(self) -> None:
        epoch = self._ended() if self.training.save_epochs else None
        if epoch and self.saved_step < self.global_steps:
            self._save_checkpoint()
        is_saved = self.saved_step == self.global_steps  # not where a full disk ends the run
        self.unwritten = epoch if is_saved else None
        super().on_step_end()

    def fit(self, agent_loop_manager: Any) -> None:
        super().fit(agent_loop_manager)
        if self._is_over() or not self.channel.stop_requested():  # time is short then
            self._write_epoch()

    def _is_over(self) -> bool:
        return self.saved_step == self.config.trainer.total_training_steps

    @property
    def owes_an_epoch(self) -> bool:
        """Of its last step, which the same command makes up."""
        return self._is_over() and self.unwritten is not None

    def _ended(self) -> Epoch | None:
        total = self.config.trainer.total_training_steps  # not lowered by a request to stop
        return ended(self.global_steps, self.steps_per_epoch, total)

    def _write_epoch(self) -> None:
        """Waits for room on the disk; who stops the run then leaves the epoch to its next start."""
        epoch, checkpoint = self.unwritten, Path(self.last_checkpoint)
        if epoch is None:
            return
        base_models = {
            "actor": self.config.actor_rollout_ref.model.path,
            "critic": self.config.critic.model.path,
        }
        folder = self.channel.folder
        if self._export(epoch.step, lambda: write(folder, checkpoint, epoch, base_models)):
            self.unwritten = None

    def export_last(self, out: Path) -> bool:
        """The policy of the last checkpoint; False where the run is stopped on a full disk."""
        actor = Path(self.last_checkpoint, "actor")
        base_model = self.config.actor_rollout_ref.model.path
        return self._export(self.saved_step, lambda: export(actor, out, base_model))

    def _export(self, step: int, write: Callable[[], object]) -> bool:
        shards = Path(self.last_checkpoint).glob("*/model_world_size_*.pt")
        room = (self.channel.folder, sum(file.stat().st_size for file in shards))
        return self._has_written("export", step, room, write)
