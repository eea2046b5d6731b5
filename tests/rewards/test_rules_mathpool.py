"""Math-Verify in child processes: what is equal, and what becomes of a process that is stuck."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rewards.part import Failure
from rewards.rules.mathpool import Pool

ENDLESS = r"9^{12!}"  # one power of integers: no timer is heard before it ends


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(workers=1, limit_s=4.0)
    yield pool
    pool.close()


def run(*coroutines: Coroutine[Any, Any, bool]) -> list[bool]:
    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*coroutines)

    return asyncio.run(all_of_them())


def children() -> set[int]:
    found = psutil.Process().children(recursive=True)
    return {child.pid for child in found if "spawn_main" in _command(child)}


def _command(process: psutil.Process) -> str:
    """Empty for one that has ended, and that nobody has waited for yet."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture
def workers() -> Callable[[], set[int]]:
    """The processes of this test; the pool of the math rule may have some of its own."""
    others = children()
    return lambda: children() - others


def test_equal_formulas_are_equal_and_others_are_not(pool: Pool) -> None:
    assert run(
        pool.is_equal("x+1", "1+x"),
        pool.is_equal(r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}"),
        pool.is_equal(r"(x+1)^2", "x^2+2x+1"),
        pool.is_equal("x+1", "x+2"),
        pool.is_equal("(1,2)", "(2,1)"),
        pool.is_equal("x+1", r"\frac{"),
    ) == [True, True, True, False, False, False]


def test_a_gold_equation_may_be_answered_by_its_value_alone(pool: Pool) -> None:
    assert run(pool.is_equal("x=5", "5"), pool.is_equal("x=5", "4")) == [True, False]


def test_a_stuck_process_is_replaced_and_the_next_row_is_scored(
    workers: Callable[[], set[int]], pool: Pool
) -> None:
    assert run(pool.is_equal("x+1", "1+x")) == [True]
    before = workers()
    pool.limit_s = 1.0  # a fast machine is through with it in three
    assert run(pool.is_equal("1", ENDLESS)) == [False]
    pool.limit_s = 30.0
    assert run(pool.is_equal("x+2", "2+x")) == [True]
    after = workers()
    assert len(before) == len(after) == 1 and before != after


@pytest.mark.slow
def test_rows_behind_a_stuck_one_wait_and_are_scored(pool: Pool) -> None:
    scored = run(pool.is_equal("1", ENDLESS), *(pool.is_equal(f"x+{i}", f"{i}+x") for i in "123"))
    assert scored == [False, True, True, True]


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_dies_while_it_is_idle_costs_no_row(
    workers: Callable[[], set[int]], pool: Pool, by: signal.Signals
) -> None:
    assert run(pool.is_equal("x+1", "1+x")) == [True]
    os.kill(workers().pop(), by)
    assert run(pool.is_equal("x+2", "2+x"), pool.is_equal("x+2", "x+3")) == [True, False]


def test_a_process_that_answers_nothing_is_a_failure_and_not_a_wrong_answer(
    workers: Callable[[], set[int]],
) -> None:
    pool = Pool(workers=1, limit_s=4.0, patience_s=0.5)
    assert run(pool.is_equal("x+1", "1+x")) == [True]
    stopped = workers().pop()
    os.kill(stopped, signal.SIGSTOP)
    with pytest.raises(Failure) as caught:
        run(pool.is_equal("x+2", "2+x"))
    os.kill(stopped, signal.SIGCONT)
    assert caught.value.kind == "hang"
    pool.close()


BROKEN = {
    "it cannot be imported": "raise ImportError('a library is missing')",
    "it reads nothing": "LatexExtractionConfig, parse, verify = int, lambda *a, **k: [], max",
}
ASK = """
import asyncio
from rewards.rules.mathpool import is_equal
from rewards.part import Failure
try:
    print(asyncio.run(is_equal("x+1", "1+x")))
except Failure as failure:
    print(failure.kind)
"""


def asked(folder: Path | None = None) -> str:
    path = os.pathsep.join([str(part) for part in (folder, Path.cwd()) if part])
    command = [sys.executable, "-c", ASK]
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=env, text=True, capture_output=True, timeout=60, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("why", BROKEN)
def test_a_broken_installation_is_a_failure_and_not_a_wrong_answer(
    why: str, tmp_path: Path
) -> None:
    (tmp_path / "math_verify.py").write_text(BROKEN[why])
    assert asked(tmp_path) in ("crash", "load")


def test_a_program_ends_by_itself_with_the_pool_open() -> None:
    assert asked() == "True"
