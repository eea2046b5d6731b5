"""Functions that fail in every way, in real processes: one counted row, and the next scores."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rewards.build import build
from rewards.part import CannotStart, Row
from rewards.reward import Result, Reward
from rewards.rule_part import RulePart
from rewards.spec import RULES, PartSpec, RewardSpec, RuleSpec
from rewards.tally import FEWEST, WINDOW, Tally

OWN = """
import ctypes, math, os, re, signal
print("printed while importing")

def score(solution_str, ground_truth):
    print("printed while scoring")
    kind = solution_str
    if kind == "exception":
        raise KeyError("gone")
    if kind == "unpicklable":
        raise type("Local", (Exception,), {})(lambda: 0)
    if kind == "exit":
        raise SystemExit(4)
    if kind == "none":
        return None
    if kind == "nan":
        return math.nan
    if kind == "loop":
        while True:
            pass
    if kind == "orphan":
        os.kill(os.getppid(), signal.SIGKILL)
        while True:
            pass
    if kind == "regex":
        re.match("(a+)+$", "a" * 64 + "b")
    if kind == "hard exit":
        os._exit(3)
    if kind == "segfault":
        ctypes.string_at(0)
    if kind == "more keys":
        return {"score": 0.0, "part": 4.0, "new": 9.0}
    if kind == "fewer keys":
        return 0.5
    if kind == "with a text":
        return {"score": 1.0, "part": 2.0, "pred": "42"}
    return {"score": 1.0, "part": 2.0}
