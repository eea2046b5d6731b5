"""Is there a reward, and is it one? Asked on real rows before a run starts.

    raise_all(check_sources({"math_reasoning"}, None))
    tryout = try_rewards(rows, "my_reward.py:score")
    tryout.means["math_reasoning"].reference  # 1.0: what the reference answers score

Left out on purpose: whether the reward can be learned; only training tells.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from rewards.guard import Guard, Result
from rewards.registry import UnknownDataSource, rule_for
from rewards.user import LoadError, resolve
from verlaunch.errors import UserError

TRIED = 8  # rows
LOOKED_AT = 2000  # rows among which all data sources should appear
JUNK = "lorem ipsum dolor sit amet"


class Row(Protocol):
    """What is needed of a row of data; `ground_truth` is the reference answer."""

    @property
    def data_source(self) -> str: ...
    @property
    def ground_truth(self) -> str: ...
    @property
    def extra_info(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Means:
    """Mean score of the tried rows when the response is the reference answer, empty, or junk."""

    reference: float
    empty: float
    junk: float


@dataclass(frozen=True)
class Tryout:
    """means: per data_source. keys: the parts beside the score. problems: what deserves a look."""

    means: dict[str, Means]
    keys: tuple[str, ...]
    problems: tuple[str, ...]


def check_sources(data_sources: Iterable[str], reward_fn: str | None) -> list[str]:
    """One sentence per data_source without a rule, or one on a --reward_fn that is not there.

    Imports nothing of the user's.
    """
    if reward_fn is not None:
        try:
            resolve(reward_fn)
        except LoadError as error:
            return [f"--reward_fn {reward_fn}: {error}"]
        return []
    return [problem for name in dict.fromkeys(data_sources) for problem in _unknown(name)]


def _unknown(data_source: str) -> list[str]:
    try:
        rule_for(data_source)
    except UnknownDataSource as error:
        return [
            f"{error} Name the rule with --data_source, or bring your own reward with "
            "--reward_fn path.py:function"
        ]
    return []


def _pick(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Up to TRIED rows, as evenly over the data sources as they come."""
    seen: dict[str, list[Row]] = {}
    for row in islice(rows, LOOKED_AT):
        if len(same := seen.setdefault(row.data_source, [])) < TRIED:
            same.append(row)
    turns = ((turn, name) for turn in range(TRIED) for name in seen if turn < len(seen[name]))
    picked: dict[str, list[Row]] = {}
    for turn, name in islice(turns, TRIED):
        picked.setdefault(name, []).append(seen[name][turn])
    return picked


async def _score(guard: Guard, row: Row, response: str) -> Result:
    return await guard.score(row.data_source, response, row.ground_truth, row.extra_info)


def _mean(results: Sequence[Result]) -> float:
    return sum(result.score for result in results) / len(results)


def _who(reward_fn: str | None, name: str) -> str:
    return f"--reward_fn {reward_fn}" if reward_fn else f"the rule for data_source {name!r}"


async def _references(guard: Guard, rows: list[Row], who: str) -> list[Result]:
    results = []
    for row in rows:
        result = await _score(guard, row, row.ground_truth)
        if "load" in guard.counters:
            raise UserError(f"{who}: {result.reason}")
        if result.failed:
            raise UserError(
                f"{who} failed on a reference answer ({row.ground_truth[:60]!r}): {result.reason}"
            )
        results.append(result)
    return results


async def _rubbish(guard: Guard, rows: list[Row], response: str) -> list[Result]:
    """Stops at the first failure: a hang on every row would take minutes."""
    results = []
    for row in rows:
        results.append(await _score(guard, row, response))
        if results[-1].failed:
            break
    return results


async def _try_source(guard: Guard, rows: list[Row], who: str) -> tuple[Means, list[str]]:
    tried = {
        "a reference answer": await _references(guard, rows, who),
        "an empty response": await _rubbish(guard, rows, ""),
        "a junk response": await _rubbish(guard, rows, JUNK),
    }
    problems = [
        f"{who} failed on {what}; such a row will count as failed, not as 0: {result.reason}"
        for what, results in tried.items()
        for result in results
        if result.failed
    ]
    means = Means(*map(_mean, tried.values()))
    if not problems and means.reference <= max(means.junk, means.empty):
        problems.append(
            f"{who}: the reward does not tell the reference answer from junk (reference "
            f"{means.reference:g}, empty {means.empty:g}, junk {means.junk:g})"
        )
    return means, problems


async def _try_all(guard: Guard, rows: Iterable[Row], reward_fn: str | None) -> Tryout:
    means: dict[str, Means] = {}
    problems: list[str] = []
    for name, picked in _pick(rows).items():
        means[name], found = await _try_source(guard, picked, _who(reward_fn, name))
        problems += found
    return Tryout(means, guard.keys or (), tuple(dict.fromkeys(problems)))


def try_rewards(rows: Iterable[Row], reward_fn: str | None, timeout_s: float = 10.0) -> Tryout:
    """Scores up to TRIED rows with their reference answer, an empty and a junk response.

    Raises UserError when the function cannot be imported or fails on a reference answer.
    """
    try:
        guard = Guard(reward_fn, timeout_s=timeout_s)
    except LoadError as error:
        raise UserError(f"--reward_fn {reward_fn}: {error}") from None
    try:
        return asyncio.run(_try_all(guard, rows, reward_fn))
    finally:
        guard.close()
