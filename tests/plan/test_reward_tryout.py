"""The launcher's trial of a reward before a run, with real files, processes and servers."""

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from rewards.part import Row as AnyRow
from rewards.spec import RULES, Gate, ModelSpec, PartSpec, RewardSpec, RuleSpec
from tests.judge_servers import JudgeServer
from tests.reward_models import make
from verlaunch.errors import stopping
from verlaunch.plan.reward.trial.rows import TRIED
from verlaunch.plan.reward.trial.trial import Trial, try_reward

GOOD = {"reference": 1.0, "empty": 0.0, "junk": 0.0}


def Row(data_source: str = "math_reasoning", ground_truth: str = "42") -> AnyRow:
    return AnyRow(data_source, "", ground_truth, {})


def own(tmp_path: Path, body: str) -> str:
    path = tmp_path / "own.py"
    path.write_text("def score(data_source, solution_str, ground_truth, extra_info):\n" + body)
    return f"{path}:score"


def by_function(function: str, timeout_s: float = 10.0) -> RewardSpec:
    part = PartSpec("rule_score", RuleSpec(function, timeout_s=timeout_s))
    return RewardSpec((part,), {"rule_score": 1.0})


def tried(rows: list[AnyRow], function: str) -> Trial:
    return try_reward(by_function(function), rows)


def mistake(spec: RewardSpec, rows: list[AnyRow]) -> str:
    (found,) = stopping(try_reward(spec, rows).findings)
    return found


def test_a_mixture_keeps_what_the_rules_of_all_its_sources_return() -> None:
    rows = [Row(), Row("qa", '["Paris", "Lutetia"]'), Row("multiple_choice", "B")]
    tryout = try_reward(RULES, rows)
    assert {"answered", "exact", "f1"} <= set(tryout.keys["rule_score"])
    assert list(tryout.means.values()) == [GOOD] * 3


def test_code_is_tried_with_a_solution_where_the_row_has_one() -> None:
    tests = '{"inputs": ["1"], "outputs": ["2"]}'
    solution = {"solution": "```python\nprint(int(input()) + 1)\n```"}
    unsafe = RewardSpec(
        (PartSpec("rule_score", RuleSpec(allow_unsafe_code=True)),), {"rule_score": 1.0}
    )
    assert try_reward(unsafe, [AnyRow("code", "", tests, {})]).means == {}
    (means,) = try_reward(unsafe, [AnyRow("code", "", tests, solution)]).means.values()
    assert means == {**GOOD, "pass": 0.0}


def test_one_built_in_rule_can_be_a_part_of_its_own() -> None:
    short = PartSpec("short_score", RuleSpec(rule="length", options={"limit": 40, "buffer": 20}))
    tryout = try_reward(RewardSpec((short,), {"short_score": 1.0}), [Row()])
    assert tryout.means["math_reasoning"]["reference"] == 1.0


def test_the_math_rule_tells_answers_from_junk() -> None:
    tryout = try_reward(RULES, [Row(), Row(ground_truth="6 * 7 = 42\n#### 42")])
    assert tryout.means == {"math_reasoning": GOOD}
    assert tryout.keys == {"rule_score": ["answered"]}
    assert tryout.asked == () and tryout.spec == RULES


def test_own_reward_is_tried_on_rows_of_every_source(tmp_path: Path) -> None:
    spec = own(tmp_path, "    return {'score': solution_str == ground_truth, data_source: 1}")
    rows = [Row("a")] * 50 + [Row("b")]
    tryout = tried(rows, spec)
    assert list(tryout.means) == ["a", "b"] and tryout.means["b"]["reference"] == 1.0


def test_only_a_few_rows_are_scored(tmp_path: Path) -> None:
    log = tmp_path / "log"
    body = f"    print(ground_truth, file=open({str(log)!r}, 'a'))\n    return len(solution_str)"
    tried([Row(ground_truth=str(n)) for n in range(100)], own(tmp_path, body))
    assert len(set(log.read_text().split())) == TRIED


def test_a_reward_that_does_not_tell_answers_from_junk_is_noted(tmp_path: Path) -> None:
    tryout = tried([Row()], own(tmp_path, "    return 0.5"))
    assert "constant reward: every answer scores 0.5" in tryout.notes[0]


def test_a_reward_that_breaks_on_an_empty_response_is_noted(tmp_path: Path) -> None:
    tryout = tried([Row()], own(tmp_path, "    return float(solution_str[0] == '4')"))
    assert "failed on an empty response" in tryout.notes[0]
    assert "own.py:2: IndexError" in tryout.notes[0]


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
    found = mistake(by_function(own(tmp_path, body), timeout_s=1), [Row()])
    assert found.startswith("--reward_fn") and said in found


