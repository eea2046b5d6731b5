"""Where a run goes on: the newest checkpoint that proves whole, or the one that --resume names.

    chosen = choose(checkpoints, "auto", hashes=True)
    chosen.checkpoint, chosen.notes        # None: from the beginning; notes are for the screen

--resume FOLDER is where a run starts, once: the same command later goes on from what it has saved
since, which origin.json tells. Nothing here changes a file but `remember`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verlaunch.errors import UserError
from verlaunch.record.checkpoints.manifest import MANIFEST, Checkpoint, Unusable, examine
from verlaunch.record.checkpoints.search import Search, folders, search
from verlaunch.text import plural

ORIGIN = "origin.json"
STRATEGIES = ("actor_rollout_ref.actor.strategy", "critic.strategy")
MESHES = ("actor_rollout_ref.actor.fsdp_config.fsdp_size", "critic.fsdp.fsdp_size")
TAKES = "--resume takes auto, never, or the folder of a complete checkpoint"
MERGE = "python -m verl.model_merger merge --backend fsdp --local_dir {}/actor --target_dir MODEL"


@dataclass(frozen=True)
class Resume:
    checkpoint: Checkpoint | None
    notes: tuple[str, ...] = ()


def choose(checkpoints: Path, wanted: str, hashes: bool = False) -> Resume:
    """`wanted`: "auto" or a folder. `hashes`: every byte is read, which takes a while.

    Raises UserError when what was saved cannot be used, and starting anew would throw it away.
    """
    if wanted == "auto":
        return _newest(checkpoints, search(checkpoints, hashes))
    source = Path(wanted).expanduser().resolve()
    started_at = _started(checkpoints, source)
    if started_at is not None:
        own = search(checkpoints, hashes)
        if own.found and own.found.step > started_at:
            text = f"this run started from {source} and goes on from what it has saved since."
            return Resume(own.found, (*map(_passed_over, own.passed_over), text))
    return Resume(_named(wanted, source, hashes))


def remember(checkpoints: Path, wanted: str, step: int) -> None:
    """Notes that this run has started from the folder that --resume named."""
    facts = {"from": str(Path(wanted).expanduser().resolve()), "step": step}
    checkpoints.mkdir(parents=True, exist_ok=True)
    (checkpoints / ORIGIN).write_text(json.dumps(facts) + "\n")


def _started(checkpoints: Path, source: Path) -> int | None:
    try:
        facts = json.loads((checkpoints / ORIGIN).read_text())
        return int(facts["step"]) if facts["from"] == str(source) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _passed_over(one: Unusable) -> str:
    return f"passed over {one.path.name}: it {one.why}."


def _newest(checkpoints: Path, result: Search) -> Resume:
    notes = tuple(map(_passed_over, result.passed_over))
    if result.found or not result.passed_over:
        return Resume(result.found, notes)
    if result.lost:
        told = "; ".join(f"{one.path.name} {one.why}" for one in result.lost)
        raise UserError(
            f"No checkpoint in {checkpoints} can be used: {told}. Put the files back from a copy, "
            "or start over with --resume never (the old files are moved aside)."
        )
    return Resume(None, (*notes, "none was ever complete: starting from the beginning."))


def _named(wanted: str, source: Path, hashes: bool) -> Checkpoint:
    try:
        return examine(source, hashes)
    except Unusable as reason:
        raise UserError(f"--resume {wanted}: {_what_it_is(source, reason)}") from None


def _what_it_is(source: Path, reason: Unusable) -> str:
    if not source.is_dir():
        return f"no such folder. {TAKES} (.../checkpoints/global_step_N)."
    inside = {**folders(source), **folders(source / "checkpoints")}
    if inside:
        return f"it holds checkpoints. Name one of them: {list(inside.values())[-1]}."
    if (source / "actor").is_dir() and not (source / MANIFEST).exists():
        return (
            f"it has no {MANIFEST}, so whether it is whole cannot be known: the save was cut off, "
            f"or verl wrote it without this launcher. {TAKES}. Its policy alone: "
            f"{MERGE.format(source)}, then --model MODEL in a run of its own."
        )
    return f"it {reason.why}. {TAKES}."


def check_ranks(found: Checkpoint, ranks: int, settings: Mapping[str, Any]) -> None:
    """`settings`: verl's at the keys STRATEGIES and MESHES. Raises UserError where the shards of
    another number of ranks could not be cut anew."""
    if found.ranks == ranks:
        return
    why = [f"{key}={settings[key]}" for key in STRATEGIES if settings[key] != "fsdp2"]
    why += [f"{key}={settings[key]}" for key in MESHES if 0 <= (settings[key] or -1) < ranks]
    if why:
        told = f"with {', '.join(why)} the shards would not be plain FSDP2's."
        raise UserError(only_by(found, ranks, told))


def only_by(found: Checkpoint, ranks: int, why: str) -> str:
    return (
        f"{found.path} was saved by {plural(found.ranks, 'rank')} and cannot be continued by "
        f"{ranks}: {why} Use --n_gpus {found.ranks} (of several machines as many in all), or "
        "--run_name NAME for a new run."
    )
