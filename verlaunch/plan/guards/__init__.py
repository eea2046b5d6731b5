"""Every check of a run before it starts. The lists below are all there are; foresight.py asks them.

    findings(GUARDS, scene)  ->  [Finding("/dev/shm has 67.1 MB free; ..."), ...]

A check is a module with `check(...)`, which is given plain data and yields findings: what came, why
it matters, what to type. It changes nothing, and never ends a start by a fault of its own. Left out
on purpose: what cannot be read at all (a flag, a file of data, a model's folder) raises UserError
where it is read.
"""

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from verlaunch.errors import Finding, UserError
from verlaunch.plan.guards import (
    adapter,
    batch_sizes,
    fits,
    fsdp_settings,
    kl_control,
    loggers,
    memory_needed,
    model_files,
    named_files,
    own_head,
    reward_parts,
    schedule,
    token_ids,
    typed,
    values_taken,
    vllm_arguments,
    vocabulary,
)
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

Checks = tuple[ModuleType, ...]

# check(config): before any number is worked out.
TYPED: Checks = (typed,)
# check(spec, data_sources): what small files, variables and the data's labels show of the reward.
REWARD: Checks = (reward_parts,)
# check(scene): also where model, data or reward are not known, and again when rows are counted.
NUMBERS: Checks = (loggers, batch_sizes, fits, kl_control, memory_needed)
# check(scene): all the rest; first what is mended by typing another value, then the machine.
MACHINE: Checks = (
          gpus, nvidia_driver, busy, shm, ulimits, ports, other_rays, strange_variables, disk_room,
          locked_versions)  # fmt: skip
# Those of settings alone, for a machine that is elsewhere: the model's files need not be here.
SETTINGS: Checks = (
          values_taken, named_files, fsdp_settings, schedule, vllm_arguments, adapter,
          vocabulary)  # fmt: skip
GUARDS: Checks = (*SETTINGS, model_files, own_head, token_ids, *MACHINE)


def findings(checks: Iterable[ModuleType], *given: Any) -> list[Finding]:
    """`given`: what these checks look at."""
    return [finding for check in checks for finding in _safely(check, given)]


def _safely(guard: ModuleType, given: tuple[Any, ...]) -> Iterator[Finding]:
    name = guard.__name__.rpartition(".")[2].replace("_", " ")
    try:
        yield from guard.check(*given)
    except UserError as error:
        yield from map(Finding, error.problems)
    except Exception as error:  # a guard that fails must not be worse than none
        why = f"{type(error).__name__}: {error}"
        yield Finding(f"Could not check {name} ({why}). The run may start all the same.", False)
