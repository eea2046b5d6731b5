"""What each of many wrong inputs and wrong machines is told, word for word: tests/wrong/*.yaml."""

from pathlib import Path

import pytest

from tests.wrong_inputs import Place, Row, rows

LEAST = 60


@pytest.fixture
def place(tmp_path: Path, tiny_qwen2: Path, cache: Path) -> Place:
    return Place(tmp_path, tiny_qwen2, cache)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.what)
def test_a_mistake_is_told_in_one_message(place: Place, row: Row) -> None:
    code, out, err = place.tell(row)
    if row.warns:
        assert code == 0, err
        assert row.warns in " ".join(out.split())
        return
    assert (code, err) == (2, "".join(f"error: {line}\n" for line in row.says.splitlines()))
    assert not any(path.name == "metrics.jsonl" for path in place.folder.rglob("*"))


def test_there_are_as_many_as_promised_and_none_twice() -> None:
    stopped = [row for row in rows() if row.says]
    assert len(stopped) >= LEAST
    assert len({row.what for row in rows()}) == len(rows())
