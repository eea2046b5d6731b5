"""From flags and a composite's YAML to one RewardSpec, and what is told when they do not fit."""

from pathlib import Path

import pytest

from rewards.judge.settings import CONFIG, judge_spec
from rewards.spec import RULES, Gate, JudgeSpec, ModelSpec, RewardSpec, RuleSpec, from_dict, to_dict
from verlaunch.config.compose import compose
from verlaunch.config.flags import load_table, parse
from verlaunch.config.help import default_words
from verlaunch.config.tree import Config
from verlaunch.errors import UserError
from verlaunch.plan.reward.judge import JUDGE_FLAGS
from verlaunch.plan.reward.references import settle
from verlaunch.plan.reward.spec import reward_spec

MODEL = ("--reward_model", "org/model")
FUNCTION = "def score(solution_str):\n    return len(solution_str)\n"


def composed(*argv: str, hardware: str = "cpu") -> Config:
    return compose(parse(argv, {}), hardware)


def spec_of(*argv: str) -> RewardSpec:
    return reward_spec(composed(*argv), Path("/out"))


def problems_of(*argv: str) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        spec_of(*argv)
    return caught.value.problems


def problem_of(*argv: str) -> str:
    (problem,) = problems_of(*argv)
    return problem


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user types, with a function and a table of rules."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FUNCTION)
    (tmp_path / "table.yaml").write_text("my/*: math_reasoning\n")
    return tmp_path


def composite(folder: Path, text: str) -> str:
    """The path of a file in a folder beside, so that relative paths are seen from there."""
    (folder / "mixes").mkdir(exist_ok=True)
    (folder / "mixes" / "mix.yaml").write_text("composite_reward:\n" + text)
    return "mixes/mix.yaml"


def source(spec: RewardSpec, name: str) -> RuleSpec | ModelSpec | JudgeSpec:
    return next(part.source for part in spec.parts if part.name == name)


# ---- which parts -------------------------------------------------------------------------------


def test_without_flags_the_rules_score() -> None:
    assert spec_of() == RULES


def test_a_function_scores_instead_of_the_rules(folder: Path) -> None:
    spec = spec_of("--reward_fn", "mine.py:score", "--reward_timeout", "5", "--reward_workers", "3")
    assert source(spec, "rule_score") == RuleSpec(f"{folder}/mine.py:score", None, 5.0, 3)


def test_a_table_of_ones_own_is_found_from_everywhere(folder: Path) -> None:
    rules = source(spec_of("--reward_rules", "table.yaml"), "rule_score")
    assert isinstance(rules, RuleSpec) and rules.table == f"{folder}/table.yaml"


def test_a_model_or_a_judge_alone_counts_whole() -> None:
    assert spec_of(*MODEL).weights == {"rm_score": 1.0}
    assert spec_of("--rm_url", "http://h:1").weights == {"rm_score": 1.0}
    assert spec_of("--use_api_reward").weights == {"judge_score": 1.0}


@pytest.mark.parametrize(
    ("words", "weights"),
    [
        ((*MODEL, "--reward_fn", "mine.py:score"), {"rm_score": 0.7, "rule_score": 0.3}),
        (("--use_api_reward", "--reward_rules", "table.yaml"),
         {"judge_score": 0.7, "rule_score": 0.3}),
        ((*MODEL, "--use_api_reward"), {"rm_score": 0.7, "judge_score": 0.7}),
    ],
)  # fmt: skip
def test_two_that_are_asked_for_are_mixed_by_the_shipped_file(
    folder: Path, words: tuple[str, ...], weights: dict[str, float]
) -> None:
    spec = spec_of(*words)
    assert spec.weights == weights and {part.name for part in spec.parts} == weights.keys()


def test_weights_may_be_typed_and_bring_the_rules_along() -> None:
    spec = spec_of(*MODEL, "--reward_mix", "rm_score=1, rule_score=-0.5")
    assert spec.weights == {"rm_score": 1.0, "rule_score": -0.5}
    assert source(spec, "rule_score") == RuleSpec()


