"""A judge's settings: which of file and flag counts, and that every mistake is said at once."""

from pathlib import Path

import pytest
import yaml

from rewards.judge import settings
from rewards.judge.allowed import READERS
from rewards.judge.prompts import SYSTEM, preset
from rewards.judge.providers import PROVIDERS
from rewards.judge.settings import CONFIG, judge_spec
from rewards.part import Mistakes
from rewards.spec import JudgeSpec, PartSpec, RewardSpec, from_dict, to_dict

OWN = "Rate {response} for {prompt}, given {ground_truth}."


@pytest.fixture
def file(tmp_path: Path):
    """Writes a judge's file and gives its path."""

    def write(text: str) -> Path:
        path = tmp_path / "judge.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problems(overrides: dict, config: Path | None = None) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        judge_spec(overrides, config)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


# --- what counts ----------------------------------------------------------------------------------


def test_without_flags_the_judge_is_the_shipped_files():
    assert judge_spec({}) == JudgeSpec("dashscope", "qwen-plus", preset(SYSTEM), preset("general"))


def test_the_shipped_file_names_every_setting_and_the_defaults_of_the_spec():
    shipped = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    assert shipped.keys() == READERS.keys()
    assert shipped["default_models"].keys() == PROVIDERS.keys()
    for name in ("concurrency", "rpm", "tpm", "timeout_s", "retries", "samples", "max_tokens"):
        assert shipped[name] == JudgeSpec.__dataclass_fields__[name].default


def test_a_judges_spec_travels_as_plain_data():
    spec = judge_spec({"budget": "5usd", "scale": (0, 5), "scoring_prompt": OWN})
    reward = RewardSpec((PartSpec("judge_score", spec),), {"judge_score": 1.0})
    assert from_dict(to_dict(reward)) == reward


def test_a_flag_beats_the_file_and_an_absent_one_does_not(file):
    mine = file("samples: 3\nrpm: 60\nconcurrency: 4")
    spec = judge_spec({"samples": 5, "rpm": None}, mine)
    assert (spec.samples, spec.rpm, spec.concurrency, spec.retries) == (5, 60.0, 4, 8)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_has_a_model_of_its_own(provider):
    spec = judge_spec({"api_type": provider})
    assert spec.provider == provider and spec.model
    assert spec.model != judge_spec({}).model or provider == "dashscope"


def test_another_provider_leaves_the_files_model_and_address_behind(file):
    mine = file("api_type: openai\nmodel: local\nbase_url: http://127.0.0.1:8000/v1/")
    assert judge_spec({}, mine).base_url == "http://127.0.0.1:8000/v1"
    assert judge_spec({"api_type": "openai"}, mine).model == "local"
    spec = judge_spec({"api_type": "claude"}, mine)
    assert (spec.model, spec.base_url) == ("claude-haiku-5-5", None)


def test_a_preset_by_flag_replaces_the_files_prompts(file):
    mine = file(f"prompt_preset: math\nscoring_prompt: '{OWN}'\nsystem_prompt: Be strict.")
    assert judge_spec({}, mine).scoring_prompt == OWN
    assert judge_spec({}, mine).system_prompt == "Be strict."
    spec = judge_spec({"prompt_preset": "code"}, mine)
    assert (spec.system_prompt, spec.scoring_prompt) == (preset(SYSTEM), preset("code"))
    both = judge_spec({"prompt_preset": "code", "system_prompt": "Be kind."}, mine)
    assert (both.system_prompt, both.scoring_prompt) == ("Be kind.", preset("code"))


def test_a_prompt_may_be_a_file_beside_the_settings_or_in_the_current_folder(
    file, tmp_path, monkeypatch
):
    (tmp_path / "mine.txt").write_text(f"\n{OWN}\n", encoding="utf-8")
    assert judge_spec({}, file('scoring_prompt: "@mine.txt"')).scoring_prompt == OWN
    monkeypatch.chdir(tmp_path)
    assert judge_spec({"scoring_prompt": "@mine.txt"}).scoring_prompt == OWN


@pytest.mark.parametrize(
    ("budget", "usd", "requests"),
    [
        ("5usd", 5.0, None),
        ("0.5 USD", 0.5, None),
        ("1000requests", None, 1000),
        ("1 request", None, 1),
    ],
)
def test_a_budget_is_dollars_or_requests(budget, usd, requests):
    spec = judge_spec({"budget": budget})
    assert (spec.budget_usd, spec.budget_requests) == (usd, requests)


