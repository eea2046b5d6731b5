"""What a run would be, and every problem that shows beforehand: the half of a start that looks.

    Foresight(config, machine.look(), "./train.sh --lr 1e-5").foresee().problems   ->  ()

Reads small files, so that --dry_run and --print_config answer at once and leave nothing behind.
Left out on purpose: anything that writes, downloads or loads; that is start.py's.
"""

import os
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from rewards.spec import RewardSpec
from verlaunch import paths
from verlaunch.cluster import place, tokens
from verlaunch.config.compose import fill, run_folder
from verlaunch.config.derive import Facts, derive
from verlaunch.config.tree import Config, get, ranks
from verlaunch.errors import Finding, UserError, raise_all, stopping, warnings
from verlaunch.inputs.choice import Inputs
from verlaunch.inputs.data import Look, quick_look
from verlaunch.inputs.data.select import default_val_size
from verlaunch.inputs.models import Model
from verlaunch.machine import host
from verlaunch.machine.disk import check_writable
from verlaunch.machine.hardware import Machine
from verlaunch.plan import guards, sentences
from verlaunch.plan.guards import data_sources
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.memory.expected import Memory, Room, Sizes, expected, fitted, sizes_of
from verlaunch.plan.outlook import Outlook
from verlaunch.plan.plan import Plan, make_plan
from verlaunch.plan.reward.identity import identity as reward_identity
from verlaunch.plan.reward.rows import Work, route
from verlaunch.plan.reward.spec import reward_spec
from verlaunch.plan.reward.trial.rows import first_rows
from verlaunch.plan.reward.trial.trial import DEADLINE_S, try_reward
from verlaunch.plan.roles import in_one_line, roles
from verlaunch.record import checkpoints, trackers
from verlaunch.record.checkpoints import Resume
from verlaunch.record.identity import check_identity

# Where the model is not known, sizes and lengths are checked without it.
UNKNOWN = Model("the model", "", 32_000, None, None)


@dataclass(frozen=True)
class Preview:
    config: Config  # with no number left open
    plan: Plan
    resume: Resume
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Planned:
    """What the numbers of model, data and machine make of a configuration."""

    config: Config  # with no number left open
    plan: Plan
    facts: Facts
    memory: Memory


