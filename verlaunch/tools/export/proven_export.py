"""One export, from an order to folders that have been proven.

    write(Order(pick(Path("outputs")), Path("exported"), "keep", False, True, True))

Everything is built beside OUT and moved there when it is right: OUT is whole or absent. What needs
torch is imported when the cheap questions are answered.
"""

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verlaunch.errors import UserError
from verlaunch.inputs.tokenizer import published
from verlaunch.machine import disk
from verlaunch.record.checkpoints.manifest import Unusable, check_hashes
from verlaunch.record.tried_prompts import asked
from verlaunch.tools.export import room
from verlaunch.tools.export.card import CURVES, card
from verlaunch.tools.export.facts import Facts, facts
from verlaunch.tools.export.pick import Picked

RECORD = "export.json"
UNREAD = ("optim_", "extra_state_")
MOST_TOKENS = 64  # of the answer that is shown


@dataclass(frozen=True)
class Order:
    picked: Picked
    out: Path
    dtype: str
    adapter: bool
    critic: bool
    check: bool

    @property
    def name(self) -> str:
        return "adapter" if self.adapter else "actor"

    def role(self, name: str) -> Path:
        """The training shards."""
        return self.picked.checkpoint.path / name


def _check_room(order: Order, known: Facts) -> None:
    from verlaunch.weights.export import sizes

    roles = [("actor", known.base), *([("critic", known.critic_base)] if order.critic else [])]
    found = [sizes(order.role(role), base, order.dtype) for role, base in roles]
    small = 1 if order.adapter else 0  # an adapter is a hundredth of its model
    room.check_disk(order.out, sum(size.written for size in found[small:]))
    if order.check:
        room.check_memory(max(size.fp32 for size in found))


def _check_intact(order: Order) -> None:
    """A shard of another step or rank has the right size and shape: only its hash tells. The
    optimizer's files, two thirds of a checkpoint, are not read here."""
    roles, checkpoint = ("actor", "critic") if order.critic else ("actor",), order.picked.checkpoint
    folders = {name: name.partition("/") for name in checkpoint.files}
    needed = [name for name, (role, _, file) in folders.items()
              if role in roles and not file.startswith(UNREAD)]  # fmt: skip
    try:
        check_hashes(checkpoint, needed)
    except Unusable as reason:
        raise UserError(f"{reason}. Take another checkpoint with --step N.") from None


def _write_models(order: Order, known: Facts, into: Path) -> None:
    from verlaunch.weights.export import export, export_adapter

    if order.adapter:
        export_adapter(order.role("actor"), into / "adapter", known.base_id or known.base)
    else:
        export(order.role("actor"), into / "actor", known.base, order.dtype, known.base_id)
    if order.critic:
        export(order.role("critic"), into / "critic", known.critic_base, order.dtype)


def _prove(order: Order, known: Facts, into: Path) -> list[str]:
    """Sentences for the card. Raises CannotExport when the export is not what was trained."""
    from verlaunch.weights.proof import prove_critic, prove_policy

    on = asked(order.picked.run, known.step)
    base = known.base if order.adapter else ""
    tokens = min(known.longest_response or MOST_TOKENS, MOST_TOKENS)
    told = prove_policy(order.role("actor"), into / order.name, on, tokens, base)
    print(f"  asked     {on[0].messages[-1]['content']!r}")
    print(f"  answers   {told.answer!r}")
    proofs = [told.proof]
    if order.critic:
        proofs.append(prove_critic(order.role("critic"), into / "critic", told.texts))
    for proof in proofs:
        print(f"  checked   {proof}")
    return [f"{proof}." for proof in proofs] + _prove_small(order, known, into)


def _prove_small(order: Order, known: Facts, into: Path) -> list[str]:
    """Where the model that training began with is on this machine."""
    from verlaunch.weights.small_proof import Wanted, prove_small

    base = published(Path(known.base)) if known.base else Path()
    if not (base / "config.json").is_file():
        return []
    wanted = Wanted(base, known.stops, known.template, order.dtype, whole=not order.adapter)
    said = prove_small(into / order.name, wanted)
    print(f"  checked   {said[0].lower()}{said[1:-1]}")
    return [said]


def _write_papers(order: Order, known: Facts, checks: Sequence[str], into: Path) -> None:
    policy = into / order.name
    if known.curves:
        shutil.copy(known.curves, policy / CURVES)
    (policy / "README.md").write_text(card(known, checks, order.adapter, order.critic))
    record = {
        "step": known.step,
        "checkpoint": order.picked.fingerprint(),
        "dtype": order.dtype,
        "time": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "checks": list(checks),
    }
    (into / RECORD).write_text(json.dumps(record, indent=1) + "\n")


def _hush() -> None:
    """No progress bars and no hints of libraries on a person's screen."""
    from transformers.utils import logging as of_transformers

    of_transformers.disable_progress_bar()
    of_transformers.set_verbosity_error()
    # Shards are read without a process group, which their device mesh tells of once per file.
    logging.getLogger("torch.distributed.device_mesh").setLevel(logging.ERROR)


def write(order: Order) -> None:
    """Raises UserError, and CannotExport for shards that make no model."""
    _hush()
    known = facts(order.picked)
    _check_room(order, known)
    _check_intact(order)
    try:
        with disk.building(order.out) as into:
            _write_models(order, known, into)
            checks = _prove(order, known, into) if order.check else []
            _write_papers(order, known, checks, into)
            room.check_empty(order.out)
    except Exception as error:
        why = room.why_not_written(error)
        if why is None:
            raise
        raise UserError(
            f"{order.out} cannot be written: {why}. Nothing was left there; make room, or name "
            "another OUT."
        ) from None
