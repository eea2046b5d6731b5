"""What is seen of a reward before it starts, and how the plan and the record speak of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rewards.judge.settings import judge_spec
from rewards.spec import RULES, Gate, JudgeSpec, ModelSpec, PartSpec, RewardSpec, RuleSpec
from tests.reward_models import make
from verlaunch.errors import stopping
from verlaunch.plan import guards
from verlaunch.plan.guards import reward_parts
from verlaunch.plan.reward.checks import runs_programs, sandbox
from verlaunch.plan.reward.rows import Work, route
from verlaunch.plan.reward.same_reward import identity, scales

RM, RULE = PartSpec("rm_score", ModelSpec("org/model"), "affine"), RULES.parts[0]
JUDGE = PartSpec("judge_score", judge_spec({}))
MIXED = RewardSpec((RULE, RM), {"rm_score": 0.7, "rule_score": 0.3})
MATH = ["math_reasoning"]


def unscored(spec: RewardSpec, sources: list[str]) -> list[str]:
    return stopping(reward_parts.unscored(spec, sources))


def unready(spec: RewardSpec, sources: list[str]) -> list[str]:
    return stopping(guards.findings(guards.REWARD, spec, sources))


def alone(source: RuleSpec | ModelSpec | JudgeSpec, name: str = "rm_score") -> RewardSpec:
    return RewardSpec((PartSpec(name, source),), {name: 1.0})


def told(spec: RewardSpec, sources: Sequence[str] = MATH, responses: int = 1000) -> dict[str, str]:
    return dict(route(spec, Work(sources, responses, 256)))


# ---- data sources ------------------------------------------------------------------------------


def test_known_sources_are_no_problem() -> None:
    assert unscored(RULES, ["math_reasoning", "openai/gsm8k"]) == []


def test_an_unknown_source_is_one_sentence_with_two_ways_out() -> None:
    (problem,) = unscored(RULES, ["mathreasoning", "mathreasoning"])
    for said in (
        "'mathreasoning'",
        "Did you mean 'math_reasoning'?",
        "--data_source",
        "--reward_f",
    ):
        assert said in problem


def test_functions_and_models_score_any_source(tmp_path: Path) -> None:
    assert unscored(alone(RuleSpec("mine.py:score"), "rule_score"), ["anything"]) == []
    assert unscored(alone(ModelSpec("a/b")), ["anything"]) == []


def test_a_rule_is_needed_only_where_it_counts() -> None:
    by_source = {
        "math*": {"rule_score": 1.0},
        "chat*": {"rm_score": 1.0},
        "odd*": {"rm_score": 0.0},
    }
    spec = replace(MIXED, by_source=by_source)
    assert unscored(spec, ["math_reasoning", "chat/unknown"]) == []
    (problem,) = unscored(spec, ["odd/one"])
    assert "no part of the reward has a weight for data_source 'odd/one'" in problem
    gated = replace(spec, gates={"rm_score": Gate("rule_score", 1.0)})
    assert "no rule for data_source 'chat/unknown'" in unscored(gated, ["chat/unknown"])[0]


def test_a_bad_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "table.yaml").write_text("my: nothing_like_it\n")
    rules = RuleSpec(table=str(tmp_path / "table.yaml"))
    (problem,) = unscored(alone(rules, "rule_score"), ["my"])
    assert "nothing_like_it" in problem


# ---- programs ----------------------------------------------------------------------------------


def test_only_data_with_programs_asks_for_a_sandbox(tmp_path: Path) -> None:
    assert runs_programs(RuleSpec(), "code/mine") and not runs_programs(RuleSpec(), "gsm8k")
    assert sandbox(RULES, MATH, ask_server=True) is None
    assert sandbox(alone(ModelSpec("a/b")), ["code"], ask_server=True) is None
    (tmp_path / "table.yaml").write_text("hard: {rule: 'code:compute_score', timeout_s: 3}\n")
    assert runs_programs(RuleSpec(table=str(tmp_path / "table.yaml")), "hard")


def test_a_sandbox_server_is_asked_by_a_run_and_not_by_a_dry_run() -> None:
    spec = alone(RuleSpec(sandbox_url="http://127.0.0.1:9"), "rule_score")
    assert sandbox(spec, ["code"], ask_server=False) is not None
    assert unready(spec, ["code"]) == []


# ---- judges and models -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("dashscope", "DASHSCOPE_API_KEY"),
        ("openai", "OPENAI_API_KEY"),
        ("gemini", "GEMINI_API_KEY"),
        ("claude", "ANTHROPIC_API_KEY"),
    ],
)
def test_a_missing_key_is_told_by_its_name(
    monkeypatch: pytest.MonkeyPatch, provider: str, name: str
) -> None:
    monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.delenv("CLAUDE_API_KEY", raising=False)
    spec = alone(judge_spec({"api_type": provider}), "judge_score")
    (problem,) = unready(spec, MATH)
    assert problem.startswith("judge_score: ") and name in problem and "export" in problem
    monkeypatch.setenv(name, "sk-secret-1")
    assert unready(spec, MATH) == []


def test_a_budget_in_dollars_needs_a_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-secret-1")
    spec = alone(judge_spec({"model": "unheard-of", "budget": "5usd"}), "judge_score")
    (problem,) = unready(spec, MATH)
    assert "--rm_budget 10000requests" in problem and "sk-secret-1" not in problem


def test_a_policy_is_no_reward_model(tiny_qwen2: Path) -> None:
    (problem,) = unready(alone(ModelSpec(str(tiny_qwen2))), MATH)
    assert "Qwen2ForCausalLM, which writes text and scores none" in problem


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (problem,) = unready(alone(ModelSpec(str(tmp_path / "none"))), MATH)
    assert "--reward_model" in problem and "no such folder" in problem


def test_a_model_is_asked_for_on_the_hub_before_a_run() -> None:
    (problem,) = unready(alone(ModelSpec("org/model")), MATH)  # tests have no hub
    assert problem.startswith("rm_score: model org/model: the hub cannot be reached")
    assert problem.endswith("pass --reward_model FOLDER.")


def test_every_part_is_asked_and_all_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    model = PartSpec("rm_score", ModelSpec(str(tmp_path / "none")))
    parts = (RULE, model, JUDGE)
    spec = RewardSpec(parts, {part.name: 1.0 for part in parts})
    assert len(unready(spec, ["unknown"])) == 3


# ---- words -------------------------------------------------------------------------------------


def test_rules_are_told_with_the_rule_of_each_source() -> None:
    rows = told(RULES, ["math_reasoning", "qa/trivia"])
    assert rows == {
        "reward": "the rule of its data_source: math_reasoning by math_reasoning, qa/trivia by qa"
    }


def test_a_mix_is_told_with_weights_gates_and_each_part() -> None:
    gated = replace(MIXED, gates={"rm_score": Gate("rule_score", 1.0)})
    rows = told(gated)
    assert rows["reward"] == (
        "0.7 rm_score + 0.3 rule_score; rm_score only where rule_score is at least 1"
    )
    assert rows["rm_score"] == "org/model on auto; scale affine, clip 5"
    assert rows["rule_score"].endswith("math_reasoning by math_reasoning")


def test_weights_that_differ_are_told_by_data_source() -> None:
    spec = replace(MIXED, by_source={"chat*": {"rm_score": 1.0}})
    (_, first), (label, second), *_ = route(spec, Work(["math_reasoning", "chat/a"], 1, 1))
    assert first == "math_reasoning: 0.7 rm_score + 0.3 rule_score"
    assert (label, second) == ("", "chat/a: 1 rm_score")


def test_a_judge_is_told_with_calls_cost_limits_and_budget() -> None:
    said = told(alone(judge_spec({"samples": 3, "rpm": 60, "budget": "5usd"}), "judge_score"))
    for words in ("dashscope qwen-plus", "up to 3,000 judgements in training, roughly $",
                  "32 at once, 60 requests a minute", "budget 5 usd", "no cache"):  # fmt: skip
        assert words in said["reward"]


def test_a_judge_without_a_price_is_told_without_a_cost() -> None:
    own = {"api_type": "openai", "model": "gpt-6-luna", "base_url": "http://127.0.0.1:1/v1"}
    said = told(alone(judge_spec(own), "judge_score"))["reward"]
    assert "$" not in said and "at http://127.0.0.1:1/v1" in said


def test_a_model_in_a_folder_is_told_with_what_it_is(tmp_path: Path) -> None:
    folder = make(tmp_path / "rm", "Qwen3ForSequenceClassification")
    spec = alone(ModelSpec(str(folder), device="cpu", max_length=64, backend="vllm"))
    assert unready(spec, MATH) == []
    said = told(spec)["reward"]
    assert "(Qwen3ForSequenceClassification, vLLM) on cpu; at most 64 tokens" in said


# ---- identity ----------------------------------------------------------------------------------


def test_the_rules_are_called_rules_as_they_always_were() -> None:
    assert identity(RULES) == "rules" and scales(RULES) == "none"


@pytest.mark.parametrize(
    "changes",
    [
        {"api_type": "openai"},
        {"model": "qwen-max"},
        {"prompt_preset": "safety"},
        {"system_prompt": "Be kind."},
        {"scoring_prompt": "Rate {response}.", "scale": [1, 5]},
    ],
)
def test_another_judge_is_another_reward(changes: dict) -> None:
    assert identity(alone(judge_spec(changes))) != identity(alone(judge_spec({})))


def test_limits_cache_and_money_are_no_other_reward() -> None:
    changes = {"concurrency": 2, "rpm": 3, "tpm": 4, "timeout_s": 5, "retries": 1, "cache": "x",
               "budget": "5usd", "samples": 3}  # fmt: skip
    assert identity(alone(judge_spec(changes))) == identity(alone(judge_spec({})))
    rm = ModelSpec("a/b")
    elsewhere = replace(rm, device="cpu", gpus=2, backend="vllm")
    assert identity(alone(rm)) == identity(alone(elsewhere))
    patient = replace(RULE, source=RuleSpec(timeout_s=9, workers=2), on_failure="min")
    assert identity(replace(RULES, parts=(patient,))) == "rules"


def test_weights_gates_models_and_scales_make_another_reward() -> None:
    rest = [
        replace(MIXED, weights={"rm_score": 0.5, "rule_score": 0.3}),
        replace(MIXED, by_source={"m*": {"rm_score": 1.0}}),
        replace(MIXED, gates={"rm_score": Gate("rule_score", 1.0)}),
        replace(MIXED, parts=(RULE, replace(RM, source=ModelSpec("org/other")))),
        replace(MIXED, parts=(RULE, replace(RM, source=ModelSpec("org/model", max_length=9)))),
        replace(MIXED, parts=(RULE, replace(RM, source=ModelSpec("org/model", tokenizer="a/t")))),
    ]
    assert len({identity(spec) for spec in [MIXED, *rest]}) == 7
    assert scales(MIXED) == "rm_score scale affine, clip 5"


def test_a_judge_that_is_no_more_is_a_note_with_what_replaces_it() -> None:
    gone = JudgeSpec("gemini", "gemini-1.5-flash", "Grade.", "{response}")
    assert "--rm_model gemini-" in told(alone(gone, "judge_score"))["note"]
    current = JudgeSpec("gemini", "gemini-3.5-flash-lite", "Grade.", "{response}")
    assert "note" not in told(alone(current, "judge_score"))


@pytest.mark.parametrize(("pattern", "is_noted"), [("mathreasoning", True), ("math*", False)])
def test_a_table_that_nothing_goes_by_is_a_note(
    pattern: str, is_noted: bool, tmp_path: Path
) -> None:
    table = tmp_path / "rules.yaml"
    table.write_text(f"{pattern}: qa:compute_score\n")
    said = told(alone(RuleSpec(table=str(table)), "rule_score"))
    assert ("no line of " in said.get("note", "")) == is_noted


def test_a_budget_smaller_than_the_run_is_a_note() -> None:
    judge = JudgeSpec("openai", "m", "Grade.", "{response}", budget_requests=10)
    assert "may end before the run" in told(alone(judge, "judge_score"), responses=11)["note"]
    assert "note" not in told(alone(judge, "judge_score"), responses=10)
