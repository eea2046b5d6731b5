"""What has to hold in a cluster that is not ours before a model is loaded there.

    unmet(Need(machines=2, gpus=8, rest_cpus=18, ...), [Path("outputs"), Path("models/qwen")])
    # [Finding("The cluster has no room now: ..."), Finding("10.0.0.7 has ray 2.59.0 instead ...")]

Each machine that may get a part of the run is asked by a task of its own, with no CPU, so that a
full cluster answers as well. Left out on purpose: waiting for room. Who comes first is a
scheduler's business; a run that waits would hold the cluster's only place for verl.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verlaunch.cluster import facts
from verlaunch.errors import Finding

ANSWER_S = 120.0  # a machine starts a Python process for the answer, perhaps from a slow disk
EACH = 3  # CPUs that verl asks for with every rank


@dataclass(frozen=True)
class Need:
    """gpus: on each of `machines`. rest_cpus, reward_gpus: on the driver's machine beside those.

    logical: GPUs are only names, on the CPU.
    """

    machines: int
    gpus: int
    rest_cpus: int
    reward_gpus: int
    logical: bool


@dataclass(frozen=True)
class Node:
    """Free and all: GPUs, CPUs."""

    id: str
    address: str
    free: tuple[float, float]
    all: tuple[float, float]


def need_of(launch: dict[str, Any]) -> Need:
    trainer = launch["config"]["trainer"]
    machines, gpus = int(trainer["nnodes"]), int(trainer["n_gpus_per_node"])
    rest = launch["ray_cpus"] - EACH * gpus
    return Need(machines, gpus, rest, launch["reward_gpus"], launch["hardware"] == "cpu")


def nodes() -> list[Node]:
    import ray

    free = ray._private.state.available_resources_per_node()
    return [
        Node(
            row["NodeID"],
            row["NodeManagerAddress"],
            _of(free.get(row["NodeID"], {})),
            _of(row["Resources"]),
        )
        for row in ray.nodes()
        if row["Alive"]
    ]


def _of(resources: dict[str, float]) -> tuple[float, float]:
    return resources.get("GPU", 0.0), resources.get("CPU", 0.0)


def room(need: Need, there: Sequence[Node], home: str) -> str:
    """What is missing, in a sentence; empty when the run fits now."""
    if _fits(need, {node.id: node.free for node in there}, home):
        return ""
    shown = "; ".join(_shown(node, node.id == home) for node in there)
    machines = "one machine" if need.machines == 1 else f"each of {need.machines} machines"
    wanted = f"{need.gpus} GPUs and {EACH * need.gpus} CPUs on {machines}"
    more = f" and {need.reward_gpus} GPUs" if need.reward_gpus else ""
    return (
        f"The cluster has no room for this run now. It needs {wanted}, and {need.rest_cpus} CPUs"
        f"{more} beside them on this machine. Free: {shown}. {_way_out(need, there, home)}"
    )


def _fits(need: Need, has: dict[str, tuple[float, float]], home: str) -> bool:
    """has: GPUs and CPUs by a machine's id."""
    left = has[home][0] - need.reward_gpus, has[home][1] - need.rest_cpus  # for the ranks
    each = {**has, home: left}.values()
    fitting = sum(gpus >= need.gpus and cpus >= EACH * need.gpus for gpus, cpus in each)
    return fitting >= need.machines and min(left) >= 0


def _shown(node: Node, is_home: bool) -> str:
    name = f"{node.address} (this machine)" if is_home else node.address
    (gpus, cpus), (all_gpus, all_cpus) = node.free, node.all
    return f"{name} {gpus:g} of {all_gpus:g} GPUs and {cpus:g} of {all_cpus:g} CPUs"


def _way_out(need: Need, there: Sequence[Node], home: str) -> str:
    if _fits(need, {node.id: node.all for node in there}, home):
        return "Wait for the others to end, or ask for less with --n_gpus."
    cpus = need.rest_cpus + EACH * need.gpus
    if need.logical:
        start = f"ray start --num-cpus {cpus} --num-gpus {need.gpus}"
        return f"Ask for less with --n_gpus, or have the cluster started with logical ones: {start}"
    return (
        "Ask for less with --n_gpus and --nnodes, or have Ray started with more; CPUs are names "
        f"that may be more than there are: ray start --num-cpus {cpus}"
    )


def _ask(there: Sequence[Node], paths: Sequence[str]) -> list[dict[str, Any] | str]:
    """Of each machine what it has, or why it did not answer."""
    import ray
    from ray.exceptions import GetTimeoutError, RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Within a function: pickled as code, for a machine without ours to say that it has none.
    def look(paths: Sequence[str]) -> dict[str, Any] | str:
        from pathlib import Path

        try:
            from verlaunch.cluster import facts
        except ImportError as error:
            return f"it has none of our own code ({error})"
        return {"versions": facts.versions(), "missing": [p for p in paths if not Path(p).exists()]}

    def asked(node: Node) -> Any:
        where = NodeAffinitySchedulingStrategy(node.id, soft=False)
        return ray.remote(look).options(num_cpus=0, scheduling_strategy=where).remote(list(paths))

    def answer(promise: Any) -> dict[str, Any] | str:
        try:
            return ray.get(promise, timeout=ANSWER_S)
        except GetTimeoutError:
            return f"it did not answer within {ANSWER_S:g} s"
        except RayError as error:
            return f"a task could not run there ({str(error).strip().splitlines()[-1]})"

    return [answer(promise) for promise in [asked(node) for node in there]]


def _wrong(node: Node, told: dict[str, Any] | str, same: dict[str, str]) -> Iterator[str]:
    if isinstance(told, str):
        yield f"{node.address} cannot take part: {told}. Install the same there as here."
        return
    if other := facts.differences(same, told["versions"]):
        yield f"{node.address} has {', '.join(other)}. Install the same there as here."
    if told["missing"]:
        yield (
            f"{node.address} does not see {', '.join(told['missing'])}. Output and model have to "
            "lie where every machine sees them: give folders of a shared file system with "
            "--output_dir and --model."
        )


def unmet(need: Need, folders: Sequence[Path], home: str) -> list[Finding]:
    """`folders`: which every machine has to see; the first is the run's own. `home`: our node."""
    there = nodes()
    # Where Ray may put a part of the run.
    some = [node for node in there if node.id == home or node.all[0] >= need.gpus]
    probe = folders[0] / "logs" / f"probe-{secrets.token_hex(8)}"
    probe.touch()
    try:
        told = dict(
            zip((n.id for n in some), _ask(some, [str(probe), *map(str, folders[1:])]), strict=True)
        )
    finally:
        probe.unlink()
    here = told[home]
    # Ours, with what a worker alone has: vllm by a name that environment.py gives it.
    same = {**({} if isinstance(here, str) else here["versions"]), **facts.versions()}
    found = [wrong for node in some for wrong in _wrong(node, told[node.id], same)]
    said = [room(need, there, home), *(w.replace(str(probe), str(folders[0])) for w in found)]
    return [Finding(text) for text in said if text]
