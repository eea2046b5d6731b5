"""Twenty-four rows of each usual layout: planned without a false word, and scored by a rule."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from verlaunch import cli

Made = Callable[[int], dict[str, Any]]
LETTERS = "ABCD"


def options(n: int) -> list[str]:
    """The right one stands at n % 4."""
    return [str(2 * n + k - n % 4) for k in range(4)]


LAYOUTS: dict[str, tuple[Made, str | None, str]] = {  # the row, --data_source, what is not shown
    "mmlu": (
        lambda n: {"question": f"What is {n} + {n}?", "subject": "sums", "choices": options(n),
                   "answer": n % 4},
        "multiple_choice", "subject",
    ),
    "arc": (
        lambda n: {"id": f"q{n}", "question": f"What is {n} + {n}?",
                   "choices": {"text": options(n), "label": list(LETTERS)},
                   "answerKey": LETTERS[n % 4]},
        "multiple_choice", "id",
    ),
    "dapo": (
        lambda n: {"data_source": "math_dapo", "ability": "MATH",
                   "prompt": [{"role": "user", "content": f"{n} + {n}? End with Answer: $N."}],
                   "reward_model": {"ground_truth": str(2 * n), "style": "rule-lighteval/MATH_v2"},
                   "extra_info": {"index": f"i{n}"}},
        None, "",
    ),
    "gsm8k": (
        lambda n: {"question": f"Ann has {n} pens and buys {n} more. How many has she?",
                   "answer": f"She has {n} + {n} = <<{n}+{n}={2 * n}>>{2 * n} pens.\n#### {2 * n}"},
        "gsm8k", "",
    ),
    "hendrycks": (
        lambda n: {"problem": f"Compute ${n} + {n}$.", "level": "Level 1", "type": "Algebra",
                   "solution": f"We get $\\boxed{{{2 * n}}}$."},
        "math_reasoning", "level, type",
    ),
    "sharegpt": (
        lambda n: {"id": f"c{n}", "conversations": [
            {"from": "human", "value": f"{n} + {n}?"}, {"from": "gpt", "value": str(2 * n)}]},
        "math_reasoning", "id",
    ),
    "alpaca": (
        lambda n: {"instruction": f"And {n} + {n}?", "input": "", "output": str(2 * n),
                   "system": "Be brief.", "history": [["What is 1 + 1?", "2"]]},
        "math_reasoning", "",
    ),
    "verl": (
        lambda n: {"data_source": "openai/gsm8k", "ability": "math",
                   "prompt": [{"role": "user", "content": f"What is {n} + {n}?"}],
                   "reward_model": {"ground_truth": str(2 * n), "style": "rule"},
                   "extra_info": {"index": n, "split": "train"}},
        None, "",
    ),
}  # fmt: skip


def planned(rows: list[dict[str, Any]], label: str | None, model: Path) -> list[str]:
    """The command's words for a file of these rows."""
    pq.write_table(pa.Table.from_pylist(rows), "my.parquet")
    return ["--model", str(model), "--data", "my.parquet", "--hardware", "cpu",
            "--max_response_length", "32", "--max_prompt_length", "128", "--val_size", "4",
            *(["--data_source", label] if label else [])]  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_plan_of_24_rows_has_no_false_word(
    name: str,
    tmp_path: Path,
    tiny_qwen2: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    make, label, unseen = LAYOUTS[name]
    words = planned([make(n) for n in range(5, 29)], label, tiny_qwen2)
    assert cli.main([*words, "--dry_run", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["problems"], found["warnings"]) == ([], [])
    assert found["data"]["rows"] == 24 and found["data"]["dropped"] == {}
    assert cli.main([*words, "--dry_run"]) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert (f"not shown to the model: {unseen}" in page) == bool(unseen)
    assert "scores 1.00" in page


def test_answers_that_are_missing_are_told_once(
    tmp_path: Path,
    tiny_qwen2: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"prompt": f"{n} + {n}?", "answer": None if n % 2 else str(2 * n)} for n in range(5, 29)
    ]
    words = planned(rows, "math_reasoning", tiny_qwen2)
    assert cli.main([*words, "--dry_run", "json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["warnings"]
    assert "compares with a reference answer, and 4 of 8 rows tried have none" in said