def test_a_file_of_ones_own_has_parts_weights_by_source_and_gates(folder: Path) -> None:
    text = """
  weights: {rm_score: 0.5, nice_score: 0.25, safe_score: 0.25}
  by_data_source: {"math*": {rule_score: 1, mine_score: 0.1}}
  parts:
    rm_score: {clip: 3, on_failure: min}
    nice_score: {model: ./nice, tokenizer: org/tokenizer, max_length: 128, scale: sigmoid}
    safe_score: {judge: {prompt_preset: safety, cache: here.sqlite}, on_failure: 0.5}
    mine_score: {function: "../mine.py:score", timeout: 2}
    table_score: {rules: ../table.yaml}
    far_score: {url: "http://h:1", scale: none}
  gates:
    rm_score: {needs: table_score, at_least: 0.5}
    nice_score: {needs: far_score, at_least: 0}
"""
    spec = spec_of(*MODEL, "--reward_config", composite(folder, text))
    nice = source(spec, "nice_score")
    assert isinstance(nice, ModelSpec)
    assert (nice.path, nice.tokenizer, nice.max_length) == (
        f"{folder}/mixes/nice", "org/tokenizer", 128,
    )  # fmt: skip
    safe, general = source(spec, "safe_score"), judge_spec({})
    assert isinstance(safe, JudgeSpec) and safe.scoring_prompt != general.scoring_prompt
    assert safe.cache == f"{folder}/mixes/here.sqlite"
    mine, far = source(spec, "mine_score"), source(spec, "far_score")
    assert mine == RuleSpec(f"{folder}/mine.py:score", timeout_s=2)
    assert source(spec, "table_score") == RuleSpec(table=f"{folder}/table.yaml")
    assert isinstance(far, ModelSpec) and (far.path, far.url) == (None, "http://h:1")
    tuned = {part.name: (part.scale, part.clip, part.on_failure) for part in spec.parts}
    assert tuned["rm_score"] == ("affine", 3, "min")
    assert tuned["nice_score"] == ("sigmoid", None, "neutral")
    assert tuned["safe_score"] == ("none", None, 0.5)
    assert spec.weights_for("math/1") == {"rule_score": 1, "mine_score": 0.1}
    assert spec.gates["rm_score"] == Gate("table_score", 0.5)
    assert from_dict(to_dict(spec)) == spec


def test_flags_count_before_the_file_for_the_models_that_they_ask_for(folder: Path) -> None:
    text = "  weights: {rm_score: 1}\n  parts: {rm_score: {scale: sigmoid, clip: 1}}\n"
    words = (*MODEL, "--reward_config", composite(folder, text))
    (part,) = spec_of(*words, "--rm_scale", "running").parts
    assert (part.scale, part.clip) == ("running", 1)


def test_typed_weights_replace_those_of_a_file_and_nothing_else(folder: Path) -> None:
    text = "  weights: {rm_score: 1}\n  parts: {rm_score: {scale: sigmoid}}\n"
    config = ("--reward_config", composite(folder, text))
    spec = spec_of(*MODEL, *config, "--reward_mix", "rm_score=2,rule_score=1")
    assert spec.weights == {"rm_score": 2.0, "rule_score": 1.0}
    assert {part.name: part.scale for part in spec.parts}["rm_score"] == "sigmoid"


def test_a_file_that_is_switched_off_leaves_one_part_alone(folder: Path) -> None:
    off = composite(folder, "  enable: false\n  weights: {rm_score: 0.5, rule_score: 0.5}\n")
    assert spec_of(*MODEL, "--reward_config", off).weights == {"rm_score": 1.0}
    both = (*MODEL, "--reward_config", off, "--reward_fn", "mine.py:score")
    assert "enable: false" in problem_of(*both) and "--reward_mix rule_score=0.5," in problem_of(
        *both
    )