"""
FAULTS = [
    ("exception", "exception", "own.py:9: KeyError: 'gone'"),
    ("unpicklable", "exception", "own.py:11: Local"),
    ("exit", "exception", "own.py:13: SystemExit: 4"),
    ("none", "bad_value", "own.py:score: the reward is None"),
    ("nan", "bad_value", "the reward is nan"),
    ("loop", "hang", "no answer within 1 s"),
    ("regex", "hang", "no answer within 1 s"),
    ("hard exit", "crash", "exit code 3"),
    ("segfault", "crash", "SIGSEGV"),
]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reward") / "own.py"
    path.write_text(OWN)
    return path


def of_function(path: Path, on_failure: str | float = "neutral", **settings: Any) -> RewardSpec:
    rule = RuleSpec(function=f"{path}:score", **settings)
    return RewardSpec((PartSpec("rule_score", rule, on_failure=on_failure),), {"rule_score": 1.0})


@pytest.fixture
def reward(own: Path) -> Iterator[Reward]:
    reward = build(of_function(own, timeout_s=1.0))
    yield reward
    asyncio.run(reward.close())


def scored(reward: Reward, *responses: str) -> list[Result]:
    async def each() -> list[Result]:
        return [await reward.score(Row("math_reasoning", text, "42")) for text in responses]

    return asyncio.run(each())


def counters(reward: Reward) -> dict[str, int]:
    return reward.counters["rule_score"]


def columns(score: float, part: float, failed: float = 0.0) -> dict[str, float]:
    return {"rule_score": score, "rule_failed": failed, "part": part, "reward_failed": failed}


def test_every_fault_is_one_failed_row_and_the_next_one_scores(reward: Reward) -> None:
    for response, kind, said in FAULTS:
        before = counters(reward).get(kind, 0)
        bad, good = scored(reward, response, "fine")
        assert bad.failed and said in (bad.reason or ""), response
        assert good == Result(1.0, columns(1.0, 2.0), False, None), response
        assert counters(reward)[kind] == before + 1
    assert counters(reward)["failed"] == len(FAULTS)
    assert reward.reasons["rule_score"]["exception"] == FAULTS[0][2]


def test_a_failed_row_gets_the_mean_so_far_and_the_same_keys(reward: Reward) -> None:
    first, one, half, failed = scored(reward, "none", "fine", "fewer keys", "nan")
    assert (first.score, first.failed) == (0.0, True) and "part" not in first.parts
    assert (one.score, half.score, failed.score) == (1.0, 0.5, 0.75)
    assert failed.parts == columns(0.75, 2.0, failed=1.0)


def test_a_text_beside_the_score_is_kept_and_is_no_curve(reward: Reward) -> None:
    without, one = scored(reward, "fine", "with a text")
    assert one == Result(1.0, columns(1.0, 2.0), False, None, {"pred": "42"})
    assert without.texts == {} and counters(reward)["dropped_parts"] == 0


def test_keys_stay_those_of_the_first_row(reward: Reward) -> None:
    rows = scored(reward, "fine", "more keys", "fewer keys")
    assert [row.parts for row in rows] == [columns(1.0, 2.0), columns(0.0, 4.0), columns(0.5, 3.0)]
    assert counters(reward)["dropped_parts"] == 1 and counters(reward)["missing_parts"] == 1


def test_keys_that_are_known_hold_from_the_first_failure_on(own: Path) -> None:
    reward = build(of_function(own, on_failure=-1.0), keys={"rule_score": ("part",)})
    (row,) = scored(reward, "none")
    asyncio.run(reward.close())
    assert (row.score, row.parts) == (-1.0, columns(-1.0, 0.0, failed=1.0))


def test_the_lowest_score_so_far_can_stand_in_for_a_failure(own: Path) -> None:
    reward = build(of_function(own, on_failure="min"))
    *_, failed = scored(reward, "fine", "fewer keys", "fine", "none")
    asyncio.run(reward.close())
    assert failed.score == 0.5


def test_a_failure_stops_the_run_where_that_is_the_policy(own: Path) -> None:
    reward = build(of_function(own, on_failure="raise"))
    scored(reward, "fine")
    assert reward.stop_reason() is None
    scored(reward, "nan")
    asyncio.run(reward.close())
    assert "rule_score: a reward failed (bad_value): own.py:score" in (reward.stop_reason() or "")


def test_means_survive_a_resume(own: Path) -> None:
    first = build(of_function(own))
    scored(first, "fine", "fewer keys")
    again = build(of_function(own), first.keys, json.loads(json.dumps(first.state())))
    (failed,) = scored(again, "none")
    for reward in (first, again):
        asyncio.run(reward.close())
    assert failed.parts == columns(0.75, 2.0, failed=1.0)


def test_a_hang_does_not_block_the_loop_nor_fail_the_rows_behind_it(reward: Reward) -> None:
    async def together() -> tuple[list[str], list[Result]]:
        order: list[str] = []

        async def score(text: str) -> Result:
            result = await reward.score(Row("math_reasoning", text, "42"))
            order.append(text)
            return result

        async def tick() -> None:
            await asyncio.sleep(0)
            order.append("tick")

        results = await asyncio.gather(score("loop"), *(score("fine") for _ in range(5)), tick())
        return order, results[:-1]

    order, results = asyncio.run(together())
    assert order == ["tick", "loop"] + ["fine"] * 5
    assert [row.failed for row in results] == [True] + [False] * 5


def test_several_workers_share_the_rows(own: Path) -> None:
    reward = build(of_function(own, workers=2))

    async def together() -> list[Result]:
        rows = (reward.score(Row("math_reasoning", "fine", "42")) for _ in range(20))
        return await asyncio.gather(*rows)

    results = asyncio.run(together())
    asyncio.run(reward.close())
    assert all(row.score == 1.0 for row in results) and counters(reward)["calls"] == 20


def test_a_missing_file_is_seen_at_once(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"none\.py not found"):
        RulePart(RuleSpec(function=f"{tmp_path}/none.py:score"))


def test_what_cannot_be_imported_fails_every_row_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("\nimport no_such_module_of_ours")
    reward = build(of_function(tmp_path / "own.py"))
    first, second = scored(reward, "a", "b")
    asyncio.run(reward.close())
    assert first.failed and "own.py:2: ModuleNotFoundError" in (first.reason or "")
    assert second.reason == first.reason and counters(reward)["load"] == 2


def test_a_file_that_hangs_while_it_is_imported_is_killed(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("while True: pass")
    part = RulePart(RuleSpec(function=f"{tmp_path}/own.py:score"), load_timeout_s=1.0)
    reward = Reward(of_function(tmp_path / "own.py"), {"rule_score": part})
    (row,) = scored(reward, "a")
    asyncio.run(reward.close())
    assert row.failed and "importing it took longer than 1 s" in (row.reason or "")


def test_a_row_that_does_not_pickle_is_named(reward: Reward) -> None:
    row = asyncio.run(reward.score(Row("math_reasoning", "fine", "42", {"f": lambda: 0})))
    assert row.failed and counters(reward)["unsendable"] == 1


def test_built_in_rules_need_no_child() -> None:
    reward = build(RULES)
    right, wrong = scored(reward, "#### 42", "#### 41")
    assert (right.score, wrong.score) == (1.0, 0.0)
    assert right.parts["answered"] == 1.0 and not right.failed
    unknown = asyncio.run(reward.score(Row("no such source", "")))
    assert unknown.failed and "math_reasoning" in (unknown.reason or "")
    odd = asyncio.run(reward.score(Row("math_reasoning", "42", ["42"])))
    assert odd.failed and "of type list" in (odd.reason or "")


SCRIPT = """
import asyncio, sys
from rewards.part import Row
from rewards.rule_part import RulePart
from rewards.spec import RuleSpec
part = RulePart(RuleSpec(function=sys.argv[1] + ":score", timeout_s=600))
async def score(text):
    return await part.score(Row("math_reasoning", text, "42"))
