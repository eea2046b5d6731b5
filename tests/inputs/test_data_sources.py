"""What a flag or YAML may name, and what a wrong name gets."""

import json
import os
from pathlib import Path

import pytest

from verlaunch.errors import UserError
from verlaunch.inputs.data.sources import Source, folder_notes, sources


def make(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('[{"prompt": "2+3?"}]')
    return [str(folder / name) for name in names]


def test_files_lists_commas_globs_and_folders_are_the_same(tmp_path: Path) -> None:
    a, b = make(tmp_path, "a.json", "b.jsonl")
    expected = (Source(a, "json"), Source(b, "jsonl"))
    specs = (
        f"{a},{b}",
        f"{a}, {b}",
        [a, b],
        str(tmp_path),
        f"{tmp_path}/*.json*",
        [{"path": a}, b],
    )
    for spec in specs:
        assert sources(spec) == expected


def test_file_whose_name_holds_a_comma_or_bracket_is_that_file(tmp_path: Path) -> None:
    for name in ("a,b.json", "a[1].json"):
        (path,) = make(tmp_path, name)
        assert sources(path) == (Source(path, "json"),)


def test_flags_are_defaults_under_the_map(tmp_path: Path) -> None:
    a, b = make(tmp_path, "a.json", "b.json")
    found = sources(
        [a, {"path": b, "input": "ask", "data_source": "mine"}],
        prompt_key="body", answer_key="result", data_source="all",
    )  # fmt: skip
    assert found == (
        Source(a, "json", "body", "result", "all"),
        Source(b, "json", "ask", "result", "mine"),
    )


def test_hub_names_may_carry_configuration_and_split() -> None:
    assert sources("org/name") == (Source("org/name", "hub"),)
    assert sources("org/name:main@test") == (Source("org/name", "hub", name="main", split="test"),)
    spec = [{"path": "org/name", "type": "hub", "name": "main", "split": "test"}]
    assert sources(spec) == (Source("org/name", "hub", name="main", split="test"),)


def test_existing_path_wins_over_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "org/name/a.json")
    monkeypatch.chdir(tmp_path)
    assert sources("org/name") == (Source("org/name/a.json", "json"),)


def test_missing_file_names_the_close_ones(tmp_path: Path) -> None:
    make(tmp_path, "train.json", "other.json")
    with pytest.raises(UserError, match=r"tain.json not found.*Close: train.json"):
        sources(str(tmp_path / "tain.json"))
    with pytest.raises(UserError, match="not found: the folder"):
        sources("nowhere/at/all.json")
    with pytest.raises(UserError, match="not found"):
        sources("gsm8k")


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    bad = ["no.json", str(tmp_path), f"{tmp_path}/*.json", {"path": "x", "inptu": "y"}]
    for spec in bad:
        with pytest.raises(UserError):
            sources(spec)
    with pytest.raises(UserError) as caught:
        sources(bad[:3])
    assert len(caught.value.problems) == 3


def test_unknown_extension_key_and_type_list_what_is_known(tmp_path: Path) -> None:
    (text,) = make(tmp_path, "a.txt")
    with pytest.raises(UserError, match=r"'.txt'; known: .json"):
        sources(text)
    assert sources([{"path": text, "type": "jsonl"}]) == (Source(text, "jsonl"),)
    with pytest.raises(UserError, match="Did you mean input"):
        sources([{"path": text, "inptu": "y"}])
    with pytest.raises(UserError, match="not one of: json"):
        sources([{"path": text, "type": "text"}])
    with pytest.raises(UserError, match="path must be text"):
        sources([{"input": "x"}])
    with pytest.raises(UserError, match="not a path"):
        sources(3)
    with pytest.raises(UserError, match="No data"):
        sources("")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0)
    with pytest.raises(UserError, match="closed cannot be read"):
        sources(str(folder))
    folder.chmod(0o700)


@pytest.mark.parametrize(
    ("names", "train", "val", "others"),
    [
        (["a.json", "b.json"], ["a.json", "b.json"], [], []),
        (["train.parquet", "test.parquet"], ["train.parquet"], ["test.parquet"], []),
        (
            ["data/train-0-of-2.json", "data/train-1-of-2.json", "data/test-0-of-1.json",
             "data/validation-0-of-1.json"],
            ["data/train-0-of-2.json", "data/train-1-of-2.json"],
            ["data/validation-0-of-1.json"],
            ["data/test-0-of-1.json"],
        ),
        (
            ["main/train-0.json", "main/test-0.json", "socratic/train-0.json",
             "socratic/test-0.json"],
            ["main/train-0.json"],
            ["main/test-0.json"],
            ["socratic/test-0.json", "socratic/train-0.json"],
        ),
        (
            ["train/algebra/1.json", "test/algebra/2.json", "train/geometry/3.json"],
            ["train/algebra/1.json", "train/geometry/3.json"],
            ["test/algebra/2.json"],
            [],
        ),
        (["sums.json", "sums_dev.json"], ["sums.json"], ["sums_dev.json"], []),
        (["gsm8k_train.jsonl", "gsm8k_test.jsonl", "about.json"], ["gsm8k_train.jsonl"],
         ["gsm8k_test.jsonl"], ["about.json"]),
        (["contest.json", "latest.json"], ["contest.json", "latest.json"], [], []),
    ],
)  # fmt: skip
def test_a_folder_is_taken_apart_by_the_names_of_its_files(
    tmp_path: Path, names: list[str], train: list[str], val: list[str], others: list[str]
) -> None:
    make(tmp_path, *names)
    folder = str(tmp_path)
    for part, wanted in (("train", train), ("held", val), ("val", val or names)):
        if part == "val" and others:
            continue
        found = [source.path for source in sources(folder, part=part)]
        assert found == [str(tmp_path / name) for name in wanted]
    told = " ".join(folder_notes(folder))
    assert all(name in told for name in (*val, *others)) and bool(told) == bool(val or others)


