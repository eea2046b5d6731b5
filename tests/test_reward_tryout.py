"""The launcher's checks of a reward before a run, with real files and processes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from verlaunch.errors import UserError
from verlaunch.rewarding import TRIED, Means, check_sources, try_rewards


@dataclass(frozen=True)
class Row:
    data_source: str = "math_reasoning"
    ground_truth: str = "42"
    prompt: tuple = ()
    extra_info: dict[str, Any] = field(default_factory=dict)


def own(tmp_path: Path, body: str) -> str:
    path = tmp_path / "own.py"
    path.write_text("def score(data_source, solution_str, ground_truth, extra_info):\n" + body)
    return f"{path}:score"


def test_known_sources_are_no_problem() -> None:
    assert check_sources(["math_reasoning", "openai/gsm8k"], None) == []


def test_unknown_source_is_one_sentence_with_two_ways_out() -> None:
    (problem,) = check_sources(["mathreasoning", "mathreasoning"], None)
    for said in (
        "'mathreasoning'",
        "Did you mean 'math_reasoning'?",
        "--data_source",
        "--reward_fn",
    ):
        assert said in problem


def test_own_reward_serves_any_source_but_must_exist(tmp_path: Path) -> None:
    assert check_sources(["anything"], own(tmp_path, "    return 1")) == []
    (problem,) = check_sources(["anything"], f"{tmp_path}/none.py:score")
    assert "--reward_fn" in problem and "not found" in problem


def test_the_math_rule_tells_answers_from_junk() -> None:
    tryout = try_rewards([Row(), Row(ground_truth="6 * 7 = 42\n#### 42")], None)
    assert tryout.means == {"math_reasoning": Means(1.0, 0.0, 0.0)}
    assert tryout.keys == ("answered",) and tryout.problems == ()


def test_own_reward_is_tried_on_rows_of_every_source(tmp_path: Path) -> None:
    spec = own(tmp_path, "    return {'score': solution_str == ground_truth, data_source: 1}")
    rows = [Row("a")] * 50 + [Row("b")]
    tryout = try_rewards(rows, spec)
    assert list(tryout.means) == ["a", "b"] and tryout.means["b"].reference == 1.0


def test_only_a_few_rows_are_scored(tmp_path: Path) -> None:
    log = tmp_path / "log"
    spec = own(tmp_path, f"    open({str(log)!r}, 'a').write('.')\n    return len(solution_str)")
    try_rewards([Row()] * 100, spec)
    assert len(log.read_text()) == 3 * TRIED


def test_a_reward_that_does_not_tell_answers_from_junk_is_noted(tmp_path: Path) -> None:
    tryout = try_rewards([Row()], own(tmp_path, "    return 0.5"))
    assert "does not tell the reference answer from junk" in tryout.problems[0]


def test_a_reward_that_breaks_on_an_empty_response_is_noted(tmp_path: Path) -> None:
    tryout = try_rewards([Row()], own(tmp_path, "    return float(solution_str[0] == '4')"))
    assert "failed on an empty response" in tryout.problems[0]
    assert "own.py:2: IndexError" in tryout.problems[0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    return 1 / 0", "own.py:2: ZeroDivisionError"),
        ("    return None", "the reward is None"),
        ("    return float('nan')", "the reward is nan"),
        ("    while True: pass", "no answer within 1 s"),
        ("    import os; os._exit(3)", "exit code 3"),
        ("    return 1\nimport no_such_module_of_ours", "own.py:3: ModuleNotFoundError"),
    ],
)
def test_a_reward_that_fails_on_a_reference_answer_stops_the_launch(
    tmp_path: Path, body: str, said: str
) -> None:
    with pytest.raises(UserError, match="--reward_fn") as caught:
        try_rewards([Row()], own(tmp_path, body), timeout_s=1)
    assert said in str(caught.value)


def test_a_missing_file_stops_the_launch(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not found"):
        try_rewards([Row()], f"{tmp_path}/none.py:score")
