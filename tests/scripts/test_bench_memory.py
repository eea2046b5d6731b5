"""What scripts/bench/memory.py sees of processes, and what it makes of it."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from verlaunch.text import GIB, MIB

pytestmark = pytest.mark.slow

BENCH = Path(__file__).parents[2] / "scripts" / "bench"


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCH))
    try:
        yield __import__("memory")
    finally:
        sys.path.remove(str(BENCH))


@contextmanager
def program(text: str) -> Iterator[subprocess.Popen]:
    """A Python program that prints a line per stage and waits for one before the next."""
    run = subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield run
    finally:
        run.kill()
        run.wait()


def stage(run: subprocess.Popen) -> None:
    assert run.stdout is not None
    assert run.stdout.readline() == "there\n"


def go_on(run: subprocess.Popen) -> None:
    assert run.stdin is not None
    run.stdin.write("\n")
    run.stdin.flush()


GROWING = """
import subprocess, sys
wait = lambda: (print("there", flush=True), sys.stdin.readline())
wait()
kept = b"x" * (48 << 20)
own = "import sys; kept = b'x' * (32 << 20); print('up', flush=True); sys.stdin.read()"
child = subprocess.Popen([sys.executable, "-c", own], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
child.stdout.readline()
wait()
"""

FORKING = """
import os, sys
kept = b"x" * (64 << 20)
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
print("there", flush=True)
sys.stdin.readline()
"""


def test_memory_of_a_program_and_of_what_it_started_is_seen(bench: ModuleType) -> None:
    with program(GROWING) as run:
        stage(run)
        before = sum(bench.of_processes(run.pid).values())
        go_on(run)
        stage(run)
        after = bench.of_processes(run.pid)
    # The second interpreter brings some megabytes of its own.
    assert sum(after.values()) - before == pytest.approx(84 * MIB, rel=0.1)
    assert len(after) == 2


def test_pages_that_two_processes_share_count_once(bench: ModuleType) -> None:
    with program(FORKING) as run:
        stage(run)
        seen = bench.of_processes(run.pid)
    assert len(seen) == 2 and sum(seen.values()) < 80 * MIB


def test_a_sampler_looks_until_it_is_told_to_end(bench: ModuleType) -> None:
    with bench.Sampler(lambda: 7, every_s=0.01) as sampler:
        while len(sampler.samples) < 3:
            pass
    assert {seen for _, seen in sampler.samples} == {7} and not sampler.is_alive()


def test_a_process_that_is_gone_counts_nothing(bench: ModuleType) -> None:
    run = subprocess.Popen([sys.executable, "-c", ""])
    run.wait()
    assert bench.by_role(run.pid) == {}


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("ray::WorkerDict.actor_rollout_compute_log_prob", "training worker"),
        ("ray::Server.submit", "vLLM"),
        ("VLLM::EngineCore", "vLLM"),
        ("ray::Runner.run", "trainer"),
        ("ray::RolloutShell.load", "rollout worker"),
        ("/venv/bin/python -m verlaunch --steps 2", "launcher"),
        ("/venv/bin/python -m verlaunch.engine.processes.driver out/launch.json", "launcher"),
        ("/site-packages/ray/core/src/ray/raylet/raylet --store", "Ray"),
        ("sleep 5", "rest"),
    ],
)
def test_a_process_has_the_role_that_its_command_line_tells(
    bench: ModuleType, command: str, role: str
) -> None:
    assert bench.role_of(command) == role


def test_a_moment_belongs_to_the_phase_that_began_last(bench: ModuleType) -> None:
    events = [
        {"event": "phase", "phase": "starting ray", "time": 1.0},
        {"event": "phase", "phase": "rollout", "time": 5.0},
        {"event": "metrics", "time": 6.0},
        {"event": "phase", "phase": "update", "time": 7.0},
    ]
    moments = (0.5, 2.0, 6.5, 7.0)
    assert [bench.phase_at(events, at) for at in moments] == [
        "start", "start", "generation", "update",
    ]  # fmt: skip


def test_the_table_tells_prediction_measurement_and_ratio(bench: ModuleType) -> None:
    result = bench.Result(
        "3M", 2, {"start": 100 * MIB, "update": 330 * MIB},
        {"start": 90 * MIB, "update": 300 * MIB}, {"KV": 200 * MIB}, {"vLLM": 210 * MIB},
    )  # fmt: skip
    assert [line[1:] for line in bench.lines_of(result)] == [
        ["all", 330, 300, 1.1],
        ["start", 100, 90, 1.11],
        ["update", 330, 300, 1.1],
        ["part: KV", 200, None, None],
        ["role: vLLM", None, 210, None],
    ]


def test_every_size_has_heads_that_vllm_takes(bench: ModuleType) -> None:
    for shape in bench.SIZES.values():
        assert shape.hidden % shape.heads == 0 and shape.hidden // shape.heads in (32, 64, 128)
        assert shape.heads % shape.key_heads == 0 and shape.vocabulary >= 260


def test_prompts_are_just_as_long_as_allowed(bench: ModuleType, tmp_path: Path) -> None:
    from gpu_check.models import filled_tokenizer

    tokenizer = filled_tokenizer(400)
    rows = json.loads(bench.write_rows(tmp_path / "rows.json", 40, 5).read_text())
    assert len({row["prompt"] for row in rows}) == 5
    for row in rows:
        chat = [{"role": "user", "content": row["prompt"]}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        assert len(ids) == 40
    assert len(tokenizer) == 400 and tokenizer.decode([300]) == "word300"


def test_the_plan_of_the_run_itself_is_what_is_compared(bench: ModuleType, tmp_path: Path) -> None:
    args = argparse.Namespace(
        hardware="cpu", steps=2, batch=8, prompt=32, response=32, overrides=[]
    )
    check = bench.check_of(args, tmp_path)
    bench.write_model(bench.words.model_folder(check, "0.4M"), bench.SIZES["0.4M"])
    bench.write_rows(bench.words.rows_file(check, 32), 32, 32)
    found = [
        bench.planned_memory(check, "out", bench.words_of(args, check, "0.4M", ranks))
        for ranks in (1, 2)
    ]
    one, two = (max(phase["bytes"] for phase in phases) for phases in found)
    assert GIB < one < two
    assert not (tmp_path / "runs" / "out").exists()
