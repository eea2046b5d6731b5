"""Files as they come: every layout gives the same rows, every fault names its place."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from verlaunch.errors import UserError
from verlaunch.inputs.data import jsonlist
from verlaunch.inputs.data.readers import records
from verlaunch.inputs.data.sources import Source

ROWS = [{"prompt": f"{n}+1?", "ground_truth": str(n + 1), "é": "ü\n"} for n in range(50)]
LIST = json.dumps(ROWS, indent=1, ensure_ascii=False)
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def read(path: Path, kind: str = "json") -> list:
    return [row for _, row in records(Source(str(path), kind))]


def file(folder: Path, content: str | bytes, name: str = "a.json") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [LIST, LINES, "\ufeff" + LIST, "\ufeff" + LINES, "\n\n" + LINES.replace("\n", "\n\n"),
     LIST.replace("\n", "\r\n")],
)  # fmt: skip
def test_json_and_jsonl_are_told_apart_by_content(tmp_path: Path, content: str) -> None:
    for kind in ("json", "jsonl"):
        assert read(file(tmp_path, content), kind) == ROWS


def test_parquet_gives_the_same_rows(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", "parquet") == ROWS


@pytest.mark.parametrize("window", [1, 2, 7, 64])
def test_rows_survive_any_window_border(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(jsonlist, "WINDOW", window)
    mixed = [*ROWS[:3], 1234, "text", -1.5e3, [], None]
    path = file(tmp_path, json.dumps(mixed, indent=2))
    assert [row for _, row in jsonlist.json_rows(path)] == mixed
    lines = [line for line, _ in jsonlist.json_rows(path)]
    text = path.read_text().split("\n")
    assert [text[line - 1].strip()[:4] for line in lines[3:5]] == ["1234", '"tex']


@pytest.mark.parametrize("window", [5, 1 << 18])
def test_broken_row_of_a_list_is_named_by_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(jsonlist, "WINDOW", window)
    good = '[\n{"prompt": "a"},\n{"prompt": "b"},\n'
    for broken in ('{"prompt": oops},\n{"prompt": "c"}]', '{"prompt": "never closed'):
        with pytest.raises(UserError, match=r"a\.json:4: broken JSON"):
            read(file(tmp_path, good + broken))
    with pytest.raises(UserError, match=r"a\.json:3: .*comma is missing.*near"):
        read(file(tmp_path, '[\n{"prompt": "a"}\n{"prompt": "b"}]'))
    with pytest.raises(UserError, match="ends inside the list"):
        read(file(tmp_path, '[{"prompt": "a"}\n'))
    with pytest.raises(UserError, match=r"a\.json:2: .*after the end"):
        read(file(tmp_path, '[{"prompt": "a"}]\n[]'))


def test_broken_line_is_named_and_shown(tmp_path: Path) -> None:
    path = file(tmp_path, '{"prompt": "a"}\n\n{"prompt": broken\n{"prompt": "c"}\n', "a.jsonl")
    with pytest.raises(UserError, match=r"a\.jsonl:3: .*'\{\"prompt\": broken'"):
        read(path, "jsonl")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x7fELF\0\0\0", "binary"),
        (b"PAR1....", r"rename it to a\.parquet"),
        (b'{"prompt": "a"}\n{"prompt": "caf\xe9"}\n', r"a\.json:2: not UTF-8"),
        (b'[{"prompt": "a"},\n{"prompt": "caf\xe9"}]', r"a\.json:2: not UTF-8"),
        (b'{\n "prompt": "a",\n "b": oops}', r"a\.json:3: broken JSON"),
        (b'{"prompt": oops}', r"a\.json:1: .*one JSON object per line"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (
            b'{"a": 1}\n{"a": ' + b"7" * 5000 + b"}",
            r"a\.json:2: an integer of more than 4,300 digits",
        ),
        (b'[{"a": 1},\n{"a": ' + b"7" * 5000 + b"}]", r"a\.json:2: .*more than 4,300 digits"),
    ],
)
def test_unreadable_files_say_what_they_are(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read(file(tmp_path, content))


def test_broken_parquet_and_vanished_files_are_user_errors(tmp_path: Path) -> None:
    for content in (b"", b"not parquet at all", b"PAR1" + b"\1" * 100 + b"PAR1"):
        with pytest.raises(UserError, match=r"a\.parquet"):
            read(file(tmp_path, content, "a.parquet"), "parquet")
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "gone.json")


def test_maps_and_class_labels_of_parquet_are_read_as_what_they_mean(tmp_path: Path) -> None:
    label = {"_type": "ClassLabel", "names": ["A", "B"]}
    described = json.dumps({"info": {"features": {"answer": label, "n": {"_type": "Value"}}}})
    columns = {
        "answer": pa.array([1, -1, 0]),
        "n": pa.array([1, 2, 3]),
        "extra_info": pa.array([[("k", "v")], [], None], pa.map_(pa.string(), pa.string())),
    }
    table = pa.table(columns).replace_schema_metadata({"huggingface": described})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", "parquet") == [
        {"answer": "B", "n": 1, "extra_info": {"k": "v"}},
        {"answer": None, "n": 2, "extra_info": {}},
        {"answer": "A", "n": 3, "extra_info": None},
    ]


TWO = [{"prompt": "a", "answer": "1"}, {"prompt": "b", "answer": "2"}]


@pytest.mark.parametrize(
    "content",
    [
        {"data": TWO},
        {"version": "1.1", "name": "mine", "rows": TWO},
        {"train": TWO, "test": [{"prompt": "never", "answer": "3"}]},
        {"train": {"data": TWO}, "validation": {"data": TWO[:1]}},
        {"prompt": ["a", "b"], "answer": ["1", "2"]},
        {"prompt": {"0": "a", "1": "b"}, "answer": {"0": "1", "1": "2"}},
        {"q-1": TWO[0], "q-2": TWO[1]},
        {"columns": ["prompt", "answer"], "index": [0, 1], "data": [["a", "1"], ["b", "2"]]},
        {"rows": [{"row_idx": n, "row": row, "truncated_cells": []} for n, row in enumerate(TWO)]},
    ],
)
def test_a_file_that_is_one_object_gives_the_rows_inside(tmp_path: Path, content: dict) -> None:
    for text in (json.dumps(content), json.dumps(content, indent=2)):
        assert read(file(tmp_path, text)) == TWO


@pytest.mark.parametrize("between", ["\n", ",\n", "\n,\n", "\n\n"])
def test_objects_one_after_another_are_rows(tmp_path: Path, between: str) -> None:
    for indent in (None, 2):
        text = between.join(json.dumps(row, indent=indent) for row in TWO)
        if between == "\n,\n" and indent is None:
            continue
        for end in ("", ",") if "," in between else ("",):
            assert read(file(tmp_path, text + end + "\n")) == TWO


def test_one_object_may_be_a_row_itself(tmp_path: Path) -> None:
    talk = {"messages": [{"role": "user", "content": "a"}], "answer": ["1"]}
    for row in (TWO[0], talk, {**talk, "rows": TWO}):
        assert read(file(tmp_path, json.dumps(row, indent=1))) == [row]


def test_an_object_with_several_lists_names_its_keys(tmp_path: Path) -> None:
    path = file(tmp_path, json.dumps({"easy": TWO, "hard": TWO[:1]}))
    with pytest.raises(UserError, match=r"several keys: easy, hard.*split: easy"):
        read(path)
    assert [row for _, row in records(Source(str(path), "json", split="hard"))] == TWO[:1]
    with pytest.raises(UserError, match=r"no rows under 'both'; its keys: easy, hard"):
        list(records(Source(str(path), "json", split="both")))


@pytest.mark.parametrize(("name", "comma"), [("a.csv", ","), ("a.csv", ";"), ("a.TSV", "\t")])
def test_cells_of_csv_are_text_as_it_is_written(tmp_path: Path, name: str, comma: str) -> None:
    lines = [
        ["question", "answer", "note"],
        ['"a, b; c\td"', "007", '"two\nlines"'],
        [],
        ["d", "", "1"],
    ]
    text = "\ufeff" + "\r\n".join(comma.join(cells) for cells in lines) + "\r\n\r\n"
    found = list(records(Source(str(file(tmp_path, text, name)), "csv")))
    assert [row for _, row in found] == [
        {"question": "a, b; c\td", "answer": "007", "note": "two\nlines"},
        {"question": "d", "answer": "", "note": "1"},
    ]
    assert [where.rsplit(":")[-1] for where, _ in found] == ["2", "5"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a,b\n1,2,3\n", r"a.csv:2: 3 cells in a row, and the first line names 2"),
        (b"a,b\n1\n", r"a.csv:2: 1 cells in a row"),
        (b'a,b\n1,"2"3\n', r"a.csv:2: broken CSV"),
        (b'a,b\n1,"2\n', r"a.csv:2: broken CSV"),
        (b"a,b\n1,\xe9\n", r"a.csv:2: not UTF-8"),
        (b"a\0b", r"is a binary file"),
        (b"", r"is empty"),
        (b"\n1,2\n", r"Its first line names the columns"),
    ],
)
def test_broken_csv_is_named_by_its_line(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read(file(tmp_path, content, "a.csv"), "csv")


def test_arrow_is_read_as_a_file_and_as_a_stream_with_its_labels(tmp_path: Path) -> None:
    info = {"info": {"features": {"answer": {"_type": "ClassLabel", "names": ["iron", "cork"]}}}}
    table = pa.table({"question": ["Which?"] * 3, "answer": [1, 0, -1]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    feather.write_feather(table, tmp_path / "a.feather")
    with pa.ipc.new_stream(tmp_path / "a.arrow", table.schema) as stream:
        stream.write_table(table)
    for name in ("a.feather", "a.arrow"):
        assert [row["answer"] for row in read(tmp_path / name, "arrow")] == ["cork", "iron", None]
        (tmp_path / name).write_bytes(b"ARROW1" * 9)
        with pytest.raises(UserError, match=f"{name} is not a readable Arrow file"):
            read(tmp_path / name, "arrow")


def test_an_object_beyond_the_largest_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonlist, "LARGEST_ROW", 1000)
    monkeypatch.setattr(jsonlist, "WINDOW", 200)
    with pytest.raises(UserError, match=r"a.json:1: .* has not ended after .* MB.* one a line"):
        read(file(tmp_path, json.dumps({"train": ROWS}, indent=1)))


def test_a_csv_column_without_a_name_has_a_number(tmp_path: Path) -> None:
    (row,) = read(file(tmp_path, ",prompt\n0,2?\n", "a.csv"), "csv")
    assert row == {"column 1": "0", "prompt": "2?"}
