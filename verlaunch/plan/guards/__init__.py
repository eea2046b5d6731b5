"""Everything known to go wrong that can be seen beforehand; see scene.py for what a guard sees.

    findings(scene)  ->  [Finding("/dev/shm has 67.1 MB free; ..."), ...]

A guard is a module with `check(scene)`, and never ends a start by a fault of its own.
"""

from collections.abc import Iterator
from types import ModuleType

from verlaunch.errors import Finding, UserError
from verlaunch.plan.guards import (
    busy,
    disk,
    fsdp,
    gpus,
    lora,
    main_memory,
    nvidia_driver,
    ports,
    ray_clusters,
    shm,
    tokenizer,
    ulimits,
    variables,
    versions,
    vocabulary,
    weights,
)
from verlaunch.plan.guards.scene import Scene

__all__ = ["GUARDS", "findings"]

# First what the user can mend by typing another value, then the machine.
GUARDS: tuple[ModuleType, ...] = (fsdp, lora, vocabulary, weights, tokenizer,
          gpus, nvidia_driver, busy, main_memory, shm, ulimits, ports, ray_clusters, variables,
          disk, versions)  # fmt: skip


# Of limits that a cluster of others has brought its own for.
NOT_A_GUESTS: tuple[ModuleType, ...] = (ulimits,)


def findings(scene: Scene) -> list[Finding]:
    left_out = NOT_A_GUESTS if scene.config.launch["ray_address"] else ()
    guards = (guard for guard in GUARDS if guard not in left_out)
    return [finding for guard in guards for finding in _safely(guard, scene)]


def _safely(guard: ModuleType, scene: Scene) -> Iterator[Finding]:
    name = guard.__name__.rpartition(".")[2].replace("_", " ")
    try:
        yield from guard.check(scene)
    except UserError as error:
        yield from (Finding(problem) for problem in error.problems)
    except Exception as error:  # a guard that fails must not be worse than none
        why = f"{type(error).__name__}: {error}"
        yield Finding(f"Could not check {name} ({why}). The run may start all the same.", False)
