"""Trackers without account, terminal or network; a resumed run is the same run to them."""

import inspect
import json
import os
import posixpath
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tracked_child import verls_tracking
from verlaunch.config.compose import compose
from verlaunch.config.flags import parse
from verlaunch.errors import UserError
from verlaunch.launch import start as launch
from verlaunch.machine.hardware import Machine
from verlaunch.plan.asked import Asked
from verlaunch.plan.foresight import foresee
from verlaunch.plan.guards.loggers import refused
from verlaunch.record import trackers, wandb_files
from verlaunch.record.mlflow_names import Names
from verlaunch.record.trackers import environment, notes, run_id

ROOT = Path(__file__).parents[2]
ALL = [*trackers.PACKAGES, "console"]
BLOCK, FULL, LAST = 1 << 15, 1, 4  # of LevelDB's log


def start(folder: Path, first: int, names: str) -> str:
    """A start of a run of two steps, in a process of its own, without terminal and keys."""
    (folder / "home").mkdir(parents=True, exist_ok=True)
    clean = {key: os.environ[key] for key in ("PATH", "TMPDIR", "LANG") if key in os.environ}
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "tracked_child.py"), str(folder), str(first), names],
        env={**clean, "HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)},
        cwd=folder / "home",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def tensorboard_steps(folder: Path, tag: str) -> list[int]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.step for event in events.Scalars(tag)]


def wandb_records(data: bytes) -> Iterator[bytes]:
    """The records of a .wandb file: LevelDB's log format, after a header of 7 bytes."""
    position, whole = 7, b""
    while position + 7 <= len(data):
        room = BLOCK - position % BLOCK
        if room < 7:  # too little for a header: padding
            position += room
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        whole += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (FULL, LAST):
            yield whole
            whole = b""


