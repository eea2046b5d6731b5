"""What each scheduler says of this start: which machine it is, of how many, and where node 0 is.

    slurm({"SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NODEID": "1",
           "SLURM_STEP_NODELIST": "gpu[01-02]"})
    ->  Found(2, 1, "gpu01", None, "SLURM_STEP_NUM_NODES=2 and SLURM_NODEID=1")

Each answers None where its scheduler is not, and a sentence where what is there is ambiguous.
Raises UserError where the start is several on one machine, or the number of machines is not fixed.
Left out on purpose: GPUs (--n_gpus), and asking a scheduler's programs, which containers may lack.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from verlaunch.errors import UserError
from verlaunch.paths import start_command

Env = Mapping[str, str]

PER_MACHINE = "srun --ntasks-per-node=1"
HOST = r"(?:[^\s,\[\]]|\[\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*\])+"  # of a list of Slurm's


@dataclass(frozen=True)
class Found:
    """One machine of a job. said: the variables that counted them."""

    nodes: int
    rank: int
    leader: str | None
    port: str | None
    said: str


Answer = Found | str | None  # a sentence: why it is not used; None: there is no such scheduler


def number(env: Env, name: str) -> int | None:
    text = env.get(name, "").strip()
    return int(text) if text.isdecimal() else None


def _by_hand(nodes: int | str, rank: int | str = "RANK") -> str:
    return f"NNODES={nodes} NODE_RANK={rank} MASTER_ADDR=ADDRESS_OF_NODE_0 {start_command()} ..."


def _counted(
    env: Env, nodes: str, rank: str, leader: str | None, port: str | None = None
) -> Answer:
    """`nodes`, `rank`: names of variables; the others are values."""
    count, index = number(env, nodes), number(env, rank)
    if count is None:
        return None
    if index is None and count > 1:
        return (
            f"{nodes}={count}, but {rank} does not say which of them this is: one machine trains. "
            f"To use all, on each: {_by_hand(count)}"
        )
    said = f"{nodes}={count} and {rank}={index}"
    return Found(count, index or 0, leader or None, port or None, said)


def torchrun(env: Env) -> Answer:
    if "GROUP_WORLD_SIZE" not in env:
        return None
    if (copies := number(env, "LOCAL_WORLD_SIZE") or 1) > 1:
        raise UserError(
            f"LOCAL_WORLD_SIZE={copies}: torchrun has started {copies} of this on one machine. It "
            f"is started once per machine, and uses its GPUs itself: {start_command()} --n_gpus "
            f"{copies} ... (several machines: {_by_hand('N')})"
        )
    port = number(env, "MASTER_PORT")
    # torchrun itself listens at MASTER_PORT, on node 0; 29500, its usual one, is our usual one too.
    beside = str(port + 1 if port < 65535 else port - 1) if port else None
    return _counted(env, "GROUP_WORLD_SIZE", "GROUP_RANK", env.get("MASTER_ADDR"), beside)


def kubeflow(env: Env) -> Answer:
    least, elastic, most = env.get("PET_NNODES", "").partition(":")
    if elastic and least != most:
        raise UserError(
            f"PET_NNODES={least}:{most}: the number of machines of a run does not change on its "
            f"way. Give the job a fixed number, such as {most}."
        )
    fixed = {**env, "PET_NNODES": least}
    leader, port = env.get("PET_MASTER_ADDR"), env.get("PET_MASTER_PORT")
    return _counted(fixed, "PET_NNODES", "PET_NODE_RANK", leader, port)


def skypilot(env: Env) -> Answer:
    first = next(iter(env.get("SKYPILOT_NODE_IPS", "").split()), None)
    return _counted(env, "SKYPILOT_NUM_NODES", "SKYPILOT_NODE_RANK", first)


def hosts(nodelist: str) -> list[str]:
    """Of Slurm's short form, in its order, in which the first host is node 0; empty for what is no
    such list.

    "gpu[08-10,12],x[1-2]-ib"  ->  ["gpu08", "gpu09", "gpu10", "gpu12", "x1-ib", "x2-ib"]
    """
    if not re.fullmatch(f"{HOST}(?:,{HOST})*", nodelist.strip()):
        return []
    return [host for part in re.findall(HOST, nodelist) for host in _written_out(part)]


def _written_out(part: str) -> list[str]:
    head, bracket, rest = part.partition("[")
    if not bracket:
        return [part]
    numbers, _, tail = rest.partition("]")
    return [head + number + more for number in _numbers(numbers) for more in _written_out(tail)]


def _numbers(text: str) -> list[str]:
    """ "08-10,12" -> 08, 09, 10, 12: as wide as the first of each range."""
    ends = [piece.partition("-") for piece in text.split(",")]
    return [
        f"{number:0{len(first)}d}"
        for first, _, last in ends
        for number in range(int(first), int(last or first) + 1)
    ]


def slurm(env: Env) -> Answer:
    """A batch script and a shell of salloc run on one machine, whatever the job has: only srun's
    steps have SLURM_STEP_NUM_NODES."""
    nodes, tasks = number(env, "SLURM_STEP_NUM_NODES"), number(env, "SLURM_STEP_NUM_TASKS")
    job = number(env, "SLURM_JOB_NUM_NODES") or 1
    if (nodes or 1) == 1:
        why = "this step has one of them" if nodes else "this was not started by srun"
        every = f"{PER_MACHINE} {start_command()} ..."
        told = f"SLURM_JOB_NUM_NODES={job}, but {why}: one machine trains. To use all: {every}"
        return told if job > 1 else None
    if (number(env, "SLURM_HET_SIZE") or 1) > 1:
        return (
            "SLURM_HET_SIZE is set: which of the machines of a heterogeneous job belong together "
            f"is not clear, so one machine trains. To use all, on each: {_by_hand('N')}"
        )
    if tasks != nodes:
        raise UserError(
            f"SLURM_STEP_NUM_TASKS={tasks} on {nodes} machines: this is started once on each, and "
            f"uses its GPUs itself. Type: {PER_MACHINE} {start_command()} ..."
        )
    first = next(iter(hosts(env.get("SLURM_STEP_NODELIST", ""))), None)
    reserved = re.match(r"\d+", env.get("SLURM_STEP_RESV_PORTS", ""))  # srun --resv-ports
    port = reserved[0] if reserved else None
    return _counted(env, "SLURM_STEP_NUM_NODES", "SLURM_NODEID", first, port)


def processes(env: Env) -> Answer:
    """Of MPI's wrappers and old operators of Kubernetes; some count machines, others GPUs."""
    world, rank = number(env, "WORLD_SIZE"), number(env, "RANK")
    if rank is None or (world or 1) == 1:
        return None
    return (
        f"RANK={rank} and WORLD_SIZE={world} may count machines or processes, so they are not "
        f"used: one machine trains. For {world} machines, on this one: {_by_hand(world or 1, rank)}"
    )