"""


def script(own: Path, rest: str) -> subprocess.CompletedProcess[str]:
    """From standard input: a process whose __main__ no child can import."""
    return subprocess.run(
        [sys.executable, "-", str(own)],
        input=SCRIPT + rest,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_works_without_an_importable_main_and_keeps_standard_output_clean(own: Path) -> None:
    done = script(own, "print(asyncio.run(score('fine'))['score'])\nasyncio.run(part.close())\n")
    assert done.stdout == "1.0\n", done.stderr
    assert "printed while importing" in done.stderr and "printed while scoring" in done.stderr


def test_a_hanging_child_ends_when_its_parent_is_killed(own: Path) -> None:
    # run() returns when every holder of the pipes has ended, so a child that lives on times out
    done = script(own, "asyncio.run(score('orphan'))")
    assert done.returncode == -9


def test_too_many_failures_are_said_in_one_sentence_and_not_forgotten() -> None:
    tally = Tally()
    for _ in range(FEWEST - 1):
        tally.failed("hang", "own.py:score: no answer within 30 s; killed")
    assert tally.too_many is None
    tally.failed("exception", "own.py:3: KeyError: 'gone'")
    assert "20 of the last 20 rewards failed (hang 19, exception 1" in (tally.too_many or "")
    assert "The first hang: own.py:score" in (tally.too_many or "")
    said = tally.too_many
    for _ in range(WINDOW):
        tally.good({"score": 1.0})
    assert tally.too_many == said  # what was scored meanwhile is not worth learning from


def test_a_fifth_of_failures_is_still_allowed() -> None:
    tally = Tally()
    for call in range(3 * WINDOW):
        tally.failed("hang", "late") if call % 5 == 0 else tally.good({"score": 1.0})
    assert tally.too_many is None
    tally.good({"score": 1.0})
    tally.failed("hang", "late")
    tally.failed("hang", "late")
    assert tally.too_many is not None


def test_one_failure_among_many_stops_the_run_where_that_is_the_policy() -> None:
    tally = Tally(on_failure="raise")
    tally.failed("hang", "late")
    for _ in range(3 * WINDOW):
        tally.good({"score": 1.0})
    assert tally.too_many == "a reward failed (hang): late"
