"""One process that is forked for the others: real processes, with small modules in verl's place."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from verlaunch.engine.fork import fork_client, zygote
from verlaunch.launch import head_start
from verlaunch.machine import processes

SERVES = """
import sys
from verlaunch.engine.fork import zygote
zygote.main(sys.argv[1], "small_driver", sys.argv[2].split(","), float(sys.argv[3]))
"""
DRIVER = """
import os, signal, sys, time
def main(launch):
    print("driver", launch, os.getppid(), *sorted(set(os.environ) & {{"RAY_JOB_ID", "ONLY"}}),
          flush=True)
    {does}
"""
TELLS = """
import json, numpy, os, random, sys
if __name__ == "__main__":
    print(json.dumps({"words": sys.argv[1:], "folder": os.getcwd(), "path": sys.path[0],
                      "color": os.environ.get("COLOR"), "only": os.environ.get("ONLY"),
                      "loaded": "small_driver" in sys.modules, "pid": os.getpid(),
                      "drawn": [random.random(), numpy.random.rand()], "read": sys.stdin.read()}))
    print("to stderr", file=sys.stderr)
    sys.exit(7)
"""
TAKES_OVER = "import sys; print('a new interpreter', *sys.argv[1:])"
WAITS = "    time.sleep(600)"
JOB = fork_client.JOB


def until(true: Callable[[], bool]) -> None:
    """Waits for other processes; a generous limit, for a loaded machine."""
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")


class Bench:
    """A zygote in `folder`, with a worker's script and Ray's own beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.go, self.started = folder, folder / "go", list[subprocess.Popen]()
        self.idle_s = 600.0
        (folder / "default_worker.py").write_text(TELLS)
        (folder / "setup_worker.py").write_text(TAKES_OVER)
        (folder / "elsewhere").mkdir()

    def start(self, does: str = WAITS, **modules: str) -> subprocess.Popen:
        modules = {"small_driver": DRIVER.format(does=does.strip()), **modules}
        for name, text in modules.items():
            (self.folder / f"{name}.py").write_text(text)
        names = ",".join(["numpy", *modules])
        words = [sys.executable, "-c", SERVES, str(self.go), names, str(self.idle_s)]
        added = zygote.environment({"OMP_NUM_THREADS": "2"})
        env = {**os.environ, **added, "ONLY": "1", "PYTHONPATH": str(self.folder),
               "VERLAUNCH_TEMP": str(self.folder)}  # fmt: skip
        process = subprocess.Popen(
            words, env=env, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        self.started.append(process)
        until(lambda: zygote.client(str(self.folder)) is not None)
        return process

    def train(self, process: subprocess.Popen) -> list[str]:
        """The driver's words, once it is there."""
        part = self.folder / "part"
        part.write_text("launch.json")
        part.rename(self.go)
        assert process.stdout is not None
        return process.stdout.readline().split()

    def worker(self, *words: str, **environment: str) -> subprocess.CompletedProcess:
        script = zygote.client(str(self.folder)) or fork_client.__file__
        command = [sys.executable, script, str(self.folder / "default_worker.py"),
                   "--language=PYTHON", *words]  # fmt: skip
        env = {**os.environ, **JOB, "VERLAUNCH_TEMP": str(self.folder), **environment}
        return subprocess.run(
            command, env=env, input="hello", capture_output=True, text=True, timeout=60,
            cwd=self.folder / "elsewhere", check=False,
        )  # fmt: skip

    def told(self, *words: str, **environment: str) -> dict:
        return json.loads(self.worker(*words, **environment).stdout)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for process in bench.started:
        process.kill()
        process.wait()
    assert not processes.marked("VERLAUNCH_TEMP", str(tmp_path))


def test_a_worker_is_what_the_client_was(bench: Bench) -> None:
    bench.start()
    done = bench.worker("--worker-id=1", COLOR="red")
    told = json.loads(done.stdout)
    assert told["words"] == ["--worker-id=1"] and told["read"] == "hello"
    assert told["folder"] == str(bench.folder / "elsewhere") and told["path"] == str(bench.folder)
    assert (told["color"], told["only"]) == ("red", None)
    assert told["loaded"] and done.stderr == "to stderr\n"


def test_variables_of_a_runtime_environment_are_added(bench: Bench) -> None:
    bench.start()
    context = json.dumps({"env_vars": {"COLOR": "${SHADE}red"}, "py_executable": sys.executable})
    told = bench.told(f"{fork_client.CONTEXT}{context}", "--worker-id=1", SHADE="dark ")
    assert told["color"] == "dark red" and told["words"] == ["--worker-id=1"]


def test_no_two_workers_draw_the_same_numbers(bench: Bench) -> None:
    bench.start()
    first, second = bench.told(), bench.told()
    assert not set(first["drawn"]) & set(second["drawn"])
    assert first["pid"] != second["pid"]


def test_who_asks_during_the_imports_waits_for_them(bench: Bench) -> None:
    bench.start(slow="import time; time.sleep(1.5)", late="")
    assert bench.told()["loaded"]


@pytest.mark.parametrize(
    "context",
    [
        {"py_executable": "/usr/bin/other"},
        {"command_prefix": ["nice"]},
        {"env_vars": {"PYTHONPATH": "/x"}},
        {"env_vars": {"MALLOC_ARENA_MAX": "1"}},
    ],
)
def test_what_a_fork_cannot_give_is_left_to_ray(bench: Bench, context: dict) -> None:
    bench.start()
    words = bench.worker(f"{fork_client.CONTEXT}{json.dumps(context)}").stdout
    assert words.startswith("a new interpreter") and "default_worker.py" in words


def test_another_jobs_worker_is_left_to_ray(bench: Bench) -> None:
    bench.start()
    assert "a new" in bench.worker(RAY_JOB_ID="02000000").stdout


def test_without_a_zygote_ray_starts_the_worker(bench: Bench) -> None:
    assert "a new interpreter" in bench.worker().stdout
    process = bench.start()
    process.kill()
    process.wait()
    assert zygote.client(str(bench.folder)) and "a new interpreter" in bench.worker().stdout


def test_nothing_is_forked_beside_a_second_thread(bench: Bench) -> None:
    threads = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()"
    bench.start(threads=threads)
    assert "a new interpreter" in bench.worker().stdout


def test_a_client_that_says_nothing_is_no_ones_harm(bench: Bench) -> None:
    import socket

    bench.start()
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(bench.folder / fork_client.ADDRESS))
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(bench.folder / fork_client.ADDRESS))
        line.sendall(b"rubbish")
        line.shutdown(socket.SHUT_WR)
    assert bench.told()["loaded"]