def test_a_missing_file_stops_the_launch(tmp_path: Path) -> None:
    assert "not found" in mistake(by_function(f"{tmp_path}/none.py:score"), [Row()])


def test_several_rules_are_tried_together_by_their_weights(tmp_path: Path) -> None:
    own_part = PartSpec("own_score", RuleSpec(own(tmp_path, "    return len(solution_str)")))
    spec = RewardSpec((*RULES.parts, own_part), {"rule_score": 1.0, "own_score": -0.1})
    means = try_reward(spec, [Row()]).means["math_reasoning"]
    assert means["reference"] == pytest.approx(0.8) and means["junk"] == pytest.approx(-2.6)


def test_a_rule_alone_among_other_parts_is_shown_in_its_own_numbers() -> None:
    spec = RewardSpec(RULES.parts, {"rule_score": 0.3}, gates={"rm_score": Gate("rule_score", 1)})
    assert try_reward(spec, [Row()]).means["math_reasoning"] == GOOD


def test_a_scaled_rule_is_tried_unscaled_and_keeps_the_key_of_its_raw_score() -> None:
    scaled = PartSpec("rule_score", RuleSpec(), scale="running", clip=2.0)
    tryout = try_reward(RewardSpec((scaled,), {"rule_score": 1.0}), [Row()])
    assert tryout.means["math_reasoning"]["reference"] == 1.0
    assert tryout.keys == {"rule_score": ["answered", "raw"]}


def test_sources_that_no_rule_scores_are_not_tried() -> None:
    spec = RewardSpec(RULES.parts, {"rule_score": 1.0}, {"chat*": {"rm_score": 1.0}})
    assert list(try_reward(spec, [Row(), Row("chat/a")]).means) == ["math_reasoning"]


def test_unit_tests_are_no_reference_answers() -> None:
    row = Row("code", '{"inputs": ["1"], "outputs": ["1"]}')
    tryout = try_reward(RULES, [row, Row()])
    assert list(tryout.means) == ["math_reasoning"]
    assert any("Programs run" in note for note in tryout.notes)


# ---- judges and models -------------------------------------------------------------------------


def by_judge(server: JudgeServer, monkeypatch: pytest.MonkeyPatch, **spec: Any) -> RewardSpec:
    for name, key in server.environ.items():
        monkeypatch.setenv(name, key)
    judge = PartSpec("judge_score", server.spec(retries=0, **spec))
    return RewardSpec((*RULES.parts, judge), {"rule_score": 0.5, "judge_score": 0.5})


def test_a_judge_is_asked_and_then_counts_as_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(prompt: str) -> int:
        return 9 if "7 + 5 = 12" in prompt else 2

    with JudgeServer("openai", judge) as server:
        spec = by_judge(server, monkeypatch, cache=str(tmp_path / "cache.sqlite"))
        tryout = try_reward(spec, [Row()])
        assert len(server.requests) >= 2
    assert tryout.asked == ("judge_score",) and tryout.spec == spec
    assert tryout.means["math_reasoning"] == GOOD


def test_a_judge_that_cannot_tell_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    with JudgeServer("openai", lambda prompt: 5) as server:
        tryout = try_reward(by_judge(server, monkeypatch), [Row()])
    assert any(note.startswith("judge_score: ") and " 5" in note for note in tryout.notes)


def test_a_key_that_is_refused_stops_the_launch_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with JudgeServer("openai") as server:
        spec = by_judge(server, monkeypatch)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-not-this-one-123456")
        found = mistake(spec, [Row()])
    assert found.startswith("judge_score: the judge cannot score")
    assert "sk-not-this-one-123456" not in found


def test_a_reward_model_is_looked_at_and_not_loaded(tmp_path: Path) -> None:
    folder = make(tmp_path / "rm", "Qwen3ForSequenceClassification")
    spec = RewardSpec((PartSpec("rm_score", ModelSpec(str(folder))),), {"rm_score": 1.0})
    tryout = try_reward(spec, [Row("chat")])
    assert (tryout.asked, tryout.keys, tryout.spec) == ((), {}, spec)


def test_a_model_without_a_trained_head_stops_the_launch(tmp_path: Path) -> None:
    folder = make(tmp_path / "rm", "Qwen3ForSequenceClassification")
    weights = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in weights.items() if "score" not in k}, folder / "model.safetensors")
    spec = RewardSpec((PartSpec("rm_score", ModelSpec(str(folder))),), {"rm_score": 1.0})
    assert "its scores would be random" in mistake(spec, [Row("chat")])
