"""A start asks each question once: counted at the functions that answer, up to the engine."""

import contextlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from verlaunch import cli
from verlaunch.cluster import place, tokens
from verlaunch.config import compose, flags
from verlaunch.inputs import choice, models
from verlaunch.launch import start
from verlaunch.machine import hardware, host
from verlaunch.plan import foresight
from verlaunch.plan.guards import batch_sizes, reward_parts
from verlaunch.plan.guards.machine import locked_versions
from verlaunch.plan.reward import spec
from verlaunch.record.report.recorder import Recorder

ROWS = [{"prompt": f"{i}+1=", "ground_truth": str(i + 1), "data_source": "math_reasoning"}
        for i in range(40)]  # fmt: skip
# What answers a question about flags, machine, inputs, reward or folder, where it is called from.
QUESTIONS: tuple[tuple[Any, str], ...] = (
    (flags, "split"),
    (flags, "request"),
    (compose, "compose"),
    (hardware, "look"),
    (host, "look"),
    (place, "of"),
    (tokens, "given"),
    (foresight, "check_writable"),
    (models, "look"),
    (choice.Inputs, "sources"),
    (foresight, "quick_look"),
    (spec, "standard_part"),  # the reward has one
    (reward_parts, "check"),
    (foresight, "sizes_of"),
    (locked_versions, "check"),  # one of the guards
)
# Anew when data is prepared, and when the folder is ours: rows may be more, bytes may be damaged.
TWICE: tuple[tuple[Any, str], ...] = (
    (foresight, "make_plan"),
    (batch_sizes, "check"),  # one of the guards of numbers
    (foresight, "fitted"),
    (foresight, "choose"),
)
NODES = {(place, "of"), (tokens, "given")}  # asked of several machines only


def name(question: tuple[Any, str]) -> str:
    return f"{question[0].__name__}.{question[1]}"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each question has been asked."""
    counter: Counter[str] = Counter()

    def counting(question: tuple[Any, str]) -> Callable[..., Any]:
        answer = getattr(*question)

        def ask(*args: Any, **kwargs: Any) -> Any:
            counter[name(question)] += 1
            return answer(*args, **kwargs)

        return ask

    for question in (*QUESTIONS, *TWICE):
        monkeypatch.setattr(*question, counting(question))
    return counter


@pytest.fixture
def words(
    tmp_path: Path, tiny_qwen2: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.setenv("VERLAUNCH_CACHE", str(cache))
    monkeypatch.setattr(start, "run", lambda *_, **__: 0)  # the engine
    monkeypatch.setattr(start.head_start, "pays", lambda *_: False)  # and what begins before it
    monkeypatch.setattr(Recorder, "_write", lambda recorder: None)
    (tmp_path / "data.json").write_text(json.dumps(ROWS))
    return ["--model", str(tiny_qwen2), "--data", str(tmp_path / "data.json"), "--hardware", "cpu",
            "--output_dir", str(tmp_path / "out"), "--steps", "3"]  # fmt: skip


def test_a_start_asks_each_question_once(words: list[str], asked: Counter[str]) -> None:
    assert cli.main(words) == 0
    once = {name(question): 1 for question in QUESTIONS if question not in NODES}
    assert asked == once | {name(question): 2 for question in TWICE}


def test_a_dry_run_asks_each_question_once(words: list[str], asked: Counter[str]) -> None:
    assert cli.main([*words, "--dry_run"]) == 0
    every = [question for question in (*QUESTIONS, *TWICE) if question not in NODES]
    assert asked == {name(question): 1 for question in every}


def test_node_0_of_two_asks_for_its_place_and_token_once(
    words: list[str], asked: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "leading", lambda *_: contextlib.nullcontext())
    assert cli.main([*words, "--nnodes", "2", "--tp_size", "3"]) == 2
    answered = [question for question in QUESTIONS if question != (foresight, "sizes_of")]
    assert {name(question): asked[name(question)] for question in answered} == {
        name(question): 1 for question in answered
    }
