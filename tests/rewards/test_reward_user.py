"""A user's own function: how it is found, what it is given, what it may return."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rewards.checks import BadReward
from rewards.functions.user import LoadError, call, load_function, resolve

ROW = ("math_reasoning", "so 42", "42", {"index": 3})


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_relative_spec_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "def score(): return 1")
    monkeypatch.chdir(tmp_path)
    assert resolve("own.py:score") == f"{path}:score"
    assert load_function("own.py:score")() == 1


def test_helpers_beside_the_file_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "helper_of_own.py").write_text("ONE = 1")
    path = written(tmp_path, "import helper_of_own\ndef score(): return helper_of_own.ONE")
    assert load_function(f"{path}:score")() == 1


def test_relative_imports_work_in_a_folder_and_in_a_package(tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    inner = tmp_path / "rewards" / "inner"  # of a name that is also ours
    alone.mkdir()
    inner.mkdir(parents=True)
    (alone / "helper.py").write_text("ONE = 1")
    (alone / "own.py").write_text("from .helper import ONE\ndef score(): return ONE")
    assert load_function(f"{alone}/own.py:score")() == 1

    (inner.parent / "__init__.py").write_text("TWO = 2")
    (inner.parent / "common.py").write_text("FIVE = 5")
    (inner / "__init__.py").write_text("")
    (inner / "beside.py").write_text("from .. import TWO")
    (inner / "own.py").write_text(
        "from ..common import FIVE\nfrom .beside import TWO\ndef score(): return FIVE + TWO"
    )
    assert load_function(f"{inner}/own.py:score")() == 7


@pytest.mark.parametrize(
    ("text", "function", "said"),
    [
        ("from ...far import x\ndef f(): pass", "f", "own.py:1: ImportError: attempted relative"),
        ("def good(): pass\nasync def fine(): pass", "bad", "functions there: good, fine"),
        ("def good(): pass", "", "functions in own.py: good"),
        ("x = 1", "x", "functions there: none"),
        ("import math\nimport no_such_module_of_ours", "f", "own.py:2: ModuleNotFoundError"),
        ("def f(:", "f", "own.py:1: SyntaxError"),
        ("raise SystemExit(3)", "f", "own.py:1: SystemExit: 3"),
        ("def f(prompt, solution_str): pass", "f", "needs a parameter 'prompt'"),
    ],
)
def test_load_errors_name_the_place_and_the_way_out(
    tmp_path: Path, text: str, function: str, said: str
) -> None:
    with pytest.raises(LoadError, match=r"own\.py") as caught:
        load_function(f"{written(tmp_path, text)}:{function}")
    assert said in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"none\.py not found"):
        load_function(f"{tmp_path}/none.py:f")


def test_a_function_gets_only_the_arguments_that_it_takes() -> None:
    def two(ground_truth: str, solution_str: str) -> float:
        return float(solution_str.endswith(ground_truth))

    def positional(data_source: str, solution_str: str, /, extra_info: dict) -> float:
        return float((data_source, solution_str, extra_info["index"]) == (*ROW[:2], 3))

    def everything(**kwargs: Any) -> int:
        return len(kwargs)

    def with_option(solution_str: str, weight: float = 0.5) -> float:
        return weight

    assert [call(f, *ROW)["score"] for f in (two, positional, everything, with_option)] == [
        1.0,
        1.0,
        4.0,
        0.5,
    ]


def test_an_async_function_is_awaited() -> None:
    async def score(solution_str: str) -> float:
        return 0.25

    assert call(score, *ROW) == {"score": 0.25}


@pytest.mark.parametrize("given", [1, True, 1.0, np.float32(1), np.int64(1), np.bool_(True)])
def test_any_single_number_is_a_reward(given: Any) -> None:
    assert call(lambda: given, *ROW) == {"score": 1.0}
    assert call(lambda: {"score": given, "part": 0}, *ROW) == {"score": 1.0, "part": 0.0}


def test_texts_beside_the_score_stay(tmp_path: Path) -> None:
    found = call(lambda: {"score": 1, "pred": "4" * 9000, "acc": True}, *ROW)
    assert found == {"score": 1.0, "pred": "4" * 2000, "acc": 1.0}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "is None"),
        (math.nan, "is nan"),
        (math.inf, "is inf"),
        (10**400, "is inf"),
        ("1", "a str"),
        ([1.0], "a list"),
        (np.zeros(3), "a ndarray"),
        ({}, "no key 'score'"),
        ({"reward": 1}, "only: reward"),
        ({"score": None}, "'score' is None"),
        ({"score": "1"}, "'score' is a str"),
        ({"score": 1, "pred": None}, "'pred' is None"),
        ({"score": 1, "part": math.nan}, "'part' is nan"),
        ({"score": 1, "reward_failed": 0}, "launcher's own"),
    ],
)
def test_what_is_no_reward_is_refused_by_name(given: Any, said: str) -> None:
    with pytest.raises(BadReward) as caught:
        call(lambda: given, *ROW)
    assert said in str(caught.value)
