"""What scripts/bench/memory.py sees of processes and cards, and what it makes of it."""

import argparse
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from verlaunch.plan.memory.parts import Part, Phase
from verlaunch.text import MIB


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    file = Path(__file__).parents[2] / "scripts" / "bench" / "memory.py"
    spec = importlib.util.spec_from_file_location("bench_memory", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


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
        before = sum(bench.sample(run.pid).pss.values())
        go_on(run)
        stage(run)
        after = bench.sample(run.pid)
    # The second interpreter brings some megabytes of its own.
    assert sum(after.pss.values()) - before == pytest.approx(84 * MIB, rel=0.1)
    assert sum(after.count.values()) == 2


def test_pages_that_two_processes_share_count_once(bench: ModuleType) -> None:
    with program(FORKING) as run:
        stage(run)
        seen = bench.sample(run.pid)
    assert sum(seen.pss.values()) < 80 * MIB
    assert sum(seen.rss.values()) > 128 * MIB


def test_a_sampler_collects_until_it_is_told_to_end(bench: ModuleType) -> None:
    looked: list[int] = []

    def look(root: int) -> int:
        looked.append(root)
        return root

    sampler = bench.Sampler(1, look, every_s=0.01)
    sampler.start()
    while len(looked) < 3:
        pass
    found = sampler.finish()
    assert found == looked and len(found) >= 3 and not sampler.is_alive()


def test_a_process_that_is_gone_counts_nothing(bench: ModuleType) -> None:
    run = subprocess.Popen([sys.executable, "-c", ""])
    run.wait()
    assert bench.sample(run.pid).pss == {}


def test_rollup_is_read_in_kilobytes(bench: ModuleType) -> None:
    text = "55d0-7ffc ---p 0 00:00 0 [rollup]\nRss:   2048 kB\nPss:   1024 kB\nPss_Dirty: 5 kB"
    assert bench.read_rollup(text) == (MIB, 2 * MIB)
    assert bench.read_rollup("") == (0, 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0, 1024\n1, 512\n", (1024 * MIB, 512 * MIB)),
        ("1, 512\n0, 1024\n", (1024 * MIB, 512 * MIB)),
        ("0, [N/A]\n", (0,)),  # a chip that shares the machine's memory
        ("No devices were found\n", ()),
        ("", ()),
    ],
)
def test_memory_in_use_per_card_is_read(
    bench: ModuleType, text: str, found: tuple[int, ...]
) -> None:
    assert bench.read_cards(text) == found


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


def test_phases_of_a_plan_are_folded_into_those_of_the_record(bench: ModuleType) -> None:
    found = bench.foreseen(
        [
            Phase("start", (Part("programs", 1),)),
            Phase("critic update", (Part("critic", 5),)),
            Phase("actor update", (Part("actor", 3),)),
        ]
    )
    assert found == {"start": 1, "update": 5}


def test_the_table_tells_prediction_measurement_and_ratio(bench: ModuleType) -> None:
    result = bench.Result(
        model="3M", ranks=2, response_length=64,
        predicted={"start": 100 * MIB, "update": 330 * MIB},
        measured={"start": 90 * MIB, "update": 300 * MIB},
        predicted_parts={"vLLM": 200 * MIB}, roles={"vLLM": 210 * MIB}, processes={"vLLM": 2},
        peak_rss=500 * MIB, reported={},
    )  # fmt: skip
    text = bench.table([result])
    assert text.splitlines()[1].split() == ["3M", "2", "64", "330", "300", "1.10"]
    assert "start 100/90, update 330/300" in text
    assert "vLLM 210" in text


def test_every_size_has_heads_that_vllm_takes(bench: ModuleType) -> None:
    for hidden, _, _, heads, key_heads, vocabulary in bench.SIZES.values():
        assert hidden % heads == 0 and hidden // heads in (32, 64, 128)
        assert heads % key_heads == 0 and vocabulary >= bench.DEMO_VOCABULARY


@pytest.fixture(scope="module")
def made(bench: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bench.make_model(tmp_path_factory.mktemp("model"), "0.4M", "float32")


def test_prompts_are_just_as_long_as_allowed(bench: ModuleType, tmp_path: Path) -> None:
    tokenizer = bench.filled_tokenizer(400)
    rows = json.loads(bench.write_rows(tmp_path / "rows.json", 40, 5).read_text())
    assert len({row["prompt"] for row in rows}) == 5
    for row in rows:
        chat = [{"role": "user", "content": row["prompt"]}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        assert len(ids) == 40
    assert len(tokenizer) == 400 and tokenizer.decode([300]) == "word300"


def test_the_plan_of_the_run_itself_is_what_is_compared(
    bench: ModuleType, made: Path, tmp_path: Path
) -> None:
    args = argparse.Namespace(
        hardware="cpu", steps=2, batch=8, prompt=32, response=32, overrides=[]
    )
    rows = bench.write_rows(tmp_path / "rows.json", 32, 32)
    found = [
        bench.predicted(bench.words_of(args, made, rows, ranks, tmp_path / "out"), "cpu")
        for ranks in (1, 2)
    ]
    one, two = (max(phase.bytes for phase in phases) for phases in found)
    assert one > 2**30
    assert two > one
    assert not (tmp_path / "out").exists()
