"""The three YAML files of a reward are read alike, and options of rules are checked by type."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from rewards import composite, option_types, yaml_file
from rewards.judge.settings import judge_spec
from rewards.part import Mistakes
from rewards.table import BadTable, read_table

FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "judge": (lambda path: judge_spec({}, path), "api_type: openai\nrpm: {}\nrpm: 3\n"),
    "mix": (composite.read, "composite_reward:\n  weights: {{rule_score: {}, rule_score: 2}}\n"),
    "table": (read_table, "ours: {{rule: length, limit: {}}}\nours: length\n"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_key_that_stands_twice_is_refused_by_name_and_line(name: str, tmp_path: Path) -> None:
    read, text = FILES[name]
    (path := tmp_path / "own.yaml").write_text(text.format(5))
    with pytest.raises((Mistakes, BadTable)) as caught:
        read(path)
    said = " ".join(getattr(caught.value, "problems", [str(caught.value)]))
    assert str(path) in said and "stands twice" in said and "line " in said


@pytest.mark.parametrize("number", ["1e-6", "1E5", "-2.e3", "+.5e-1", "1_0e1"])
def test_numbers_with_an_exponent_are_numbers(number: str, tmp_path: Path) -> None:
    (path := tmp_path / "own.yaml").write_text(f"a: {number}\nb: '{number}'\nc: {number}x\n")
    found = yaml_file.read(path)
    assert found == {"a": float(number), "b": number, "c": f"{number}x"}


def test_a_judge_and_a_mix_take_such_numbers(tmp_path: Path) -> None:
    (path := tmp_path / "own.yaml").write_text("rpm: 1e3\ntimeout_s: 5e-1\n")
    assert (judge_spec({}, path).rpm, judge_spec({}, path).timeout_s) == (1000.0, 0.5)
    path.write_text("composite_reward: {weights: {rule_score: 1e-6}}\n")
    assert composite.read(path).weights == {"rule_score": 1e-6}


def test_merges_and_anchors_may_overlap(tmp_path: Path) -> None:
    (path := tmp_path / "own.yaml").write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert yaml_file.read(path)["b"] == {"x": 3, "y": 2}


@pytest.mark.parametrize(
    "text", [b"a: [", b"\xff\xfe", b"a: 2025-13-45\n", b"{a: 1, [b]: 2, {c: 1}: 3}", b"a: \x00"]
)
def test_what_is_no_yaml_is_said_to_be_none(text: bytes, tmp_path: Path) -> None:
    (path := tmp_path / "own.yaml").write_bytes(text)
    with pytest.raises(yaml_file.BadYaml, match=r"own\.yaml is not YAML"):
        yaml_file.read(path)


@pytest.mark.parametrize(
    ("given", "kind", "fine"),
    [
        (20, int, True),
        ("20", int, False),
        (2.5, int, False),
        (True, int, False),
        (3, float, True),
        (1e-6, float, True),
        ("1e-6x", float, False),
        (True, float, False),
        (True, bool, True),
        ("yes", bool, False),
        (1, bool, False),
        ("a", str, True),
        (5, str, False),
        (None, str | None, True),
        (5, str | None, False),
        (["a"], list[str], True),
        ("a", list[str], False),
        (["a", 1], list[str], False),
        ({"a": 1}, dict[str, int], True),
        ({"a": "1"}, dict[str, int], False),
        (["a"], dict[str, Any], False),
        ("f1", Literal["exact", "f1"], True),
        ("F1", Literal["exact", "f1"], False),
        (object(), Path, True),
        ("anything", None, True),
        ("anything", Any, True),
    ],
)
def test_an_option_fits_its_type(given: Any, kind: Any, fine: bool) -> None:
    assert option_types.fits(given, kind) is fine
    assert fine or option_types.said(kind)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{rule: length, limit: '400'}", "limit is a whole number, not '400'"),
        ("{rule: code, allow_unsafe_code: 'no'}", "allow_unsafe_code is true or false, not 'no'"),
        ("{rule: code, timeout_s: fast}", "timeout_s is a number, not 'fast'"),
        ("{rule: format, tags: think}", "tags is a list, each some text, not 'think'"),
        ("{rule: qa, tag: 5}", "tag is some text or null, not 5"),
        ("{rule: qa, metric: bleu}", "metric is 'exact' or 'f1', not 'bleu'"),
    ],
)
def test_an_option_of_another_type_is_refused_when_the_table_is_read(
    written: str, said: str, tmp_path: Path
) -> None:
    (path := tmp_path / "own.yaml").write_text(f"ours: {written}\n")
    with pytest.raises(BadTable, match=said):
        read_table(path)
