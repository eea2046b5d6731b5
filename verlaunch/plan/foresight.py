"""Looks once at all that a run would meet: what it would be, and every problem that shows.

    foresee(Asked(config, hardware.look(), "./train.sh --lr 1e-5")).problems   ->  ()

    look_around   where this machine stands: its place among several, the token, the folder
    foresee       the same with model, data, reward, checkpoints, numbers, memory and machine
    counted       the numbers anew for prepared data, since a quick look need not see every row
    of_member     what a machine that joins can say: its own half, without data and reward

Reads small files, so that --dry_run and --print_config answer at once and leave nothing behind.
Left out on purpose: anything that writes, downloads or loads; that is launch/'s.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from rewards.spec import RewardSpec
from verlaunch import paths
from verlaunch.cluster import place, tokens
from verlaunch.cluster.place import Place
from verlaunch.config.compose import fill
from verlaunch.config.derive import Facts, derive
from verlaunch.config.tree import get, ranks
from verlaunch.errors import Finding, UserError, raise_all, stopping
from verlaunch.inputs.choice import Sources
from verlaunch.inputs.data.look import Look, quick_look
from verlaunch.inputs.data.prepare import Prepared
from verlaunch.inputs.data.select import default_val_size
from verlaunch.inputs.models import Model
from verlaunch.machine.disk import check_writable
from verlaunch.plan import guards, prompts
from verlaunch.plan.asked import Asked
from verlaunch.plan.guards.reward_parts import unscored
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.memory.expected import Room, Sizes, expected, fitted, sizes_of
from verlaunch.plan.outlook import Outlook
from verlaunch.plan.reward.same_reward import identity as reward_identity
from verlaunch.plan.reward.spec import reward_spec
from verlaunch.plan.reward.trial.rows import first_rows
from verlaunch.plan.reward.trial.trial import DEADLINE_S, try_reward
from verlaunch.plan.sizes import make_plan
from verlaunch.plan.tokenizer_files import turn_of
from verlaunch.record.checkpoints.resume import MESHES, STRATEGIES, Resume, check_ranks, choose
from verlaunch.record.identity import check_identity

# Where the model is not known, sizes and lengths are checked without it.
UNKNOWN = Model("the model", "", 32_000, None, None)


@dataclass(frozen=True)
class Around:
    """place: of this machine among several; None where it is one. token: what the user gave."""

    place: Place | None = None
    token: str | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def leads(self) -> Place | None:
        """Where node 0 can be met, so that the other machines hear of a mistake as well."""
        return None if self.findings else self.place


def look_around(asked: Asked) -> Around:
    found: list[Finding] = []
    where, token = None, None
    if asked.assumed:
        return Around()
    if asked.is_several:
        where = _or_found(found, lambda: place.of(asked.config))
        token = _or_found(found, lambda: tokens.given(asked.launch, os.environ))
    _or_found(found, lambda: check_writable(asked.folder))
    return Around(where, token, tuple(found))


def foresee(asked: Asked, around: Around | None = None, rehearsed: bool = False) -> Outlook:
    """All that is known, with every problem. `rehearsed`: the reward is tried as well."""
    around = around or look_around(asked)
    found = guards.findings(guards.TYPED, asked.config)
    can_count = not found  # a size that is none leaves nothing to count with
    models = _or_found(found, asked.inputs.models)
    sources = _or_found(found, asked.inputs.sources)
    look = _or_found(found, partial(_look, sources)) if sources else None
    spec = _or_found(found, lambda: reward_spec(asked.config, asked.folder))
    known = Outlook(
        asked,
        asked.config,
        model=models.policy if models else None,
        critic=models.critic if models else None,
        sources=sources,
        look=look,
        spec=spec,
        place=around.place,
    )
    if can_count and not asked.assumed:
        resume = _or_found(found, partial(_resume, known))
        known = replace(known, resume=resume or Resume(None))
    found += around.findings
    if not asked.assumed:
        _or_found(found, paths.temp_dir)
    if models and look is not None:
        found += prompts.refused(asked.config.verl, models.policy, look)
        if rehearsed:
            known = replace(known, prompt=prompts.example(asked.config.verl, models.policy, look))
    if sources and look is not None and spec is not None:
        found += guards.findings(guards.REWARD, spec, look.data_sources)
        if rehearsed and not stopping(found):
            tried = try_reward(spec, first_rows(sources.train, look.data_sources), DEADLINE_S)
            known, found = replace(known, trial=tried), [*found, *tried.findings]
    if can_count:
        # Memory is asked about last: it takes seconds, and what is mended first may change it.
        wanted = models and not stopping(found)
        sizes = sizes_of(models.policy, models.critic) if models and wanted else Sizes(None)
        known = _with_numbers(replace(known, sizes=sizes), found)
    return replace(known, findings=tuple(found))


def counted(known: Outlook, prepared: Prepared, spec: RewardSpec) -> Outlook:
    """The same run with every row counted, and `spec`, whose scales may depend on them."""
    assert known.model is not None
    known = _planned(replace(known, spec=spec, prepared=prepared), prepared.train_rows, True)
    found = [*unscored(spec, prepared.data_sources)]
    found += guards.findings(guards.NUMBERS, _scene(known))
    return replace(known, findings=(*known.findings, *(one for one in found if one.stops)))


def of_member(asked: Asked, where: Place) -> Outlook:
    """What the guards say of this machine. Rows are not known here, nor needed for that."""
    known = Outlook(asked, asked.config, place=where)
    try:
        models = asked.inputs.models()
    except UserError as error:  # not here; node 0, which may have it, has to hear of that
        return replace(known, findings=tuple(map(Finding, error.problems)))
    sizes = sizes_of(models.policy, models.critic)
    known = replace(known, model=models.policy, critic=models.critic, sizes=sizes)
    checks = [*guards.NUMBERS, *guards.GUARDS]
    found = guards.findings(checks, _scene(_planned(known, 1, False)))
    return replace(known, findings=tuple(found))


def resumed(asked: Asked, hashes: bool = False) -> Resume:
    """Where to continue from. `hashes`: every byte of it is read. Raises UserError."""
    wanted = asked.launch["resume"]
    if wanted == "never":
        return Resume(None)
    chosen = choose(asked.checkpoints, wanted, hashes)
    if chosen.checkpoint:
        verl = asked.config.verl
        keys = (*STRATEGIES, *MESHES)
        settings = {key: get(verl, key) for key in keys}
        check_ranks(chosen.checkpoint, ranks(verl), settings)
    return chosen


def _resume(known: Outlook) -> Resume:
    """Raises UserError when the folder belongs to another run."""
    asked, reward = known.asked, {}
    if known.spec:
        reward = {"reward": reward_identity(known.spec)}
    if asked.launch["resume"] != "never":
        check_identity(asked.folder, {**asked.inputs.identity(), **reward})
    return resumed(asked)


def _look(sources: Sources) -> Look:
    """Raises UserError."""
    look = quick_look(sources.train)
    val = quick_look(sources.val, 1000).problems if sources.val else ()
    raise_all([*look.problems, *val])
    return look


def _with_numbers(known: Outlook, found: list[Finding]) -> Outlook:
    """With the plan, if model, data and reward are known; what its numbers contradict is found in
    any case."""
    look, spec = known.look, known.spec
    rows, exact = (_training_rows(known, look), look.exact) if look else (1, False)
    planned = _planned(known, rows, exact)
    found += guards.findings(guards.NUMBERS, _scene(planned))
    if known.model is None or look is None or spec is None:
        return known
    checks = guards.SETTINGS if known.asked.assumed else guards.GUARDS
    found += guards.findings(checks, _scene(planned))
    lacks = any(unscored(spec, look.data_sources))
    return replace(planned, plan=None) if lacks else planned


def _training_rows(known: Outlook, look: Look) -> int:
    good = look.rows - sum(look.dropped.values())
    if known.sources and known.sources.val:
        return good
    return max(0, good - (known.asked.launch["val_size"] or default_val_size(good)))


def _planned(known: Outlook, rows: int, exact: bool) -> Outlook:
    """What is open is derived, then --fit auto decides, and what follows is derived again."""
    asked, facts = known.asked, _facts(known, rows, exact)
    here = None if asked.assumed else (asked.folder, asked.host.shm_bytes)
    room = Room.of(asked.machine, asked.config.hardware, here)
    filled = fill(asked.config, derive(asked.config.verl, facts, asked.config.given))
    config, chosen = fitted(filled, known.sizes, room)
    if chosen.values:
        config = fill(config, derive(config.verl, facts, config.given))
    tokens = prompts.about_tokens(known.look) if known.look else None
    memory = expected(config, known.sizes, room, chosen, tokens)
    return replace(known, config=config, facts=facts, plan=make_plan(config, facts), memory=memory)


def _facts(known: Outlook, rows: int, exact: bool) -> Facts:
    asked, model = known.asked, known.model or UNKNOWN
    on_gpus = asked.config.hardware == "gpu" and asked.machine.gpus
    cards = [gpu.memory_gib for gpu in asked.machine.gpus] if on_gpus else []
    return Facts(
        hardware=asked.config.hardware,
        cores=asked.machine.cores,
        memory_gib=min(cards, default=asked.machine.memory_gib),
        train_rows=rows,
        vocab_size=model.vocab_size,
        model=model.name,
        run_name=asked.launch["run_name"] or asked.folder.name,
        checkpoints=str(asked.checkpoints),
        rows_exact=exact,
        cached_values=model.cached_values,
        turn_end=turn.id if (turn := turn_of(asked.config, model)) else None,
    )


def _scene(known: Outlook) -> Scene:
    """Of an outlook with a plan."""
    asked, plan, facts = known.asked, known.plan, known.facts
    assert plan and facts
    return Scene(
        config=known.config,
        model=known.model or UNKNOWN,
        machine=asked.machine,
        host=asked.host,
        folder=asked.folder,
        ray_gpus=plan.ray_gpus,
        object_store_bytes=plan.object_store_bytes,
        env=os.environ,
        critic=known.critic,
        shape=known.sizes.shape,
        memory=known.memory,
        rows=facts.train_rows if facts.rows_exact else None,
    )


Found = TypeVar("Found")


def _or_found(found: list[Finding], question: Callable[[], Found]) -> Found | None:
    """The answer, or None with what is wrong among the findings, so that all is told at once."""
    try:
        return question()
    except UserError as error:
        found += map(Finding, error.problems)
        return None
