"""Which rule scores which rows, in our table and in a user's, and what the rewards may import."""

import asyncio
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rewards.registry import UnknownDataSource, known_sources, rule_for, rule_named
from rewards.rules.math_reasoning import compute_score
from rewards.table import BadTable

# by rule: keyword arguments that fit the gold answer, the gold answer, and its ground truth
GOLD: dict[str, tuple[dict[str, Any], str, Any]] = {
    "math_reasoning": ({}, "so\n#### 42", "42"),
    "choice": ({}, "The answer is (B).", "B"),
    "qa": ({}, "<answer>Paris</answer>", ["Paris"]),
    "format": ({}, "<think>6 * 7</think><answer>42</answer>", ""),
    "json_schema": ({"extra_info": {"json_schema": {"type": "object"}}}, '{"a": 1}', ""),
    "length": ({}, "A short answer.", ""),
    "repetition": ({}, "Every word in this answer is there once.", ""),
}
JUNK = "la " * 5000
NAMES_OF_VERL = (
    *("openai/gsm8k", "lighteval/MATH", "DigitalLearningGmbH/MATH-lighteval"),
    *("HuggingFaceH4/MATH-500", "math", "math_dapo", "math_dapo_reasoning", "aime2024", "aime25"),
    *("numina_aops_forum", "numina_cn_k12", "numina_olympiads"),
)


def scored(rule: Any, response: str, truth: Any, **given: Any) -> dict[str, float]:
    async def awaited() -> dict[str, float]:
        result = rule("any", response, truth, **given)
        return await result if inspect.isawaitable(result) else result

    return asyncio.run(awaited())


def name_of(rule: Any) -> str:
    function = getattr(rule, "func", rule)
    module = function.__module__.rpartition(".")[2]
    return module if function.__name__ == "compute_score" else function.__name__


def test_math_rows_get_the_math_rule() -> None:
    for name in ("math_reasoning", "math_reasoning/easy", "gsm8k", *NAMES_OF_VERL):
        assert rule_for(name) is compute_score


def test_unknown_source_lists_the_known_ones_and_the_closest() -> None:
    with pytest.raises(UnknownDataSource) as caught:
        rule_for("Math_reasonin")
    assert all(name in str(caught.value) for name in known_sources())
    assert "Did you mean 'math_reasoning'?" in str(caught.value)


# `code` needs a sandbox and has tests of its own
SOURCES = [name for name in known_sources() if "code" not in name and name not in ("apps", "taco")]


@pytest.mark.parametrize("pattern", SOURCES)
def test_every_rule_gives_gold_the_full_score_and_rubbish_the_lowest(pattern: str) -> None:
    rule = rule_for(pattern.replace("*", "any"))
    given, gold, truth = GOLD[name_of(rule)]
    best = scored(rule, gold, truth, **given)
    assert best["score"] == 1.0
    for rubbish in ("", "  \n", JUNK):
        worst = scored(rule, rubbish, truth, **given)
        assert worst["score"] < 0.01 and worst.keys() == best.keys()


def test_names_of_code_data_have_a_rule() -> None:
    for name in ("code", "code/python", "codecontests", "apps", "codeforces", "taco"):
        assert name_of(rule_for(name)) == "code"


def test_a_rule_by_its_name_takes_its_options() -> None:
    assert rule_named("length", {"limit": 10, "buffer": 10})("any", "12345", "") == {"score": 0.5}
    assert rule_named("format:json_schema") is rule_for("json")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("lenght", {}, "files of rules: choice,"),
        ("words", {}, "no rule 'words'"),
        ("length:score", {}, "there: compute_score"),
        ("length", {"limt": 3}, "takes no option 'limt'; its options: limit, buffer, unit"),
        ("choice", {"limit": 3}, "it has no options"),
        ("length", {"unit": "tokens"}, "unit is 'characters' or 'words', not 'tokens'"),
    ],
)
def test_a_wrong_name_or_option_says_what_is_allowed(
    name: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadTable) as caught:
        rule_named(name, options)
    assert said in str(caught.value)


OWN = """
def polite(solution_str, *, word="please"):
    return float(word in solution_str)

async def later(solution_str, ground_truth):
    return {"score": float(solution_str == ground_truth)}
"""
TABLE = """
ours/*: {rule: own.py:polite, word: thanks}
later: own.py:later
gsm8k: {rule: math_reasoning:compute_score, method: strict}
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "rules.yaml").write_text(TABLE)
    return tmp_path / "rules.yaml"


def test_a_users_table_comes_first_and_ours_behind_it(table: Path) -> None:
    assert scored(rule_for("gsm8k", table), "so 42", "42")["score"] == 0.0
    assert scored(rule_for("gsm8k"), "so 42", "42")["score"] == 1.0
    assert rule_for("openai/gsm8k", table) is compute_score
    assert known_sources(table)[:3] == ("ours/*", "later", "gsm8k")


def test_a_users_function_beside_its_table_takes_what_it_wants(table: Path) -> None:
    assert scored(rule_for("ours/a", str(table)), "thanks", "") == 1.0
    assert scored(rule_for("ours/a", table), "please", "", extra_info={"index": 3}) == 0.0
    assert scored(rule_for("later", table), "42", "42") == {"score": 1.0}


def test_everything_wrong_with_a_table_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "rules.yaml").write_text(
        "a: own.py:rude\nb: missing.py:score\nc: lenght\nd: [1]\n"
        "e: {rule: own.py:polite, wrod: x}\nf: {limit: 3}\ng: length\n"
    )
    with pytest.raises(BadTable) as caught:
        rule_for("g", tmp_path / "rules.yaml")
    first, *lines = str(caught.value).splitlines()
    assert "has 6 bad lines" in first
    assert [line[0] for line in lines] == list("abcdef")
    assert "no function 'rude'" in lines[0] and "missing.py not found" in lines[1]
    assert "takes no option 'wrod'; its options: word" in lines[4]


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "a: \tb"])
def test_a_file_that_is_no_table_is_said_to_be_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(BadTable, match=r"rules\.yaml"):
        known_sources(tmp_path / "rules.yaml")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match="cannot be read: No such file"):
        known_sources(tmp_path / "none.yaml")


def test_rewards_need_no_torch_ray_verl_hydra_or_sympy() -> None:
    code = """
import asyncio, sys
import rewards.rule_part, rewards.registry, rewards.functions.user
for name in ("math_reasoning", "multiple_choice", "qa", "format", "json", "length", "repetition"):
    rewards.registry.rule_for(name)
row = rewards.registry.rule_for("math_reasoning")("math_reasoning", "42", "42")
assert asyncio.run(row)["score"] == 1.0
heavy = {"torch", "ray", "verl", "hydra", "omegaconf", "numpy", "verlaunch", "transformers"}
heavy |= {"sympy", "math_verify", "jsonschema", "openai", "anthropic"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
