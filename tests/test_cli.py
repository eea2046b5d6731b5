"""One door: the first word names a command, each is light to ask, and a mistake is told."""

import importlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from verlaunch import cli, paths
from verlaunch.cli import COMMANDS
from verlaunch.paths import anew, as_typed, sample
from verlaunch.plan import sentences

OTHERS = [command for command in COMMANDS if command.module]


def test_help_lists_every_command_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for command in COMMANDS:
        assert [line for line in lines if line.split()[1:2] == [command.name]], command
        assert any(line.endswith(as_typed(command.about)) for line in lines), command


@pytest.mark.parametrize("name", [command.name for command in OTHERS])
def test_each_command_says_how_it_is_used_and_loads_nothing_heavy(name: str) -> None:
    code = (
        "import sys; from verlaunch.cli import main\n"
        f"try: code = main([{name!r}, '--help'])\n"
        "except SystemExit as end: code = end.code\n"  # argparse
        "assert not {'torch', 'ray', 'verl', 'vllm', 'transformers'} & set(sys.modules)\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.lower().startswith(f"usage: ./train.sh {name} ")


def test_the_table_names_every_tool_and_each_once() -> None:
    tools = Path(cli.__file__).parent / "tools"
    there = {f"verlaunch.tools.{file.parent.name}.command" for file in tools.glob("*/command.py")}
    assert sorted(command.module for command in OTHERS) == sorted(there)
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["scor"], "scor is not a command. Did you mean score? ./train.sh --help lists them."),
        (["reprot", "outputs"], "reprot is not a command. Did you mean report?"),
        (["help"], "help: what does it belong to? Did you mean --help?"),
        (["model", "x"], "model: what does it belong to? Did you mean --model?"),
        (["score.json"], "score.json: what does it belong to? A flag starts"),
        (["./data"], "./data: what does it belong to? A flag starts"),
        (["train", "--lr", "0"], "--lr 0: takes a number above 0."),
        (["trainer.nonsense=1"], "trainer.nonsense is not a key."),
        (["--lr", "0", "score"], "--lr 0: takes a number above 0."),
    ],
)
def test_a_first_word_that_is_no_command_is_told(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    assert says in capsys.readouterr().err


def test_a_command_that_cannot_be_imported_names_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(name: str) -> None:
        raise ImportError("No module named 'hydra'")

    monkeypatch.setattr(importlib, "import_module", breaks)
    assert cli.main(["doctor"]) == 1
    assert "No module named 'hydra'. Install the environment again: rm" in capsys.readouterr().err


def test_the_door_itself_needs_nothing_that_is_installed() -> None:
    """So that the doctor can say what is missing."""
    code = "import sys; sys.path.insert(0, '.'); import verlaunch.cli"
    root = Path(cli.__file__).parents[1]
    subprocess.run([sys.executable, "-S", "-c", code], cwd=root, check=True)


def test_a_text_names_what_the_reader_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Try: ./train.sh score"
    monkeypatch.delenv("VERLAUNCH_START", raising=False)
    assert as_typed(text) == text
    monkeypatch.setattr(paths, "IS_CLONE", False)
    assert as_typed(text) == "Try: verlaunch score" and "train.sh" not in anew()
    monkeypatch.setenv("VERLAUNCH_START", str(tmp_path / "train.sh"))
    assert as_typed(text) == f"Try: {tmp_path}/train.sh score"
    monkeypatch.chdir(tmp_path)
    assert as_typed(text) == text


def test_the_sample_data_is_named_as_it_is_found_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sample() == "data/sample_math.json"
    monkeypatch.chdir(tmp_path)
    (typed,) = shlex.split(sample())  # this folder may have a space in its name
    assert Path(typed).is_absolute() and Path(typed).is_file()
    assert f"--data {sample()}  #" in sentences.done(tmp_path, is_demo=True)
