"""The checks that need torch, vLLM or Ray: each in a process of its own, with a deadline.

look_at_generation(patient, say, limit_s=120)
"""

import math
from collections.abc import Callable
from typing import Any

from verlaunch.paths import anew
from verlaunch.tools.doctor import child
from verlaunch.tools.doctor.look import BAD, LOOK, OK, Line, Part, Patient, Say, enough, together
from verlaunch.tools.doctor.remedies import BUG, REINSTALL, remedies

MODULES = ("torch", "transformers", "ray", "vllm", "verl")
MEGABYTES = {"cpu": 16, "gpu": 256}
SLOW_GB_S = {"cpu": 0.05, "gpu": 2.0}
LOG = "What it printed is in the file."

NO_TALK = {
    "cpu": "Ranks talk over 127.0.0.1: see that loopback is up (ip link show lo) and no firewall "
    "closes it",
    "gpu": "See what NCCL says: NCCL_DEBUG=INFO ./train.sh doctor --only collectives; between "
    "GPUs without peer access NCCL_P2P_DISABLE=1 helps",
}


def asked(
    patient: Patient,
    say: Say,
    limit_s: float,
    name: str,
    given: dict[str, Any],
    read: Callable[[dict[str, Any]], list[Part]],
    usual: tuple[str, ...],
) -> Line:
    """The facts of a check's child as one line; its death as a BAD one. usual: what helps then."""
    module = {"ray": "cluster"}.get(name, name)
    outcome = child.ask(module, given, limit_s, patient.env, say)
    if outcome.facts is None:
        said = "\n".join([outcome.why, *outcome.log])
        return Line(name, BAD, outcome.why, remedies(said, usual), log=outcome.log)
    try:
        return together(name, read(outcome.facts), outcome.facts)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        said = f"its result cannot be read ({type(error).__name__}: {error})"
        return Line(name, BAD, said, (*usual, BUG), outcome.facts, outcome.log)


# ---- imports -------------------------------------------------------------------------------


def _module(name: str, said: dict[str, Any]) -> Part:
    if "error" in said:
        return Part(f"{name}: {said['error']}", BAD, *remedies(said["error"], (REINSTALL,))[:1])
    return Part(f"{name} {said['version']} {said['seconds']:.1f} s")


def _plugin(facts: dict[str, Any], on_gpus: bool) -> list[Part]:
    if "error" in facts["modules"].get("verl", {"error": ""}):
        return []
    if "platform_error" in facts:
        return [Part(f"verlaunch's engine: {facts['platform_error']}", BAD, REINSTALL)]
    if not facts["by_entry_point"]:
        return [Part("verl does not load verlaunch's plugin", BAD, "unset "
                "VERL_USE_EXTERNAL_PLUGINS, or install the project again: "
                ".venv/bin/pip install --no-deps --no-build-isolation -e .")]  # fmt: skip
    wanted, got = "cuda" if on_gpus else "cpu", facts["platform"]
    if got != wanted:
        return [Part(f"verl runs on {got} here, not {wanted}", BAD, "unset VERL_PLATFORM")]
    return [Part(f"plugin loaded, platform {got}")]


def _cuda(facts: dict[str, Any], gpus: int) -> list[Part]:
    if "cuda_devices" not in facts or facts["cuda_devices"] == gpus:
        return []
    if facts["cuda"] is None:
        return [Part("this torch is a CPU build", BAD, anew("--hardware gpu --help"))]
    return [Part(f"torch sees {facts['cuda_devices']} GPUs and nvidia-smi {gpus}", BAD,
                 "Compare nvidia-smi with CUDA_VISIBLE_DEVICES; a driver older than CUDA "
                 f"{facts['cuda']} needs an update")]  # fmt: skip


def look_at_imports(patient: Patient, say: Say, limit_s: float) -> Line:
    def read(facts: dict[str, Any]) -> list[Part]:
        parts = [_module(name, said) for name, said in facts["modules"].items()]
        gpus = len(patient.machine.gpus)
        return parts + _plugin(facts, patient.on_gpus) + (_cuda(facts, gpus) * patient.on_gpus)

    given = {"modules": MODULES}
    return asked(patient, say, limit_s, "imports", given, read, (REINSTALL,))


