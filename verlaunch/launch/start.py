"""From a composed configuration to a running one: check, prepare, plan, launch.

    Start(config, machine.look(), "./train.sh --lr 1e-5").run()

`run` goes in order of cost: what foresight.py sees, the folder's lock, the model, the data, the
reward, Ray. The run's folder gets its first file when nothing is left to check.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rewards.part import Row
from rewards.spec import to_dict
from verlaunch.cluster.facts import Node
from verlaunch.cluster.leading import Leading, leading, to_ray
from verlaunch.cluster.place import Place
from verlaunch.config import trainer
from verlaunch.config.compose import fill, to_yaml
from verlaunch.config.tree import Config, ranks, ranks_here, uses_critic
from verlaunch.errors import UserError, raise_all, stopping
from verlaunch.inputs.choice import CRITIC, MODEL, TEMPLATE
from verlaunch.inputs.data import Prepared
from verlaunch.launch import folder, head_start
from verlaunch.launch.head_start import Early
from verlaunch.launch.run import Launch, run
from verlaunch.launch.screen import Screen
from verlaunch.machine.disk import check_writable
from verlaunch.plan import guards, sentences
from verlaunch.plan.document import document
from verlaunch.plan.foresight import Foresight
from verlaunch.plan.guards import data_sources
from verlaunch.plan.nodes import rows as node_rows
from verlaunch.plan.page import page
from verlaunch.plan.plan import Plan
from verlaunch.plan.reward.identity import identity as reward_identity
from verlaunch.plan.reward.identity import scales
from verlaunch.plan.reward.references import settle
from verlaunch.plan.reward.trial.rows import prepared_rows
from verlaunch.plan.reward.trial.trial import Trial, try_reward
from verlaunch.record import checkpoints, trackers
from verlaunch.record.channel import has_ended, has_step, rewind
from verlaunch.record.checkpoints import Checkpoint, Resume
from verlaunch.record.identity import check_identity
from verlaunch.text import row
from verlaunch.weights.fitting import fitting

BEFORE_ALL = -1  # the validation before training is of step 0


class Start(Foresight):
    """What is seen beforehand, and then done."""

    def print_config(self) -> int:
        print(to_yaml(self.preview().config), end="")
        return 0

    def dry_run(self, form: str = "text") -> int:
        """Exit code 2 where there is a problem. `form`: "text" or "json"."""
        if form == "json":
            return self._dry_run_as_json()
        outlook = self.foresee(rehearsed=True)
        raise_all(outlook.problems)
        print(page(outlook, self.launch["verbose"]))
        return 0

    def _dry_run_as_json(self) -> int:
        with contextlib.redirect_stdout(sys.stderr):  # one document, and nothing else
            outlook = self.foresee(rehearsed=True)
        print(document(outlook))
        for problem in outlook.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2 if outlook.problems else 0

    def run(self) -> int:
        screen = Screen(sys.stdout)
        # Before anything else: the other machines hear of a mistake here as well.
        with leading(self._place(), self.config, self.machine, self.folder, screen.say) as nodes:
            raise_all(self.preview().problems)
            with folder.locked(self.folder) as left_behind:
                if left_behind:
                    print(left_behind)
                checkpoints.sweep(self.checkpoints)
                chosen = self._resume(self._reward(), hashes=True)
                moves = self.launch["resume"] == "never"  # the folder's logs, later on
                with contextlib.nullcontext() if moves else self._begin(nodes) as begun:
                    code = self._run_locked(chosen, screen, nodes, begun)
            if nodes:
                nodes.leader.code = code
            return code

    def _place(self) -> Place | None:
        """None for a run of one machine, and where there is none, which `preview` tells."""
        try:
            self._find_place()
            self._check_token()
            check_writable(self.folder)
        except UserError:
            return None
        return self.place

    def _begin(self, nodes: Leading | None) -> contextlib.AbstractContextManager[Early | None]:
        if not head_start.pays(self.config.hardware, self.launch, nodes is None):
            return contextlib.nullcontext()
        return head_start.start(self.folder)

    def _run_locked(
        self, chosen: Resume, screen: Screen, nodes: Leading | None, begun: Early | None
    ) -> int:
        resume = chosen.checkpoint
        if self.inputs.is_demo:
            print(sentences.DEMO)
        model_folder = self.inputs.model_folder()
        prepared = self.inputs.prepare(model_folder)
        rows = list(prepared_rows(prepared.train_file))
        spec, references = settle(self.config, self.folder, rows)
        identity = {**self.inputs.identity(prepared), "reward": reward_identity(spec),
                    "reward scale": scales(spec)}  # fmt: skip
        if self.launch["resume"] != "never":
            check_identity(self.folder, identity)
        raise_all(stopping(data_sources.check(spec, prepared.data_sources)))
        model = self.inputs.model()
        sizes = self._sizes_of(model)
        planned = self._plan(
            model,
            sizes,
            prepared.train_rows,
            True,
            sentences.prepared_data(prepared),
            spec,
            prepared.data_sources,
        )
        config, plan = planned.config, planned.plan
        scene = self._scene(planned, model, sizes)
        raise_all(stopping(guards.findings(guards.NUMBERS, scene)))
        if resume is not None and self._has_ended(resume, plan.total_steps):
            print(sentences.complete(resume, plan.total_steps))
            return 0
        trial = try_reward(spec, rows)
        raise_all(stopping(trial.findings))
        print("\n".join([plan.text(), *sentences.about_inputs(prepared, trial)]))
        for note in trackers.notes(self.trackers, self.folder, os.environ):
            print(row("note", note))
        for line in sentences.resuming(chosen, ranks(config.verl)):
            print(line)
        if resume is not None:
            resume = fitting(resume, ranks(config.verl), self.checkpoints)
        if nodes:
            nodes.gather(self._models(model_folder))
            for pair in node_rows(config, spec, {one.rank: one.address for one in nodes.nodes}):
                print(row(*pair), flush=True)
        again = self._validation(resume, config, plan.total_steps)
        config = fill(config, {**self._files(model_folder, prepared, resume), **again})
        self._write_record(identity, config, resume, nodes.nodes if nodes else ())
        launch = self._launch(config, plan, trial, references)
        if nodes:
            here = ranks_here(config.verl)
            nodes.prepare_start(plan.ray_cpus, here, plan.object_store_bytes)
        with contextlib.nullcontext(begun) if begun else self._begin(nodes) as begun:
            code = run(launch, screen, self.launch["verbose"], nodes=nodes, begun=begun)
        if code == 0:
            print(sentences.done(self.folder, self.inputs.is_demo))
        return code

    def _files(
        self, model_folder: Path, prepared: Prepared, resume: Checkpoint | None
    ) -> dict[str, Any]:
        """What verl reads from disk, as absolute paths."""
        return {
            MODEL: str(model_folder),
            TEMPLATE: self.inputs.template(model_folder),
            CRITIC: str(self.inputs.critic_folder(model_folder)),
            "data.train_files": str(prepared.train_file),
            "data.val_files": str(prepared.val_file),
            "trainer.resume_mode": "resume_path" if resume else "disable",
            "trainer.resume_from_path": str(resume.path) if resume else None,
        }

    def _models(self, model_folder: Path) -> dict[str, Path]:
        """What every machine reads."""
        models = {"model": model_folder}
        if uses_critic(self.config.verl):
            models["critic"] = self.inputs.critic_folder(model_folder)
        return models

    def _has_ended(self, resume: Checkpoint, total_steps: int) -> bool:
        """Whether nothing is left to do, of what comes after the last checkpoint either."""
        exported = bool(self.launch["export"])
        return resume.step >= total_steps and has_ended(self.folder, resume.step, exported)

    def _validation(
        self, resume: Checkpoint | None, config: Config, total_steps: int
    ) -> dict[str, Any]:
        """The one after a checkpoint is in the record, if the run was not killed before it."""
        if resume is None:
            return {}
        every = config.verl["trainer"]["test_freq"]
        due = every > 0 and (resume.step % every == 0 or resume.step >= total_steps)
        missing = due and not has_step(self.folder, resume.step)
        return {"trainer.val_before_train": missing}

    def _write_record(
        self,
        identity: dict[str, Any],
        config: Config,
        resume: Checkpoint | None,
        nodes: Sequence[Node],
    ) -> None:
        if self.launch["resume"] == "never" and (aside := folder.set_aside(self.folder)):
            print(f"Moved the earlier run to {aside}.")
        rewind(self.folder, resume.step if resume else BEFORE_ALL)
        if resume:
            if aside := checkpoints.set_aside_after(self.checkpoints, resume.step):
                print(f"Moved later checkpoints to {aside}; delete them when you like.")
            if self.launch["resume"] != "auto":
                checkpoints.remember(self.checkpoints, self.launch["resume"], resume.step)
        folder.write_facts(self.folder, identity, to_yaml(config), self.command, self.place)
        folder.write_environment(self.folder, config.hardware, self.machine, config.recipe, nodes)

    def _launch(
        self, config: Config, plan: Plan, trial: Trial, references: Sequence[Row]
    ) -> Launch:
        return Launch(
            config=config.verl,
            record=str(self.folder),
            hardware=config.hardware,
            ray_cpus=plan.ray_cpus,
            ray_gpus=plan.ray_gpus,
            object_store_bytes=plan.object_store_bytes,
            rollout_workers=plan.rollout_workers,
            export=str(self.folder / "checkpoints" / "final") if self.launch["export"] else None,
            hang_timeout_s=60 * self.launch["hang_timeout"],
            grace_s=self.launch["grace"],
            training=asdict(trainer.of(config)),
            reward=to_dict(trial.spec),
            reward_keys=trial.keys,
            reward_told=list(trial.asked),
            reward_gpus=self.launch["rm_gpus"],
            references=[asdict(row) for row in references],
            place=to_ray(self.place) if self.place else None,
            ray_address=self.launch["ray_address"] or "",
        )
