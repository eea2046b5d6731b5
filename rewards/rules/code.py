r"""The share of a row's unit tests that the program in the response passes, run in a sandbox.

    await compute_score("code", "```python\nprint(int(input()) * 2)\n```",
                        {"inputs": ["21"], "outputs": ["42"]})
    # {"score": 1.0, "compiled": 1.0, "passed_all": 1.0, "timeouts": 0.0}

What tests look like: `rewards/sandbox/cases.py`. The program is the last ```python block, or the
whole response without any; Python's standard library is there, numpy and other packages are not.
Programs run in SandboxFusion (`sandbox_url`), else in namespaces of this machine; where neither
is to be had every row is a final Failure, unless `allow_unsafe_code`. Expected values stay in this
process: `rewards/sandbox/checks.py` says which tests' can't. Left out: other languages, packages,
and programs judged by a checker of their own (several right outputs).
"""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from rewards.functions.turns import Turns
from rewards.part import CannotStart, Failure
from rewards.rules.said import said
from rewards.sandbox.blocking import in_thread
from rewards.sandbox.cases import Case, read_cases
from rewards.sandbox.fusion import run_remote
from rewards.sandbox.inside.supervisor import MOST_TIMEOUTS
from rewards.sandbox.local import Job, Refused, run_local
from rewards.sandbox.outcome import Ran, passed
from rewards.sandbox.program import completed, find_program
from rewards.sandbox.tiers import isolation

REMOTE_AT_ONCE = 32
WAVES = ((0, 1), (1, 4), (4, None))
_cores = Turns(len(os.sched_getaffinity(0)))
_requests = Turns(REMOTE_AT_ONCE)


def _scores(cases: Sequence[Case], ran: Sequence[Ran]) -> dict[str, float]:
    """Cases that were not run are failed ones."""
    right = sum(passed(case, one) for case, one in zip(cases, ran, strict=False))
    return {
        "score": right / len(cases),
        "compiled": float(any(one.compiled for one in ran)),
        "passed_all": float(right == len(cases)),
        "timeouts": sum(one.ended == "timeout" for one in ran) / len(cases),
    }


def _locally(
    allow_unsafe_code: bool, job: Job, cases: Sequence[Case], stop: Any
) -> dict[str, float]:
    try:
        plan = isolation(None, allow_unsafe_code).plan
        return _scores(cases, run_local(plan, job, stop))
    except CannotStart as error:
        raise Failure("sandbox", str(error), final=True) from None
    except Refused as error:  # it worked before: the machine is out of something
        raise Failure("sandbox", f"the local sandbox was refused: {error}") from None


async def _remotely(url: str, job: Job) -> list[Ran]:
    """In waves: a program that is wrong for every test is found out on the first ones."""
    ran: list[Ran] = []
    for first, last in WAVES:
        wave = [in_thread(_requests, run_remote, url, job, task) for task in job.tasks[first:last]]
        ran += await asyncio.gather(*wave)
        if not ran[0].compiled and ran[0].ended == "exit":
            break
        if sum(one.ended == "timeout" for one in ran) >= MOST_TIMEOUTS:
            return ran + [Ran("timeout")] * (len(job.tasks) - len(ran))
    return ran


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: dict[str, Any] | None = None,
    *,
    sandbox_url: str | None = None,
    allow_unsafe_code: bool = False,
    timeout_s: float = 10.0,
    max_cases: int = 20,
    memory_mib: int = 1024,
) -> dict[str, float]:
    """score: passed / tests, over the first max_cases; compiled, passed_all: 0 or 1; timeouts:
    the share of tests that ran out of time.

    timeout_s: CPU time of one test; on the wall clock twice as much. After three tests out of time
    the rest count so too and are not run. Raises Failure("data") for tests that are none, and
    Failure("sandbox").
    """
    cases = read_cases(ground_truth, extra_info, max_cases)
    program = find_program(said(solution_str).text)
    if program is None:
        return _scores(cases, [])
    job = Job(
        completed(program, extra_info), tuple(case.task() for case in cases), timeout_s, memory_mib
    )
    if sandbox_url is None:
        return await in_thread(_cores, _locally, allow_unsafe_code, job, cases)
    return _scores(cases, await _remotely(sandbox_url, job))
