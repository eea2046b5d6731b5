"""./train.sh data: its words, and what it tells of a file of several splits."""

import json
from pathlib import Path

import pytest

from verlaunch.tools.data.command import arguments, main

ROWS = [{"prompt": f"{n}+1?", "answer": str(n + 1)} for n in range(6)]


def test_files_may_be_typed_with_and_without_the_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert arguments(["a.json", "b.csv"]).data == "a.json,b.csv"
    assert arguments(["--data", "a.json", "b.csv"]).data == "a.json,b.csv"
    with pytest.raises(SystemExit):
        arguments([])
    assert "which data? For example: --data my.jsonl" in capsys.readouterr().err


def test_what_is_held_out_of_a_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VERLAUNCH_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "my.json"
    file.write_text(json.dumps({"train": ROWS, "test": [{"prompt": "9+9?", "answer": "18"}]}))
    assert main([str(file)]) == 0
    said = capsys.readouterr().out
    assert f"note: held out of {file} by its key: test" in said and "read 7 rows" in said
