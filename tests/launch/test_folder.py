"""One run at a time in a folder, only ever the same one, and nothing of it is overwritten."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from verlaunch.cluster import tokens
from verlaunch.cluster.facts import Node
from verlaunch.cluster.place import Place
from verlaunch.errors import UserError
from verlaunch.launch import folder
from verlaunch.machine.disk import check_writable
from verlaunch.machine.hardware import Machine
from verlaunch.record.identity import check_identity

HOLD = """
import sys
from pathlib import Path
from verlaunch.launch.folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen:
    """A process that holds the folder until its input closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    return process


def test_a_second_run_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    other = holder(tmp_path)
    with pytest.raises(UserError) as caught, folder.locked(tmp_path):
        pass
    assert f"(process {other.pid})" in str(caught.value) and "--run_name" in str(caught.value)
    other.communicate()
    with folder.locked(tmp_path):
        pass


def test_a_killed_run_leaves_the_folder_free(tmp_path: Path) -> None:
    other = holder(tmp_path)
    other.kill()
    other.wait()
    with folder.locked(tmp_path):
        pass


def test_looking_whether_a_folder_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "outputs").touch()
    with pytest.raises(UserError, match="outputs is a file"):
        check_writable(tmp_path / "outputs" / "run")


def facts(path: Path, **identity: object) -> None:
    folder.write_facts(path, identity, "a: 1\n", "verlaunch --lr 1")


def test_the_same_run_may_continue(tmp_path: Path) -> None:
    check_identity(tmp_path, {"model": "a"})
    facts(tmp_path, model="a", data="d")
    check_identity(tmp_path, {"model": "a", "data": "d"})
    check_identity(tmp_path, {"model": "a"})


def test_another_model_or_data_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    facts(tmp_path, model="a", data="d", lora_rank=0)
    with pytest.raises(UserError) as caught:
        check_identity(tmp_path, {"model": "b", "data": "e", "lora_rank": 0})
    text = str(caught.value)
    assert "another model and data (model: a, now b; data: d, now e)" in text
    assert "--run_name" in text and "--resume never" in text


def test_starting_over_moves_everything_aside_and_keeps_strangers_files(tmp_path: Path) -> None:
    with folder.locked(tmp_path):
        facts(tmp_path, model="a")
        (tmp_path / "metrics.jsonl").write_text("{}\n")
        (tmp_path / "logs" / "train.log").write_text("log")
        (tmp_path / "notes.txt").write_text("mine")
        aside = folder.set_aside(tmp_path)
        assert aside is not None
        assert (aside / "metrics.jsonl").read_text() == "{}\n"
        assert (aside / "logs" / "train.log").read_text() == "log"
        assert (tmp_path / "notes.txt").exists() and (tmp_path / "logs" / "lock").exists()
        check_identity(tmp_path, {"model": "b"})
        facts(tmp_path, model="b")
        second = folder.set_aside(tmp_path)
        assert second not in (None, aside)  # even within the same second
        assert folder.set_aside(tmp_path) is None


def test_command_sh_runs_the_same_thing_in_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / "a folder"
    where.mkdir()
    monkeypatch.chdir(where)
    program = "import os, sys; print(os.getcwd(), os.environ['KL_COEF'], sys.argv[1:])"
    words = [sys.executable, "-c", program, "--data", "it's mine.json"]
    command = folder.command_line({"KL_COEF": "0 .1"}, words)
    folder.write_facts(tmp_path, {}, "", command)
    shown = subprocess.run([tmp_path / "command.sh"], capture_output=True, text=True, cwd="/")
    assert shown.stdout == f"{where} 0 .1 ['--data', \"it's mine.json\"]\n"


def test_the_environment_is_written_for_a_later_reader(tmp_path: Path) -> None:
    folder.write_environment(tmp_path, "cpu", Machine(2, 23.44), "train_sh")
    written = json.loads((tmp_path / "environment.json").read_text())
    assert written["memory_gib"] == 23.4 and written["gpus"] == []
    assert written["versions"]["verl"] == "0.9.1"


def node(rank: int, **more: Any) -> Node:
    known = {"nodes": 2, "host": f"host{rank}", "pid": 1, "address": f"10.0.0.{rank + 1}",
             "interface": "eth0", "cores": 96, "memory_gib": 1007.5, "gpus": ["NVIDIA Test"] * 8,
             "versions": {}, "settings": {}}  # fmt: skip
    return Node(rank, **{**known, **more})


def test_the_machines_of_a_run_are_in_its_record_with_their_logs(tmp_path: Path) -> None:
    folder.write_environment(tmp_path, "gpu", Machine(96, 1007.5), "train_sh", [node(0), node(1)])
    written = json.loads((tmp_path / "environment.json").read_text())
    assert written["nodes"][1] == {
        "rank": 1, "host": "host1", "address": "10.0.0.2", "interface": "eth0", "cores": 96,
        "memory_gib": 1007.5, "gpus": ["NVIDIA Test"] * 8, "log": "nodes/1/logs",
    }  # fmt: skip
    assert written["nodes"][0]["log"] == "logs"


def test_starting_over_moves_the_nodes_logs_aside_but_not_the_token(tmp_path: Path) -> None:
    with folder.locked(tmp_path):
        facts(tmp_path, model="a")
        (tmp_path / "nodes" / "1" / "logs").mkdir(parents=True)
        token = tokens.made(tmp_path)
        aside = folder.set_aside(tmp_path)
        assert aside is not None and (aside / "nodes" / "1" / "logs").is_dir()
        assert tokens.shared(tmp_path) == token
        assert not list(aside.rglob(f"*{tokens.FILE.name}*"))


LEADS = Place(0, 2, "10.0.0.1", 29500, "10.0.0.1", "eth0")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"NNODES": "2", "NODE_RANK": "0", "KL_COEF": "0"}, []),
        ({"NNODES": "2", "KL_COEF": "0"}, ["--node_rank", "0"]),
        ({"NNODES": "2", "KL_COEF": "0"}, ["--node-rank=0", "--lr", "1"]),
    ],
)
@pytest.mark.parametrize("rank", [None, "1"])
def test_command_sh_of_several_machines_takes_the_rank_of_each(
    tmp_path: Path, variables: dict[str, str], words: list[str], rank: str | None
) -> None:
    program = "import os, sys; print(os.environ.get('NODE_RANK'), os.environ['KL_COEF'], sys.argv)"
    command = folder.command_line(variables, [sys.executable, "-c", program, *words])
    folder.write_facts(tmp_path, {}, "", command, LEADS)
    script = tmp_path / "command.sh"
    assert "#   NNODES=2 NODE_RANK=1 MASTER_ADDR=10.0.0.1 sh command.sh\n" in script.read_text()
    env = {name: text for name, text in os.environ.items() if name != "NODE_RANK"}
    env |= {"NODE_RANK": rank} if rank else {}
    shown = subprocess.run([script], capture_output=True, text=True, env=env)
    rest = [word for word in words if word in ("--lr", "1")]
    assert shown.stdout == f"{rank} 0 {['-c', *rest]}\n"
