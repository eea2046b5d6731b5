"""What a scheduler has told its processes -> NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT.

    mapped({"SLURM_STEP_NUM_NODES": "2", "SLURM_NODEID": "1", "SLURM_STEP_NUM_TASKS": "2",
            "SLURM_STEP_NODELIST": "gpu[01-02]"}, [])
    ->  {..., "NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "gpu01"}, ("SLURM_STEP_NUM_NODES=2 and
        SLURM_NODEID=1: this is node 1 of 2, node 0 is gpu01.",)

The first that counts machines is believed, the innermost first: torchrun may run in a pod of
Kubeflow, and SkyPilot in a job of Slurm. What the user has set or typed stays, and who has said how
many machines there are is asked nothing more. Left out on purpose: a guest (--ray_address), whose
machines are those of the cluster.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from verlaunch.cluster.scheduler_words import (
    Answer,
    Found,
    kubeflow,
    number,
    processes,
    skypilot,
    slurm,
    torchrun,
)

Env = Mapping[str, str]
Mapped = tuple[dict[str, str], tuple[str, ...]]

VARIABLES = ("NNODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")  # each with a flag of that name
SCHEDULERS: tuple[Callable[[Env], Answer], ...] = (torchrun, kubeflow, skypilot, slurm, processes)
# In a process of ours torch would look for torchrun's store there, which we have not, and wait.
TORCHRUNS = re.compile(
    r"TORCHELASTIC_\w+|((GROUP|ROLE|LOCAL)_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_PORT"
)


def _typed(words: Sequence[str]) -> dict[str, str]:
    """Flags and keys with their texts, `nnodes` for --nnodes and trainer.nnodes alike."""
    found = {}
    for word, following in pairwise([*words, ""]):
        name, equals, text = word.partition("=")
        name = name.lstrip("-+").replace("-", "_").removeprefix("trainer.")
        found[name.removeprefix("verlaunch.")] = text if equals else following
    return found


def _given(env: Env, words: Sequence[str]) -> dict[str, str]:
    """What the user has said of `VARIABLES`."""
    typed = _typed(words)
    said = {name: typed.get(name.lower(), "") or env.get(name, "") for name in VARIABLES}
    return {name: text.strip() for name, text in said.items() if text.strip()}


def _with_index(env: Env, given: dict[str, str]) -> Mapped:
    """A Job of Kubernetes says which of its pods this is, but not whether they are one run."""
    nodes, index = given["NNODES"], number(env, "JOB_COMPLETION_INDEX")
    if index is None or "NODE_RANK" in given or nodes == "1":
        return dict(env), ()
    note = f"JOB_COMPLETION_INDEX={index}: this is node {index} of {nodes}."
    return {**env, "NODE_RANK": str(index)}, (note,)


def _added(env: Env, given: dict[str, str], found: Found) -> Mapped:
    texts = (str(found.nodes), str(found.rank), found.leader, found.port)
    theirs = {name: text for name, text in zip(VARIABLES, texts, strict=True) if text}
    now = theirs | given
    leader = f", node 0 is {now['MASTER_ADDR']}" if "MASTER_ADDR" in now else ""
    note = f"{found.said}: this is node {now['NODE_RANK']} of {now['NNODES']}{leader}."
    return {**env, **now}, (note,)


def mapped(env: Env, words: Sequence[str]) -> Mapped:
    """The environment for the flags, and sentences for the plan.

    Without torchrun's own variables. Raises UserError where the start is several on one machine, or
    the number of machines is not fixed.
    """
    is_torchrun = "GROUP_WORLD_SIZE" in env
    own = {n: text for n, text in env.items() if not (is_torchrun and TORCHRUNS.fullmatch(n))}
    if "ray_address" in _typed(words):
        return own, ()
    given = _given(own, words)
    if "NNODES" in given:
        return _with_index(own, given)
    answers = (look(env) for look in SCHEDULERS)
    answer = next((answer for answer in answers if answer is not None), None)
    if isinstance(answer, str):
        return own, (answer,)
    if answer is None or answer.nodes == 1:
        return own, ()
    return _added(own, given, answer)