def test_a_folder_of_test_files_alone_is_not_trained_on(tmp_path: Path) -> None:
    (path,) = make(tmp_path, "test.jsonl")
    with pytest.raises(UserError, match=f"only files of validation or test.*--data {path}"):
        sources(str(tmp_path), part="train")
    assert sources(path, part="train") == (Source(path, "jsonl"),)
    assert sources(path, part="held") == ()


ROW = [{"prompt": "2+3?", "answer": "5"}]


@pytest.mark.parametrize(
    ("splits", "train", "held", "told"),
    [
        ({"train": ROW, "test": ROW}, "train", "test", ["held out of", "by its key: test"]),
        ({"Train": ROW, "Dev": ROW}, "Train", "Dev", ["by its key: Dev"]),
        (
            {"train": ROW, "validation": ROW, "test": ROW, "about": "sums"},
            "train",
            "validation",
            ["by its key: validation", "not used of", "test, about"],
        ),
        ({"train": {"prompt": ["2?"], "answer": ["2"]}, "test": ROW}, "train", "test", ["test"]),
        (
            {"version": "1.0", "test": ROW, "train": ROW},
            "train",
            "test",
            ["not used of", "version"],
        ),
        ({"train": ROW}, None, None, []),
        ({"train": ROW, "test": []}, None, None, []),
        ({"data": ROW, "test": ROW}, None, None, []),
    ],
)
def test_a_file_of_several_splits_is_taken_apart_by_its_keys(
    tmp_path: Path, splits: dict, train: str | None, held: str | None, told: list[str]
) -> None:
    file = tmp_path / "my.json"
    file.write_text(json.dumps(splits))
    assert [source.split for source in sources(str(file), part="train")] == [train]
    assert [source.split for source in sources(str(file), part="held")] == [held] * bool(held)
    assert [source.split for source in sources(str(file), part="val")] == [held]
    said = " ".join(folder_notes(str(file)))
    assert all(word in said for word in told) and bool(said) == bool(told)


def test_a_split_that_is_named_is_the_one(tmp_path: Path) -> None:
    file = tmp_path / "my.json"
    file.write_text(json.dumps({"train": ROW, "test": ROW}))
    (source,) = sources([{"path": str(file), "split": "test"}], part="train")
    assert source.split == "test"


@pytest.mark.parametrize("other", [{}, {"about": "sums"}])
def test_a_file_of_test_rows_alone_is_not_trained_on(tmp_path: Path, other: dict) -> None:
    file = tmp_path / "my.json"
    file.write_text(json.dumps({"test": ROW, **other}))
    with pytest.raises(UserError, match=r"only rows of .* under 'test'.* split: test"):
        sources(str(file), part="train")
    assert [source.split for source in sources(str(file), part="val")] == ["test"]
    (named,) = sources([{"path": str(file), "split": "test"}], part="train")
    assert named.split == "test"


def test_a_row_with_a_list_of_tests_is_no_file_of_splits(tmp_path: Path) -> None:
    file = tmp_path / "my.json"
    file.write_text(json.dumps({"test": ["assert f(1) == 2"], "prompt": "Write f."}))
    assert [source.split for source in sources(str(file), part="train")] == [None]


def test_a_folder_of_tables_is_read_where_nothing_else_is_there(tmp_path: Path) -> None:
    make(tmp_path, "rows.csv", "more.feather")
    kinds = [source.type for source in sources(str(tmp_path), part="train")]
    assert kinds == ["arrow", "csv"]
    make(tmp_path, "train.jsonl")
    assert [source.type for source in sources(str(tmp_path), part="train")] == ["jsonl"]


@pytest.mark.parametrize(("name", "remedy"), [("a.jsonl.gz", "gunzip -k"), ("a.xlsx", "CSV")])
def test_a_file_that_is_not_read_says_what_to_type(tmp_path: Path, name: str, remedy: str) -> None:
    (path,) = make(tmp_path, name)
    with pytest.raises(UserError, match=f"Convert it: .*{remedy}"):
        sources(path)
