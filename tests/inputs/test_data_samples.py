"""The sample data is what its generator makes, and it is right."""

import json
import re
import runpy
from pathlib import Path

from verlaunch.inputs.data.look import quick_look
from verlaunch.inputs.data.sources import sources

DATA = Path(__file__).resolve().parents[2] / "data"
FILES = ("sample_math.json", "sample_math_val.json", "sample_chat.jsonl")


def test_generator_reproduces_the_files_byte_for_byte(tmp_path: Path) -> None:
    runpy.run_path(str(DATA / "make_samples.py"))["write"](tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()


def test_expressions_have_the_value_that_is_written() -> None:
    rows = json.loads((DATA / "sample_math.json").read_text())
    found = [(re.match(r"What is ([-+*/() \d]+)\?", row["prompt"]), row) for row in rows]
    sums = [(match[1], row["ground_truth"]) for match, row in found if match]
    assert len(sums) > 100
    for text, value in sums:
        assert eval(text) == int(value)


def test_no_validation_prompt_is_trained_on() -> None:
    train, val = (json.loads((DATA / name).read_text()) for name in FILES[:2])
    prompts = {row["prompt"] for row in train}
    assert len(prompts) == 500 and len(val) == 64
    assert not prompts & {row["prompt"] for row in val}


def test_samples_look_right_at_a_glance() -> None:
    look = quick_look(sources([str(DATA / name) for name in FILES]))
    assert (look.rows, look.exact, look.problems, look.dropped) == (584, True, [], {})
    assert look.data_sources == {"math_reasoning": 584}