# ---- ranks ---------------------------------------------------------------------------------


def _ranks(patient: Patient) -> str:
    return f"{patient.ranks} {'NCCL' if patient.on_gpus else 'gloo'} ranks"


def look_at_collectives(patient: Patient, say: Say, limit_s: float) -> Line:
    hardware, remedy = patient.hardware, NO_TALK[patient.hardware]
    given = {"ranks": patient.ranks, "on_gpus": patient.on_gpus, "megabytes": MEGABYTES[hardware]}

    def read(facts: dict[str, Any]) -> list[Part]:
        speed = facts["gigabytes_per_s"]
        said = f"{_ranks(patient)} add up {MEGABYTES[hardware]} MB at {speed:.2g} GB/s"
        if not facts["right"]:
            return [Part(f"{_ranks(patient)}: the sum is wrong", BAD, remedy)]
        return [enough(speed >= SLOW_GB_S[hardware], said, remedy)]

    return asked(patient, say, limit_s, "collectives", given, read, (remedy,))


def learned(losses: list[float]) -> bool:
    return all(map(math.isfinite, losses)) and losses[-1] < losses[0]


def look_at_fsdp(patient: Patient, say: Say, limit_s: float) -> Line:
    given = {"ranks": patient.ranks, "on_gpus": patient.on_gpus}

    def read(facts: dict[str, Any]) -> list[Part]:
        losses = facts["losses"]
        said = f"{_ranks(patient)}: loss {losses[0]:.3f} to {losses[-1]:.3f} in {len(losses)} steps"
        return [Part(said) if learned(losses) else Part(said + ", which is no learning", BAD, BUG)]

    return asked(patient, say, limit_s, "fsdp", given, read, (NO_TALK[patient.hardware], LOG))


# ---- vLLM and Ray --------------------------------------------------------------------------


def look_at_generation(patient: Patient, say: Say, limit_s: float) -> Line:
    def read(facts: dict[str, Any]) -> list[Part]:
        times = f"loaded in {facts['load_s']:.1f} s, first answer {facts['first_s']:.2f} s"
        again = facts["tokens"] / max(facts["again_s"], 1e-9)
        said = f"vLLM wrote {facts['tokens']} tokens: {times}, then {again:.0f} tokens/s"
        return [Part(said, OK if facts["tokens"] else BAD, "" if facts["tokens"] else BUG)]

    given = {"on_gpus": patient.on_gpus}
    return asked(patient, say, limit_s, "generation", given, read, (REINSTALL, LOG))


def _rest(left: list[str]) -> list[Part]:
    if not left:
        return [Part("nothing left behind")]
    said = f"{len(left)} of Ray's processes had to be killed: {', '.join(left[:3])}"
    return [Part(said, LOOK, "They are gone now. If it is so each time, attach the file to a bug "
                 "report")]  # fmt: skip


def look_at_ray(patient: Patient, say: Say, limit_s: float) -> Line:
    gpus = patient.ranks if patient.machine.gpus or not patient.on_gpus else 0
    wanted = "cuda" if patient.on_gpus else "cpu"

    def read(facts: dict[str, Any]) -> list[Part]:
        times = f"started in {facts['start_s']:.1f} s, a task {facts['task_s']:.1f} s"
        parts = [Part(f"{times}, stopped in {facts['stop_s']:.1f} s"), *_rest(facts["left"])]
        if facts["platform"] != wanted:
            said = f"verl runs on {facts['platform']} in Ray's workers, not {wanted}"
            parts.append(Part(said, BAD, REINSTALL))
        return parts

    usual = ("Ray's ports are on 127.0.0.1: see that loopback is up (ip link show lo)", LOG)
    given = {"gpus": gpus, "cpus": max(2, patient.machine.cores)}
    return asked(patient, say, limit_s, "ray", given, read, usual)
