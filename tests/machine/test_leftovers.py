"""What a killed run leaves: real processes of a folder are found and ended, nobody else's."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import shared_memory
from pathlib import Path

import pytest

from verlaunch.errors import UserError
from verlaunch.launch.folder import locked
from verlaunch.machine import leftovers, processes

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
# A child with an environment of its own, which no mark tells.
HAS_A_CHILD = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}], env={{}}, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
# Holds the folder, as a launcher does, until it is killed.
LOCKS = """
import sys, time
from pathlib import Path
from verlaunch.launch.folder import locked
with locked(Path(sys.argv[1])):
    print("up", flush=True)
    time.sleep(600)
"""


MAPS = """
import mmap, sys, time
from pathlib import Path
file, own = sys.argv[1:]
Path(own).write_bytes(b"x" * 64)
opened = [open(name, "rb") for name in (file, own)]
maps = [mmap.mmap(one.fileno(), 0, prot=mmap.PROT_READ) for one in opened]
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run" / "logs").mkdir(parents=True)
    return tmp_path / "run"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen]]:
    processes: list[subprocess.Popen] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def start(started: list[subprocess.Popen], code: str, *words: str, **environment: str) -> str:
    """The first line of its output."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    started.append(process)
    assert process.stdout is not None
    return process.stdout.readline().strip()


def temp_of(folder: Path, tmp_path: Path) -> Path:
    temp = tmp_path / f"{leftovers.OURS}{secrets.token_hex(4)}"
    leftovers.note(folder, str(temp))
    temp.mkdir()
    return temp


def test_nothing_is_left_of_a_clean_run(folder: Path) -> None:
    assert leftovers.end(folder) == ""


def test_a_folders_processes_end_and_those_below_them_too(
    folder: Path, started: list[subprocess.Popen]
) -> None:
    below = int(start(started, HAS_A_CHILD, **leftovers.mark(folder)))
    start(started, SLEEP, **leftovers.mark(folder))
    assert "3 processes" in leftovers.end(folder)
    assert all(processes.is_dead(pid) for pid in [below, *(process.pid for process in started)])


def test_another_folders_processes_live_on(folder: Path, started: list[subprocess.Popen]) -> None:
    for other in (folder.parent / "other", folder / "checkpoints", folder.parent / "run2"):
        start(started, SLEEP, **leftovers.mark(other))
    start(started, SLEEP, NOT_THE_MARK=str(folder))
    start(started, SLEEP, str(folder))  # as `tail -f` in the folder would be
    assert leftovers.end(folder) == ""
    assert all(process.poll() is None for process in started)


def test_we_and_our_parents_are_spared(folder: Path, started: list[subprocess.Popen]) -> None:
    calls = "from verlaunch.machine import leftovers; from pathlib import Path; import sys; " \
            "print(leftovers.end(Path(sys.argv[1])) or 'nothing')"  # fmt: skip
    runs = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {calls!r}, sys.argv[1]])"
    assert start(started, runs, str(folder), **leftovers.mark(folder)) == "nothing"


def test_temporary_folders_and_shared_memory_go(folder: Path, tmp_path: Path) -> None:
    temps = [temp_of(folder, tmp_path) for _ in range(2)]
    memory = shared_memory.SharedMemory(create=True, size=64)
    (temps[0] / leftovers.SHARED).write_text(f"{processes.SHM}{memory.name}\n")
    assert "its temporary files" in leftovers.end(folder)
    assert not any(temp.exists() for temp in temps)
    assert not Path(processes.SHM, memory.name).exists()
    assert leftovers.end(folder) == ""
    memory.close()


@pytest.mark.parametrize("name", ["model", "models/model"])
def test_a_model_that_a_person_keeps_in_shared_memory_stays(
    folder: Path, started: list[subprocess.Popen], name: str
) -> None:
    unique = secrets.token_hex(4)
    model, own = Path(f"{processes.SHM}{unique}-{name}"), Path(f"{processes.SHM}{unique}-own")
    model.parent.mkdir(exist_ok=True)
    model.write_bytes(b"weights")
    time.sleep(2 * processes.EARLIER_S)
    try:
        assert start(started, MAPS, str(model), str(own), **leftovers.mark(folder)) == "up"
        leftovers.end(folder)
        assert (model.exists(), own.exists()) == (True, False)
    finally:
        model.unlink()
        own.unlink(missing_ok=True)
        if model.parent != Path(processes.SHM):
            model.parent.rmdir()


@pytest.mark.parametrize("line", ["../precious", "", "other", "/"])
def test_only_what_is_named_as_ours_is_removed(folder: Path, tmp_path: Path, line: str) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (folder / leftovers.NOTE).write_text(f"{line}\n{precious}\n")
    temp = temp_of(folder, tmp_path)
    (temp / leftovers.SHARED).write_text(f"{precious}\n/dev/shm/../..{precious}\n{line}\n")
    leftovers.end(folder)
    assert precious.is_dir() and not temp.exists()


def test_the_next_start_ends_what_the_last_one_left(
    folder: Path, started: list[subprocess.Popen]
) -> None:
    start(started, LOCKS, str(folder))
    start(started, SLEEP, **leftovers.mark(folder))
    with pytest.raises(UserError, match="Another run is using"), locked(folder):
        pass
    assert started[1].poll() is None  # the folder is another's as long as that one lives
    started[0].kill()
    started[0].wait()
    with locked(folder) as told:
        assert processes.is_dead(started[1].pid)
    assert told.startswith(f"Ended what an earlier attempt in {folder} left behind: 1 process ")