def test_a_part_written_into_the_shipped_file_joins_the_mix(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
  weights: {rm_score: 0.7, judge_score: 0.7, rule_score: 0.3, nice_score: 0.1}
  parts: {nice_score: {model: org/nice}}
"""
    monkeypatch.setattr("verlaunch.plan.reward.spec.SHIPPED", folder / composite(folder, text))
    assert spec_of(*MODEL).weights == {"rm_score": 1.0}
    mixed = spec_of(*MODEL, "--reward_fn", "mine.py:score")
    assert mixed.weights == {"rm_score": 0.7, "rule_score": 0.3, "nice_score": 0.1}
    assert source(mixed, "nice_score") == ModelSpec("org/nice", device="cpu")


# ---- settings of parts -------------------------------------------------------------------------


def test_the_flags_of_a_model_reach_it() -> None:
    (part,) = spec_of(
        *MODEL, "--rm_tokenizer", "org/t", "--rm_max_length", "99", "--rm_backend", "transformers",
        "--rm_device", "cpu", "--rm_trust_remote_code", "--rm_clip", "2", "--rm_scale", "none",
        "--on_reward_failure", "-1",
    ).parts  # fmt: skip
    assert part.source == ModelSpec("org/model", None, "org/t", "cpu", 0, 99, True, "transformers")
    assert (part.scale, part.clip, part.on_failure) == ("none", 2.0, -1.0)


def test_the_flags_of_a_judge_reach_it() -> None:
    prompt = 'As JSON {"score": 1}, ${x}: {response}\n"it\'s" {prompt}'
    judge = source(
        spec_of(
            "--use_api_reward", "--rm_api_type", "openai", "--rm_model", "m", "--rm_base_url",
            "http://127.0.0.1:1/v1", "--rm_scoring_prompt", prompt, "--rm_system_prompt", "Be kind",
            "--rm_concurrency", "3", "--rm_rpm", "60", "--rm_tpm", "1000", "--rm_timeout", "7",
            "--rm_retries", "2", "--rm_samples", "5", "--rm_budget", "10requests",
        ),
        "judge_score",
    )  # fmt: skip
    assert judge == JudgeSpec(
        "openai", "m", "Be kind", prompt, base_url="http://127.0.0.1:1/v1", concurrency=3, rpm=60,
        tpm=1000, timeout_s=7, retries=2, samples=5, budget_requests=10,
        cache="/out/judge_cache.sqlite",
    )  # fmt: skip


def test_the_cache_is_a_file_of_the_run_or_none() -> None:
    judge = source(spec_of("--use_api_reward", "--rm_cache", "off"), "judge_score")
    assert isinstance(judge, JudgeSpec) and judge.cache is None


def test_a_second_judge_takes_over_limits_but_not_prompts_nor_another_hosts_model(
    folder: Path,
) -> None:
    (folder / "mixes").mkdir()
    (folder / "mixes" / "own.txt").write_text("Rate {response}.")
    text = """
  weights: {judge_score: 1, near_score: 1, far_score: 1}
  parts:
    near_score: {judge: {scoring_prompt: "@own.txt"}}
    far_score: {judge: {api_type: claude}}
"""
    words = ("--rm_model", "qwen-x", "--rm_concurrency", "4", "--rm_scoring_prompt", "X {response}")
    spec = spec_of("--use_api_reward", *words, "--reward_config", composite(folder, text))
    near, far = source(spec, "near_score"), source(spec, "far_score")
    assert isinstance(near, JudgeSpec) and isinstance(far, JudgeSpec)
    assert (near.model, near.concurrency, near.scoring_prompt) == ("qwen-x", 4, "Rate {response}.")
    assert (far.provider, far.concurrency) == ("claude", 4) and far.model.startswith("claude")
    assert "X {response}" not in (near.scoring_prompt, far.scoring_prompt)


def test_the_help_names_the_defaults_of_the_judges_file() -> None:
    words, shipped = default_words(load_table()), judge_spec({})
    told = ("rm_api_type", "rm_model", "rm_concurrency", "rm_timeout", "rm_retries", "rm_samples")
    real = (shipped.provider, shipped.model, shipped.concurrency, shipped.timeout_s,
            shipped.retries, shipped.samples)  # fmt: skip
    assert [words[name] for name in told] == [f"{value:g}" if isinstance(value, float) else
                                              str(value) for value in real]  # fmt: skip
    assert f"prompt_preset: {words['rm_prompt_preset']}\n" in CONFIG.read_text()


def test_every_flag_of_the_judge_is_passed_on() -> None:
    table = {flag.name for flag in load_table() if flag.group == "Judge"}
    assert table == {*JUDGE_FLAGS, "api_reward_config"}


# ---- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--reward_fn none.py:score", "--reward_fn none.py:score: "),
        ("--reward_fn mine.py", "functions in mine.py: score"),
        ("--reward_fn mine.py:score --reward_rules table.yaml", "Leave one of them out."),
        ("--reward_rules none.yaml", "--reward_rules none.yaml: "),
        ("--reward_config none.yaml", "none.yaml cannot be read: No such file"),
        ("--reward_mix rm_score", "--reward_mix rm_score: takes PART=WEIGHT"),
        ("--reward_mix rule_score=x", "takes PART=WEIGHT, as in rm_score=0.7,rule_score=0.3."),
        ("--reward_mix rule_score=nan", "takes PART=WEIGHT"),
        ("--reward_mix rule_score=0", "every weight is 0"),
        ("--reward_mix rule_score=1,rm_score=1", "Add --reward_model or --rm_url, or take it out."),
        ("--reward_mix rule_scor=1", "Did you mean rule_score?"),
        ("--reward_model a/b --reward_mix rule_score=1", "rm_score has no weight"),
        ("--reward_model a/b --reward_mix rm_scor=1", "Did you mean rm_score?"),
        ("--rm_url 127.0.0.1:8000", "one looks like http://127.0.0.1:8000."),
        ("--rm_url http://me:secret@h:1", "holds a name, password or query"),
        ("--on_reward_failure maximum", "takes neutral, min, raise or a number."),
        ("--on_reward_failure inf", "takes neutral, min, raise or a number."),
        ("--rm_model gpt", "--rm_model has no effect without --use_api_reward."),
        ("--rm_scale none", "--rm_scale has no effect without --reward_model MODEL."),
        ("--rm_url http://h:1 --rm_gpus 1", "--rm_gpus has no effect without a --reward_model"),
        ("--reward_workers 2", "--reward_workers has no effect without --reward_fn"),
        ("--reward_model a/b verlaunch.rm_scale=loud", "verlaunch.rm_scale=loud: takes one of"),
        ("--reward_model a/b verlaunch.rm_gpus=-1", "takes a whole number at least 0"),
        ("--use_api_reward --rm_budget 5", "--rm_budget: '5' was given; it takes an amount such"),
        ("--use_api_reward --rm_scoring_prompt Rate", "--rm_scoring_prompt: "),
        ("--use_api_reward --rm_system_prompt @none", "--rm_system_prompt: cannot read"),
        ("--use_api_reward --rm_base_url h:1", "--rm_base_url: "),
        ("--use_api_reward --rm_api_type openai --rm_region us", "--rm_region: "),
        (
            "--use_api_reward --api_reward_config none.yaml",
            "none.yaml cannot be read: No such file",
        ),
    ],
)
def test_each_mistake_is_one_sentence_with_the_way_out(folder: Path, words: str, said: str) -> None:
    assert said in problem_of(*words.split())


def test_flags_of_a_judge_that_is_switched_off_may_stay() -> None:
    assert spec_of("--use_api_reward", "false", "--rm_model", "m", "--rm_samples", "3") == RULES


def test_a_part_comes_from_the_file_or_from_flags(folder: Path) -> None:
    text = "  weights: {rm_score: 1}\n  parts: {rm_score: {model: a/b}}\n"
    file = ("--reward_config", composite(folder, text))
    assert "asked for by --reward_model or --rm_url. Leave one" in problem_of(*MODEL, *file)
    assert source(spec_of(*file), "rm_score") == ModelSpec("a/b", device="cpu")


def test_what_is_wrong_in_a_part_of_a_file_is_told_with_its_place(folder: Path) -> None:
    text = """
  weights: {a_score: 1, b_score: 1, c_score: 1, d_score: 1}
  parts:
    a_score: {judge: {prompt_preset: sums, rpn: 3}}
    b_score: {function: "none.py:score"}
    c_score: {rules: none.yaml}
    d_score: {url: "h:1"}
"""
    file = composite(folder, text)
    problems = problems_of("--reward_config", file)
    places = [problem.partition("composite_reward.parts.")[2][:9] for problem in problems]
    assert places == ["a_score: ", "a_score: ", "b_score: ", "c_score: ", "d_score: "]
    assert "one of" in problems[0] and "Did you mean rpm?" in problems[1]


def test_everything_wrong_with_a_reward_is_told_at_once(folder: Path) -> None:
    words = ("--reward_fn", "none.py:f", "--use_api_reward", "--rm_budget", "x", *MODEL)
    assert len(problems_of(*words, "--reward_mix", "rm_score=1,good_score=1")) == 5


def test_a_key_of_a_provider_has_no_place_in_a_file(folder: Path) -> None:
    text = "  weights: {a_score: 1}\n  parts: {a_score: {judge: {api_key: sk-secret-1}}}\n"
    (problem,) = problems_of("--reward_config", composite(folder, text))
    assert "environment" in problem and "sk-secret-1" not in problem


# ---- scales that depend on the data ------------------------------------------------------------


def rows(count: int, data_source: str = "chat", truth: str = "an answer") -> list:
    from rewards.part import Row

    return [Row(data_source, "", f"{truth} {i}".strip() if truth else "") for i in range(count)]


def settled(config: Config, found: list) -> tuple[RewardSpec, list]:
    folder = Path("/out")
    return settle(reward_spec(config, folder), config, folder, found)


def test_a_models_scale_is_affine_where_there_are_reference_answers() -> None:
    spec, references = settled(composed(*MODEL), rows(200))
    assert spec.parts[0].scale == "affine"
    assert len(references) == 64 and references[5].response == "an answer 5"


def test_without_reference_answers_the_scale_is_running() -> None:
    for few in (rows(7), rows(50, truth=""), rows(50, data_source="code")):
        spec, references = settled(composed(*MODEL), few)
        assert (spec.parts[0].scale, references) == ("running", [])


def test_an_affine_scale_that_was_asked_for_needs_references() -> None:
    with pytest.raises(UserError, match=r"at least 8 rows .* 7 of the first 7 .* running"):
        settled(composed(*MODEL, "--rm_scale", "affine"), rows(7))


def test_references_come_from_all_sources_that_the_model_scores(folder: Path) -> None:
    text = '  weights: {rm_score: 1}\n  by_data_source: {"math*": {rule_score: 1}}\n'
    config = composed(*MODEL, "--reward_config", composite(folder, text))
    mixed = [*rows(100, "chat/a"), *rows(10, "chat/b"), *rows(100, "math_reasoning")]
    _, references = settled(config, mixed)
    sources = [row.data_source for row in references]
    assert {name: sources.count(name) for name in set(sources)} == {"chat/a": 54, "chat/b": 10}


def test_without_an_affine_scale_no_references_are_kept() -> None:
    assert settled(composed(), rows(100)) == (RULES, [])
    spec, references = settled(composed("--use_api_reward"), rows(100))
    assert references == [] and spec.parts[0].scale == "none"