def test_the_cache_is_a_file_none_or_the_callers(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run" / "cache.sqlite"
    assert judge_spec({}).cache is None
    assert judge_spec({}, default_cache=run).cache == str(run)
    assert judge_spec({"cache": "a.sqlite"}, default_cache=run).cache == str(tmp_path / "a.sqlite")
    assert judge_spec({"cache": "off"}, default_cache=run).cache is None
    for off in ("off", '"off"', "false"):
        assert judge_spec({}, file(f"cache: {off}"), default_cache=run).cache is None


def test_an_empty_file_changes_nothing(file):
    assert judge_spec({}, file("# nothing yet\n")) == judge_spec({})
    assert judge_spec({}, CONFIG) == judge_spec({})


# --- what is refused ------------------------------------------------------------------------------


def test_all_mistakes_of_file_and_flags_are_told_at_once(file):
    mine = file("sample: 3\nscale: [10, 1]\nrpm: 0")
    found = problems({"api_type": "claud", "prompt_preset": "maths", "budget": "5"}, mine)
    assert len(found) == 6
    assert all(problem.startswith(f"{mine}: ") for problem in found[:3])
    assert "Did you mean samples?" in found[0]
    assert found[3:] == [
        "api_type: 'claud' was given; it takes one of dashscope, openai, gemini, claude",
        "prompt_preset: 'maths' was given; it takes one of code, dialogue, general, math, safety",
        "budget: '5' was given; it takes an amount such as 5usd or 1000requests",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("samples", 0),
        ("samples", 33),
        ("samples", "3"),
        ("samples", 1.5),
        ("samples", True),
        ("max_tokens", 1),
        ("concurrency", 0),
        ("retries", -1),
        ("rpm", 0),
        ("tpm", float("nan")),
        ("timeout_s", float("inf")),
        ("timeout_s", False),
        ("scale", [1]),
        ("scale", [1, 1]),
        ("scale", [0, 101]),
        ("scale", [1.0, 10.0]),
        ("scale", [False, True]),
        ("scale", "1-10"),
        ("region", "moon"),
        ("base_url", "localhost:8000"),
        ("base_url", "ftp://x/v1"),
        ("base_url", "http://x:99999/v1"),
        ("base_url", "http://[::1/v1"),
        ("model", 5),
        ("model", " "),
        ("system_prompt", ""),
        ("cache", True),
        ("budget", "0usd"),
        ("budget", "1.5requests"),
        ("budget", "-5usd"),
        ("budget", "five"),
        ("default_models", {"mistral": "x"}),
        ("default_models", ["x"]),
    ],
)
def test_a_value_out_of_range_is_one_sentence_with_what_is_allowed(name, value):
    (problem,) = problems({name: value})
    assert problem.startswith(f"{name}: ") and "was given; it takes" in problem


def test_a_scoring_prompt_that_does_not_show_the_response_is_refused():
    found = problems({"scoring_prompt": "Rate {responce}", "scale": (1, 5)})
    assert len(found) == 2 and all(problem.startswith("scoring_prompt: ") for problem in found)
    assert "{prompt}, {response}, {ground_truth}" in found[0]


def test_a_prompts_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.txt").write_text(" \n")
    for name, why in [("none.txt", "no such"), ("bad.txt", "not UTF-8"), ("empty.txt", "empty")]:
        (problem,) = problems({"system_prompt": f"@{tmp_path / name}"})
        assert problem.startswith("system_prompt: ") and name in problem and why in problem


def test_a_preset_explains_one_scale_only():
    (problem,) = problems({"scale": (1, 5)})
    assert "needs a scoring_prompt" in problem and "from 1 to 10" in problem
    assert judge_spec({"scale": (1, 5), "scoring_prompt": OWN}).scale == (1, 5)


def test_a_region_is_dashscopes():
    assert judge_spec({"region": "intl"}).region == "intl"
    (problem,) = problems({"region": "intl", "api_type": "claude"})
    assert "claude has one address" in problem


def test_a_server_of_ones_own_needs_a_models_name():
    (problem,) = problems({"api_type": "openai", "base_url": "http://127.0.0.1:8000/v1"})
    assert problem.startswith("model: ") and "--rm_model" in problem


@pytest.mark.parametrize("text", ["samples: [", "- 3", "just words", "a: 1\n\tb: 2", "\x00"])
def test_a_file_that_holds_no_settings_is_one_sentence(file, text):
    (problem,) = problems({}, file(text))
    assert "judge.yaml" in problem and "\n" not in problem


def test_a_missing_file_is_one_sentence(tmp_path):
    (problem,) = problems({}, tmp_path / "none.yaml")
    assert str(CONFIG) in problem


def test_keys_are_refused_and_not_repeated():
    found = problems(
        {"api_key": "sk-secret", "base_url": "https://user:sk-secret@host/v1?key=sk-secret"}
    )
    assert "environment" in found[0] and "OPENAI_API_KEY" in found[0]
    assert "sk-secret" not in "\n".join(found)


def test_lines_deleted_from_the_shipped_file_are_asked_for(file, monkeypatch):
    monkeypatch.setattr(settings, "CONFIG", file("samples: 2"))
    found = problems({})
    assert any(problem.startswith("api_type: ") for problem in found)
    assert any(problem.startswith("prompt_preset: ") for problem in found)
    assert judge_spec({"api_type": "openai", "model": "m", "prompt_preset": "math"}).samples == 2