def wandb_steps(file: Path) -> list[int]:
    from wandb.proto import wandb_internal_pb2 as pb

    steps = []
    for data in wandb_records(file.read_bytes()):
        record = pb.Record.FromString(data)
        if record.WhichOneof("record_type") == "history":
            steps.append(record.history.step.num)
    return steps


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of 4 steps that was started twice."""
    folder = tmp_path_factory.mktemp("run")
    for first in (1, 3):
        start(folder, first, "tensorboard,wandb")
    return folder


def test_tensorboard_shows_a_resumed_run_as_one_curve(resumed: Path) -> None:
    steps = tensorboard_steps(resumed / "trackers" / "tensorboard", "critic/score/mean")
    assert steps == [1, 2, 3, 4]


def test_wandb_keeps_both_parts_of_a_resumed_run_under_one_id(resumed: Path) -> None:
    files = sorted(
        (resumed / "trackers" / "wandb").glob(f"offline-run-*/run-{run_id(resumed)}.wandb")
    )
    assert [wandb_steps(file) for file in files] == [[1, 2], [3, 4]]


@pytest.mark.parametrize("torn", [b"", b"\x01\x02\x03\x04\x10\x00\x01ab", b"\0" * 40])
@pytest.mark.parametrize(("last", "steps"), [(0, []), (1, [1]), (2, [1, 2]), (9, [1, 2])])
def test_what_a_killed_start_logged_beyond_its_checkpoint_is_cut_off(
    resumed: Path, tmp_path: Path, last: int, steps: list[int], torn: bytes
) -> None:
    first = min((resumed / "trackers" / "wandb").glob("offline-run-*/run-*.wandb"))
    (file := tmp_path / "offline-run-1" / first.name).parent.mkdir()
    before = first.read_bytes() + torn
    file.write_bytes(before)
    wandb_files.cut(tmp_path, last)
    assert wandb_steps(file) == steps
    lost = file.with_name(f"{file.name}.lost")
    assert file.read_bytes() + (lost.read_bytes() if lost.exists() else b"") == before
    assert [end for end, _ in wandb_files.records(file.read_bytes())][-1] == file.stat().st_size
    assert not lost.exists() or last < 2 or torn


def test_what_was_sent_already_stays(resumed: Path, tmp_path: Path) -> None:
    first = min((resumed / "trackers" / "wandb").glob("offline-run-*/run-*.wandb"))
    (file := tmp_path / "offline-run-1" / first.name).parent.mkdir()
    file.write_bytes(first.read_bytes())
    file.with_name(f"{file.name}.synced").touch()
    wandb_files.cut(tmp_path, 0)
    assert wandb_steps(file) == [1, 2]


def test_a_command_for_each_start_that_wandb_has_on_this_disk(resumed: Path) -> None:
    said = [note for note in notes(["wandb"], resumed, {"HOME": "/"}) if "earlier start" in note]
    folders = sorted((resumed / "trackers" / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    assert [note.rpartition(" ")[2] for note in said] == [str(folder) for folder in folders]


def test_nothing_is_written_where_the_user_stands(resumed: Path) -> None:
    visible = [path.name for path in (resumed / "home").iterdir() if path.name[0] != "."]
    assert visible == []


def test_a_run_has_one_id_and_another_folder_another(tmp_path: Path) -> None:
    first = run_id(tmp_path / "a")
    assert first == run_id(tmp_path / "a") != run_id(tmp_path / "b")
    assert len(first) == trackers.ID_LENGTH and first.isalnum() and first == first.lower()


def test_a_broken_id_file_is_made_anew(tmp_path: Path) -> None:
    run_id(tmp_path)
    (tmp_path / "trackers" / "run.json").write_text("[")
    assert run_id(tmp_path) == run_id(tmp_path)


def test_without_a_key_wandb_and_swanlab_stay_on_the_disk(tmp_path: Path) -> None:
    found = environment(["wandb", "swanlab"], tmp_path, "abc", {"HOME": str(tmp_path)})
    assert found["WANDB_MODE"] == found["SWANLAB_MODE"] == "offline"
    assert found["WANDB_RUN_ID"] == found["SWANLAB_RUN_ID"] == "abc"
    assert found["WANDB_RESUME"] == found["SWANLAB_RESUME"] == "allow"


def test_with_a_key_they_go_online(tmp_path: Path) -> None:
    keys = {"WANDB_API_KEY": "k", "SWANLAB_API_KEY": "k", "HOME": str(tmp_path)}
    assert not {"WANDB_MODE", "SWANLAB_MODE"} & environment(
        ["wandb", "swanlab"], tmp_path, "abc", keys).keys()  # fmt: skip


def test_a_login_on_this_machine_is_a_key(tmp_path: Path) -> None:
    (tmp_path / ".swanlab").mkdir()
    (tmp_path / ".swanlab" / ".netrc").write_text("machine api.swanlab.cn login x password y\n")
    (tmp_path / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password y\n")
    (tmp_path / ".netrc").chmod(0o600)
    home = {"HOME": str(tmp_path)}
    assert "SWANLAB_MODE" not in environment(["swanlab"], tmp_path, "abc", home)
    assert "WANDB_MODE" not in environment(["wandb"], tmp_path, "abc", home)
    elsewhere = {**home, "WANDB_BASE_URL": "https://wandb.example.org"}
    assert environment(["wandb"], tmp_path, "abc", elsewhere)["WANDB_MODE"] == "offline"


def test_every_file_of_a_tracker_lies_in_the_run_s_folder(tmp_path: Path) -> None:
    found = environment(ALL, tmp_path, "abc", {})
    places = {key: value for key, value in found.items() if key.endswith(("_DIR", "_URI"))}
    assert len(places) == 6
    assert all(str(tmp_path / "trackers") in place for place in places.values())


def test_what_the_user_has_set_stays(tmp_path: Path) -> None:
    everything = environment(ALL, tmp_path, "abc", {})
    assert environment(ALL, tmp_path, "abc", everything) == {}
    assert environment([], tmp_path, "abc", {}) == {}


def test_a_missing_package_comes_with_the_line_that_installs_it() -> None:
    (problem,) = refused(["tensorboard", "rl_insight"], {})
    assert "rl-insight is not installed" in problem.text
    assert problem.text.endswith(".venv/bin/pip install rl-insight")
    assert list(refused(["tensorboard", "wandb", "console"], {})) == []


def test_verl_s_file_tracker_is_refused_since_it_empties_its_file() -> None:
    (problem,) = refused(["file"], {})
    assert "metrics.jsonl" in problem.text


def test_an_account_that_is_needed_is_asked_for_by_name_only() -> None:
    half = {"VOLC_ACCESS_KEY_ID": "secret"}
    (problem,) = [one.text for one in refused(["vemlp_wandb"], half) if "account" in one.text]
    assert "VOLC_SECRET_ACCESS_KEY, MLP_TRACKING_REGION" in problem and "secret" not in problem


def test_notes_say_where_to_look_and_never_a_secret(tmp_path: Path) -> None:
    said = "\n".join(notes(ALL, tmp_path, {"HOME": str(tmp_path)}))
    for command in ("tensorboard --logdir", "wandb sync", "swanlab sync", "mlflow ui",
                    "trackio show"):  # fmt: skip
        assert command in said
    keys = {"WANDB_API_KEY": "hush-1", "SWANLAB_API_KEY": "hush-2", "MLFLOW_TRACKING_URI": "hush-3"}
    assert "hush" not in "\n".join(notes(ALL, tmp_path, keys))


ODD = ["a@b", "a_at_b", "a b", "val/数学", "val/物理", "/x/", "x", "a//b", "a/b", "a/../b", "..",
       ".", "", "/", "a/./b", "a%", "a#", "n" * 300, "n" * 301, "a:b", "\ud800",
       "ok/name-1.2"]  # fmt: skip


def test_every_name_is_one_that_mlflow_takes_and_stays_a_name_of_its_own() -> None:
    names = Names()
    safe = [names(name) for name in ODD]
    for name in safe:
        assert re.fullmatch(r"[/\w.\- :]{1,250}", name)
        assert posixpath.normpath(name) == name and not name.startswith(("/", "..")) and name != "."
    assert len(set(safe)) == len(ODD)
    assert [names(name) for name in ODD] == safe
    assert names("ok/name-1.2") == "ok/name-1.2" and names("a@b") == "a_at_b"


def test_verls_adapter_still_asks_for_names_where_we_answer() -> None:
    adapter = verls_tracking()._MlflowLoggingAdapter
    assert "self._sanitize_key(k)" in inspect.getsource(adapter.log)


def test_one_logger_may_be_given_as_a_word() -> None:
    assert trackers.chosen("wandb") == ["wandb"]
    assert trackers.chosen(None) == []


def test_a_tracker_that_cannot_work_is_refused_before_the_run(
    tmp_path: Path, tiny_qwen2: Path
) -> None:
    rows = [{"prompt": f"{i}+1=", "ground_truth": str(i + 1), "data_source": "math_reasoning"}
            for i in range(40)]  # fmt: skip
    (tmp_path / "data.json").write_text(json.dumps(rows))
    words = ("--model", str(tiny_qwen2), "--data", str(tmp_path / "data.json"),
             "--output_dir", str(tmp_path / "out"), "--logger", "file,rl_insight")  # fmt: skip
    asked = Asked(compose(parse(words, {}), "cpu"), Machine(2, 24.0))
    first, second = foresee(asked).problems
    assert first.startswith("--logger file: ") and second.startswith("--logger rl_insight: ")
    with pytest.raises(UserError, match="--logger file"):
        launch.start(asked)
    assert not (tmp_path / "out").exists()
