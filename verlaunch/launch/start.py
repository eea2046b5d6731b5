"""From what was asked to a running run: look, prepare, launch.

    start(Asked(config, hardware.look(), "./train.sh --lr 1e-5"))    ->  0

In order of cost: what foresight.py sees, once; the folder's lock; model, data and reward
(ready.py); Ray. What is asked anew is what only a later moment can tell: a checkpoint's hashes when
the folder is ours, and numbers when every row is counted. The run's folder gets its first file when
nothing is left to check.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from rewards.spec import to_dict
from verlaunch.cluster.facts import Node
from verlaunch.cluster.leading import Leading, leading
from verlaunch.config import trainer_extras
from verlaunch.config.compose import fill, to_yaml
from verlaunch.config.tree import Config, ranks, ranks_here
from verlaunch.engine import environment
from verlaunch.errors import raise_all, stopping
from verlaunch.launch import folder, head_start
from verlaunch.launch.head_start import Early
from verlaunch.launch.ready import Ready, prepare
from verlaunch.launch.run import Launch, run
from verlaunch.launch.screen import Screen
from verlaunch.paths import as_typed
from verlaunch.plan import rows, sentences
from verlaunch.plan.asked import Asked
from verlaunch.plan.foresight import foresee, look_around, resumed
from verlaunch.plan.nodes import rows as node_rows
from verlaunch.plan.outlook import Outlook
from verlaunch.plan.reward.trial.trial import Trial, try_reward
from verlaunch.record import trackers
from verlaunch.record.channel import has_ended, has_step, rewind
from verlaunch.record.checkpoints.manifest import Checkpoint
from verlaunch.record.checkpoints.resume import remember
from verlaunch.record.checkpoints.retention import set_aside_after, sweep
from verlaunch.text import row
from verlaunch.weights.fitting import fitting

BEFORE_ALL = -1  # the validation before training is of step 0


def start(asked: Asked) -> int:
    """Exit code: 0, or what the run ended with. Raises UserError before anything is written."""
    screen = Screen(sys.stdout)
    around = look_around(asked)
    there = (around.leads, around.token, asked.config, asked.machine, asked.folder)
    # Before the whole look: the other machines hear of a mistake here as well.
    with leading(*there, screen.say) as nodes:
        outlook = foresee(asked, around)
        raise_all(outlook.problems)
        with folder.locked(asked.folder) as left_behind:
            if left_behind:
                print(left_behind)
            sweep(asked.checkpoints)
            outlook = replace(outlook, resume=resumed(asked, hashes=True))
            moves = asked.launch["resume"] == "never"  # the folder's logs, later on
            with contextlib.nullcontext() if moves else _begin(asked, nodes) as begun:
                code = _start_locked(outlook, screen, nodes, begun)
        if nodes:
            nodes.leader.code = code
        return code


def _begin(asked: Asked, nodes: Leading | None) -> contextlib.AbstractContextManager[Early | None]:
    if not head_start.pays(asked.config.hardware, asked.launch):
        return contextlib.nullcontext()
    if nodes is None:
        return head_start.start(asked.folder)
    return head_start.start(asked.folder, nodes.leader.place, nodes.environment())


def _start_locked(
    outlook: Outlook, screen: Screen, nodes: Leading | None, begun: Early | None
) -> int:
    asked, resume = outlook.asked, outlook.resume.checkpoint
    is_demo = asked.inputs.is_demo
    if is_demo:
        print(as_typed(sentences.DEMO))
    ready = prepare(outlook)
    if resume is not None and _has_ended(ready, resume):
        return 0
    trial = try_reward(ready.spec, ready.rows)
    raise_all(stopping(trial.findings))
    _tell(ready, trial)
    if resume is not None:
        resume = fitting(resume, ranks(ready.config.verl), asked.checkpoints)
    if nodes:
        _gather(nodes, ready)
    config = fill(ready.config, {**ready.files(), **_going_on(ready, resume)})
    _write_record(ready, config, resume, nodes.nodes if nodes else ())
    launch = _launch(ready, config, trial)
    if nodes:
        here = ranks_here(config.verl)
        nodes.prepare_start(launch.ray_cpus, here, launch.object_store_bytes)
    with contextlib.nullcontext(begun) if begun else _begin(asked, nodes) as begun:
        code = run(launch, screen, asked.launch["verbose"], nodes=nodes, begun=begun)
    if code == 0:
        print(as_typed(sentences.done(asked.folder, is_demo)))
    return code


def _tell(ready: Ready, trial: Trial) -> None:
    """The plan, and what the trial of the reward and the checkpoints add to it."""
    asked, outlook = ready.outlook.asked, ready.outlook
    plan = [rows.text(outlook), *sentences.about_inputs(ready.prepared, trial)]
    print(as_typed("\n".join(plan)))
    of_trackers = trackers.notes(asked.trackers, asked.folder, os.environ)
    for note in (*of_trackers, *environment.notes(ready.config.hardware, os.environ)):
        print(row("note", note))
    for line in sentences.resuming(outlook.resume, ranks(ready.config.verl)):
        print(line)


def _gather(nodes: Leading, ready: Ready) -> None:
    """Until every machine is here and ready; then which of them holds what."""
    nodes.gather(ready.models())
    addresses = {one.rank: one.address for one in nodes.nodes}
    for pair in node_rows(ready.config, ready.spec, addresses):
        print(row(*pair), flush=True)


def _has_ended(ready: Ready, resume: Checkpoint) -> bool:
    """Whether nothing is left to do, of what comes after the last checkpoint either."""
    asked, total = ready.outlook.asked, ready.plan.steps.total
    exported = bool(asked.launch["export"])
    if resume.step < total or not has_ended(asked.folder, resume.step, exported):
        return False
    print(sentences.complete(resume, total))
    return True


def _going_on(ready: Ready, resume: Checkpoint | None) -> dict[str, Any]:
    """From which checkpoint, and whether the validation there is in the record: not where the run
    was killed before it."""
    if resume is None:
        return {"trainer.resume_mode": "disable", "trainer.resume_from_path": None}
    every = ready.config.verl["trainer"]["test_freq"]
    due = every > 0 and (resume.step % every == 0 or resume.step >= ready.plan.steps.total)
    missing = due and not has_step(ready.outlook.asked.folder, resume.step)
    return {
        "trainer.resume_mode": "resume_path",
        "trainer.resume_from_path": str(resume.path),
        "trainer.val_before_train": missing,
    }


def _write_record(
    ready: Ready, config: Config, resume: Checkpoint | None, nodes: Sequence[Node]
) -> None:
    asked = ready.outlook.asked
    wanted = asked.launch["resume"]
    if wanted == "never" and (aside := folder.set_aside(asked.folder)):
        print(f"Moved the earlier run to {aside}.")
    rewind(asked.folder, resume.step if resume else BEFORE_ALL)
    if resume:
        if aside := set_aside_after(asked.checkpoints, resume.step):
            print(f"Moved later checkpoints to {aside}; delete them when you like.")
        if wanted != "auto":
            remember(asked.checkpoints, wanted, resume.step)
    place = ready.outlook.place
    folder.write_facts(asked.folder, ready.identity, to_yaml(config), asked.command, place)
    folder.write_environment(asked.folder, config.hardware, asked.machine, config.recipe, nodes)


def _launch(ready: Ready, config: Config, trial: Trial) -> Launch:
    """`config`: with every path."""
    asked, plan = ready.outlook.asked, ready.plan
    settings, place = asked.launch, ready.outlook.place
    return Launch(
        config=config.verl,
        record=str(asked.folder),
        hardware=config.hardware,
        ray_cpus=plan.ray_cpus,
        ray_gpus=plan.ray_gpus,
        object_store_bytes=plan.object_store_bytes,
        rollout_workers=plan.rollout_workers,
        export=str(asked.checkpoints / "final") if settings["export"] else None,
        hang_timeout_s=60 * settings["hang_timeout"],
        grace_s=settings["grace"],
        training=asdict(trainer_extras.of(config)),
        reward=to_dict(trial.spec),
        reward_keys=trial.keys,
        reward_told=list(trial.asked),
        reward_gpus=settings["rm_gpus"],
        references=[asdict(row) for row in ready.references],
        place=asdict(place) if place else None,
        ray_address=settings["ray_address"] or "",
    )