def test_the_driver_starts_when_told_and_without_our_variables(bench: Bench) -> None:
    process = bench.start()
    assert bench.train(process) == ["driver", "launch.json", str(process.pid), "ONLY"]


def test_the_driver_need_not_wait_for_later_imports(bench: Bench) -> None:
    process = bench.start(slow="import time; time.sleep(1)", slower="import time; time.sleep(600)")
    assert bench.train(process)[0] == "driver"


@pytest.mark.parametrize(
    ("does", "code"),
    [("return 3", 3), ("os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL)],
)
def test_the_drivers_exit_code_is_the_zygotes(bench: Bench, does: str, code: int) -> None:
    process = bench.start(does)
    bench.train(process)
    assert process.wait(60) == code


def test_sigterm_is_passed_on_to_the_driver(bench: Bench) -> None:
    process = bench.start("signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); print(); "
                          "sys.stdout.flush(); time.sleep(600)")  # fmt: skip
    bench.train(process)
    assert process.stdout is not None and process.stdout.readline() == "\n"
    process.terminate()
    assert process.wait(60) == 5


def test_it_shrinks_when_no_more_workers_come_and_still_waits_for_the_driver(bench: Bench) -> None:
    bench.idle_s = 0.2
    process = bench.start("signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); print(); "
                          "sys.stdout.flush(); time.sleep(600)")  # fmt: skip
    bench.train(process)
    words = Path(f"/proc/{process.pid}/cmdline")
    time.sleep(0.5)
    assert "waiter.py" not in words.read_text()  # none has come yet
    bench.told()
    until(lambda: "waiter.py" in words.read_text())
    assert "a new interpreter" in bench.worker().stdout
    process.terminate()
    assert process.wait(60) == 5


def test_before_there_is_a_driver_sigterm_ends_it(bench: Bench) -> None:
    process = bench.start(slow="import time; time.sleep(600)")
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM


def test_a_killed_zygote_takes_the_driver_with_it(bench: Bench) -> None:
    process = bench.start()
    bench.train(process)
    (child,) = processes.children(process.pid)
    process.kill()
    process.wait()
    until(lambda: processes.is_dead(child))


def test_what_was_begun_for_nothing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(zygote, "__name__", "tests.no_such_module")
    with head_start.start(tmp_path) as begun:
        assert begun.log.exists()
    assert begun.guardian.returncode is not None and not list((tmp_path / "logs").iterdir())


PARENT = """
import multiprocessing, os, sys, time
from verlaunch.engine.fork import spawned
import small_child
if __name__ == "__main__":
    print("offered", spawned.offer())
    sends, gets = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("forkserver").Process(
        target=small_child.work, args=(sends, sys.argv[1]), name="Engine")
    process.start()
    process.join(0.01)
    print(*gets.recv(), process.pid, process.is_alive(), flush=True)
    if sys.argv[1] == "waits":
        os._exit(0)
    process.join()
    print("ended", process.is_alive())
"""
CHILD = """
import multiprocessing, os, sys, time
def work(sends, how):
    loaded = sys.modules.get("small_driver")
    sends.send((multiprocessing.current_process().name, os.environ["COLOR"],
                loaded is not None, os.getpid()))
    if how == "waits":
        time.sleep(600)
"""


def parent(bench: Bench, how: str) -> subprocess.CompletedProcess[str]:
    """A server that starts its engine in the place of one."""
    (bench.folder / "parent.py").write_text(PARENT)
    (bench.folder / "small_child.py").write_text(CHILD)
    env = {**os.environ, "VERLAUNCH_TEMP": str(bench.folder), "COLOR": "blue",
           "PYTHONPATH": os.pathsep.join([str(bench.folder), *sys.path])}  # fmt: skip
    return subprocess.run(
        [sys.executable, str(bench.folder / "parent.py"), how],
        capture_output=True, text=True, env=env, timeout=120, cwd=bench.folder,
    )  # fmt: skip


def test_a_process_of_multiprocessing_is_forked_with_every_import(bench: Bench) -> None:
    bench.train(bench.start())
    done = parent(bench, "ends")
    offered, told, ended = done.stdout.splitlines() or [done.stderr] * 3
    assert (offered, ended) == ("offered True", "ended False"), done.stderr
    name, color, forked, own, known, alive = told.split()
    assert (name, color, forked, alive) == ("Engine", "blue", "True", "True")
    assert own == known


def test_where_the_zygote_cannot_a_new_interpreter_does_the_same(bench: Bench) -> None:
    process = bench.start()
    process.kill()
    process.wait()
    done = parent(bench, "ends")
    assert "Engine blue False" in done.stdout and "ended False" in done.stdout, done.stderr


def test_such_a_process_ends_with_the_one_that_has_asked(bench: Bench) -> None:
    bench.train(bench.start())
    done = parent(bench, "waits")
    child = int(done.stdout.splitlines()[1].split()[3])
    until(lambda: processes.is_dead(child))


def test_without_a_run_nothing_is_changed(bench: Bench) -> None:
    assert parent(bench, "ends").stdout.startswith("offered False")