class Foresight:
    """`command`: what the user typed, for command.sh."""

    def __init__(self, config: Config, machine: Machine, command: str) -> None:
        self.config = config
        self.machine = machine
        self.command = command
        self.launch = config.launch
        self.inputs = Inputs(config)
        self.folder = run_folder(config)
        self.trackers = trackers.chosen(config.verl["trainer"]["logger"])
        self.checkpoints = self.folder / "checkpoints"
        self.host = host.look()
        self.place: place.Place | None = None  # among several machines
        self._sizes: Sizes | None = None
        self._warnings: tuple[str, ...] = ()

    def preview(self) -> Preview:
        """What small files, folders and numbers show. Raises UserError without model or data."""
        outlook = self.foresee()
        if outlook.plan is None:
            raise UserError(*outlook.problems)
        return Preview(outlook.config, outlook.plan, outlook.resume, outlook.problems)

    def foresee(self, rehearsed: bool = False) -> Outlook:
        """All that is known, with every problem. `rehearsed`: the reward is tried as well."""
        found = guards.findings(guards.TYPED, self.config)
        can_count = not found  # a size that is none leaves nothing to count with
        model = _or_found(found, self.inputs.model)
        look = _or_found(found, self._look)
        spec = _or_found(found, self._reward)
        resume = _or_found(found, lambda: self._resume(spec)) if can_count else None
        _or_found(found, self._find_place)
        _or_found(found, self._check_token)
        _or_found(found, paths.temp_dir)
        _or_found(found, lambda: check_writable(self.folder))
        known = Outlook(
            self.config,
            self.machine,
            self.folder,
            tuple(shlex.split(self.command)),
            model=model,
            look=look,
            spec=spec,
            resume=resume or Resume(None),
            place=self.place,
        )
        if look is not None and spec is not None:
            found += guards.findings(guards.REWARD, spec, look.data_sources)
            if rehearsed and not stopping(found):
                rows = first_rows(self.inputs.sources()[0], look.data_sources)
                tried = try_reward(spec, rows, DEADLINE_S)
                known, found = replace(known, trial=tried), [*found, *tried.findings]
        if can_count:
            known = self._counted(known, found)
        return replace(known, findings=tuple(found))

    def _is_several(self) -> bool:
        """Whether machines come together for this run; a guest's are in their cluster already."""
        return place.nodes_of(self.config) > 1 and not self.launch["ray_address"]

    def _find_place(self) -> None:
        """Raises UserError."""
        self.place = place.of(self.config) if self._is_several() else None

    def _check_token(self) -> None:
        """Raises UserError where one is given that cannot be one."""
        if self._is_several():
            tokens.given(self.launch, os.environ)

    def _look(self) -> Look:
        train, val = self.inputs.sources()
        look = quick_look(train)
        raise_all([*look.problems, *(quick_look(val, 1000).problems if val else ())])
        return look

    def _reward(self) -> RewardSpec:
        return reward_spec(self.config, self.folder)

    def _counted(self, known: Outlook, found: list[Finding]) -> Outlook:
        """With the plan, if model, data and reward are known; what its numbers contradict is found
        in any case."""
        model, look, spec = known.model, known.look, known.spec
        rows = self._training_rows(look) if look else 1
        exact = look.exact if look else False
        # Memory is asked about last: it takes seconds, and what is mended first may change it.
        sizes = self._sizes_of(model) if model and not stopping(found) else Sizes(None)
        planned = self._plan(
            model or UNKNOWN,
            sizes,
            rows,
            exact,
            sentences.looked_data(look, rows) if look else "",
            spec,
            look.data_sources if look else (),
        )
        scene = self._scene(planned, model or UNKNOWN, sizes)
        seen = guards.findings(guards.NUMBERS, scene)
        if model is None or look is None or spec is None:
            found += seen
            return known
        seen += guards.findings(guards.GUARDS, scene)
        found += seen
        self._warnings = tuple(warnings(seen))
        return replace(
            known,
            config=planned.config,
            plan=None if any(data_sources.check(spec, look.data_sources)) else planned.plan,
            facts=planned.facts,
            memory=planned.memory,
        )

    def _sizes_of(self, model: Model) -> Sizes:
        """Once: it may take a child process some seconds."""
        if self._sizes is None:
            self._sizes = sizes_of(model, self.inputs.critic_model())
        return self._sizes

    def _scene(self, planned: Planned, model: Model, sizes: Sizes) -> Scene:
        return Scene(
            config=planned.config,
            model=model,
            machine=self.machine,
            host=self.host,
            folder=self.folder,
            ray_cpus=planned.plan.ray_cpus,
            ray_gpus=planned.plan.ray_gpus,
            object_store_bytes=planned.plan.object_store_bytes,
            env=os.environ,
            shape=sizes.shape,
            memory=planned.memory,
            rows=planned.facts.train_rows if planned.facts.rows_exact else None,
        )

    def _training_rows(self, look: Look) -> int:
        good = look.rows - sum(look.dropped.values())
        if self.inputs.sources()[1]:
            return good
        return max(0, good - (self.launch["val_size"] or default_val_size(good)))

    def _plan(
        self,
        model: Model,
        sizes: Sizes,
        rows: int,
        exact: bool,
        about_data: str,
        spec: RewardSpec | None,
        data_sources: Iterable[str],
    ) -> Planned:
        """What is open is derived, then --fit auto decides, and what follows is derived again."""
        facts = self._facts(model, rows, exact)
        room = Room.of(self.machine, self.config.hardware, self.folder, self.host.shm_bytes)
        config, chosen = fitted(fill(self.config, derive(self.config.verl, facts)), sizes, room)
        if chosen.values:
            config = fill(config, derive(config.verl, facts))
        memory = expected(config, sizes, room, chosen)
        reward = route(spec, Work.of(config.verl, data_sources)) if spec else ()
        line = in_one_line(roles(config, spec))
        nodes = (("nodes", str(self.place)),) if self.place else ()
        more = (*nodes, ("roles", line), *((("memory", memory.line()),) if memory.line() else ()))
        plan = make_plan(
            config,
            model,
            facts,
            (("data", about_data), *reward),
            len(self.machine.gpus),
            str(self.folder),
            (*more, *(("fit", sentence) for sentence in memory.said)),
            self._warnings,
        )
        return Planned(config, plan, facts, memory)

    def _facts(self, model: Model, rows: int, exact: bool) -> Facts:
        on_gpus = self.config.hardware == "gpu" and self.machine.gpus
        cards = [gpu.memory_gib for gpu in self.machine.gpus] if on_gpus else []
        return Facts(
            hardware=self.config.hardware,
            cores=self.machine.cores,
            memory_gib=min(cards, default=self.machine.memory_gib),
            train_rows=rows,
            vocab_size=model.vocab_size,
            model=model.name,
            run_name=self.launch["run_name"] or self.folder.name,
            checkpoints=str(self.checkpoints),
            rows_exact=exact,
            cached_values=model.cached_values,
        )

    def _resume(self, spec: RewardSpec | None, hashes: bool = False) -> Resume:
        """Where to continue from. Raises UserError when that belongs to another run."""
        wanted = self.launch["resume"]
        if wanted == "never":
            return Resume(None)
        chosen = checkpoints.choose(self.checkpoints, wanted, hashes)
        reward = {"reward": reward_identity(spec)} if spec else {}
        check_identity(self.folder, {**self.inputs.identity(), **reward})
        if chosen.checkpoint:
            verl = self.config.verl
            keys = (*checkpoints.STRATEGIES, *checkpoints.MESHES)
            settings = {key: get(verl, key) for key in keys}
            checkpoints.check_ranks(chosen.checkpoint, ranks(verl), settings)
        return chosen


Found = TypeVar("Found")


def _or_found(found: list[Finding], question: Callable[[], Found]) -> Found | None:
    """The answer, or None with what is wrong noted, so that all can be told at once."""
    try:
        return question()
    except UserError as error:
        found += map(Finding, error.problems)
        return None
