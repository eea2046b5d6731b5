"""What the last screen says of each of many failures: recorded messages, and some made here.

failures/*.txt hold what was recorded: the last lines of real logs of this project's runs, of
programs that were made to fail on purpose, and, where a GPU is needed, the messages that the named
file of torch, vLLM, verl or huggingface_hub forms. expected.yaml says what a user reads of each.
"""

import errno
import io
import json
import resource
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.launch.test_run import launched
from verlaunch.config.compose import compose
from verlaunch.config.flags import parse
from verlaunch.launch.failures import ended
from verlaunch.launch.failures.ended import Ended, Explanation, kernel_kills
from verlaunch.launch.failures.explain import explain
from verlaunch.launch.failures.table import GROUP, RANKS, failures, markdown
from verlaunch.launch.failures.ways_out import REMEDIES, Run
from verlaunch.launch.log import plain
from verlaunch.launch.run import Launch
from verlaunch.launch.screen import Screen
from verlaunch.launch.view import REMEMBERED, View
from verlaunch.record.channel import Channel
from verlaunch.record.report.recorder import Recorder

RECORDED = Path(__file__).with_name("failures")
EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load((RECORDED / "expected.yaml").read_text())
LEAST = 30
# What a run of four 24 GB cards has in its configuration.
GPU = {
    "data": {"max_prompt_length": 512, "max_response_length": 1024, "train_batch_size": 256},
    "actor_rollout_ref": {
        "model": {"lora_rank": 0, "enable_gradient_checkpointing": True,
                  "target_modules": "all-linear"},
        "actor": {
            "use_dynamic_bsz": True,
            "ppo_max_token_len_per_gpu": 16384,
            "fsdp_config": {"optimizer_offload": False, "param_offload": False},
            "optim": {"lr": 1e-6},
        },
        "rollout": {"gpu_memory_utilization": 0.5, "tensor_model_parallel_size": 1,
                    "max_model_len": 1536, "max_num_seqs": 1024, "enforce_eager": False},
    },
    "critic": {"model": {"enable_gradient_checkpointing": True}},
    "trainer": {"n_gpus_per_node": 4},
}  # fmt: skip
OOM = RECORDED / "cuda_oom_critic.txt"


def recorded(name: str) -> list[str]:
    text = (RECORDED / f"{name}.txt").read_text()
    return [plain(line) for line in text.splitlines()]


def explained(lines: list[str], **about: Any) -> Explanation:
    known = {"phase": "updating", "died": None, "exit_code": 1, "config": GPU, "hardware": "gpu",
             "log": "train.log"}  # fmt: skip
    found = explain(Ended(lines, **{**known, **about}))
    assert found is not None
    return found


def with_values(**values: Any) -> dict[str, Any]:
    """GPU with other values at dotted keys, "__" for a dot."""
    config = json.loads(json.dumps(GPU))
    for key, value in values.items():
        *path, last = key.split("__")
        tree = config
        for part in path:
            tree = tree.setdefault(part, {})
        tree[last] = value
    return config


# ---- the table ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPECTED)
def test_the_last_screen_says_what_a_recorded_failure_was(name: str) -> None:
    wanted = EXPECTED[name]
    found = explained(recorded(name), **wanted.get("about", {}))
    assert found.text() == wanted["says"].splitlines()
    assert found.name == wanted["kind"]


def test_every_recorded_message_is_expected_and_they_are_many() -> None:
    assert {path.stem for path in RECORDED.glob("*.txt")} == set(EXPECTED)
    assert len({wanted["kind"] for wanted in EXPECTED.values()}) >= LEAST


def test_every_todo_is_a_thing_to_type_and_no_remedy_is_unknown() -> None:
    for failure in failures():
        assert failure.todo and failure.rank in RANKS
        for todo in failure.todo:
            assert todo in REMEDIES or not todo.isidentifier(), todo


def test_names_of_failures_differ_and_the_page_has_each() -> None:
    names = [failure.name for failure in failures()]
    assert len(set(names)) == len(names) >= LEAST
    lines = markdown().splitlines()[2:]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == names
    assert all(line.count(" | ") == 2 and not GROUP.search(line) for line in lines)


# ---- which of many errors is the cause ----------------------------------------------------------


def test_the_first_cause_wins_over_what_follows_it() -> None:
    follow = recorded("killed") + recorded("gloo_peer") + recorded("vllm_heads")
    assert explained(recorded("cuda_oom_critic") + follow).name == "A GPU is full"
    assert explained(recorded("killed") + recorded("cuda_oom_critic")).name == "A GPU is full"


def test_the_message_in_a_line_of_code_is_not_one_that_was_told() -> None:
    code = [
        '  File "vllm/v1/core/kv_cache_utils.py", line 738, in check',
        '    raise ValueError("No available memory for the cache blocks")',
        "ValueError: something else",
    ]
    assert explain(Ended(code, "updating", None, 1)) is None


def test_nothing_that_a_good_run_logs_is_taken_for_a_cause() -> None:
    lines = (RECORDED / "good_run.log").read_text().splitlines()
    assert len(lines) > 50 and explain(Ended(lines, "updating", None, 1)) is None


def test_a_warning_is_no_cause() -> None:
    line = (
        "UserWarning: torchtitan engine is not available: ModuleNotFoundError: No module named 'x'"
    )
    assert explain(Ended([line], "loading models", None, 1)) is None


def test_a_death_without_a_word_is_a_kill_and_the_kernel_may_have_done_it() -> None:
    died = {"process": "training worker", "pid": 812}
    assert explained([], died=died).name == "A process was killed"
    assert explained([], exit_code=137).name == "A process was killed"
    kernels = explained(recorded("killed"), died=died, kernel_kills=1)
    assert kernels.name == "The kernel ended a process because the memory was full"
    assert explain(Ended([], "updating", None, 1)) is None


def test_the_kernels_kills_are_counted_where_it_says_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kernel_kills() >= 0
    monkeypatch.setattr(ended, "COUNTERS", tmp_path / "vmstat")
    assert kernel_kills() == 0
    (tmp_path / "vmstat").write_text("pgfault 12\noom_kill 3\n")
    assert kernel_kills() == 3


# ---- what is to be typed ------------------------------------------------------------------------


def test_a_setting_that_is_set_already_is_not_advised_again() -> None:
    lines = recorded("cuda_oom_critic")
    fsdp = "actor_rollout_ref__actor__fsdp_config__"
    first = explained(lines).todo
    assert any("--offload optimizer" in todo for todo in first)
    optimizer = with_values(**{f"{fsdp}optimizer_offload": True})
    assert any("--offload all" in todo for todo in explained(lines, config=optimizer).todo)
    both = with_values(**{f"{fsdp}optimizer_offload": True, f"{fsdp}param_offload": True})
    assert not any("--offload" in todo for todo in explained(lines, config=both).todo)


def test_a_micro_batch_is_never_shorter_than_a_longest_sequence() -> None:
    def tokens(budget: int) -> str | None:
        key = "actor_rollout_ref__actor__ppo_max_token_len_per_gpu"
        return REMEDIES["tokens"](Run(with_values(**{key: budget}), "gpu", {}))

    assert "_len_per_gpu=8192 " in str(tokens(16384))
    assert "_len_per_gpu=1536 " in str(tokens(2000))
    assert tokens(1536) is None


def test_lengths_are_advised_within_what_the_model_was_made_for() -> None:
    def lengths(limit: int) -> str | None:
        return REMEDIES["fitting_length"](Run(GPU, "gpu", {"limit": str(limit)}))

    assert lengths(1024) == "--max_response_length 512"
    assert lengths(256) == "--max_prompt_length 128 --max_response_length 128"
    assert lengths(1536) is None


@pytest.mark.parametrize(("now", "wanted"), [(12, "=6 "), (9, "=3 "), (7, "=1 "), (1, None)])
def test_a_micro_batch_of_sequences_stays_a_divisor(now: int, wanted: str | None) -> None:
    actor = "actor_rollout_ref__actor__"
    keys = {f"{actor}use_dynamic_bsz": False, f"{actor}ppo_micro_batch_size_per_gpu": now}
    told = REMEDIES["tokens"](Run(with_values(**keys), "gpu", {}))
    assert told is None if wanted is None else f"micro_batch_size_per_gpu{wanted}" in str(told)


def test_tp_size_is_advised_only_where_the_gpus_can_be_split_so() -> None:
    assert "--tp_size 2" in str(REMEDIES["tp_up"](Run(GPU, "gpu", {})))
    alone = with_values(trainer__n_gpus_per_node=1)
    assert REMEDIES["tp_up"](Run(alone, "gpu", {})) is None


def test_no_remedy_breaks_on_a_run_of_which_nothing_is_known() -> None:
    for name in REMEDIES:
        for hardware in ("cpu", "gpu", ""):
            REMEDIES[name](Run({}, hardware, {}))


@pytest.mark.parametrize("hardware", ["cpu", "gpu"])
def test_flags_and_keys_that_are_advised_can_be_typed(hardware: str) -> None:
    """All of them at once, each flag and key with one of its values."""
    found = {"heads": "14", "tp": "4", "free": "9.9", "total": "24", "limit": "1000", "wanted": "7"}
    wide = with_values(
        actor_rollout_ref__model__enable_gradient_checkpointing=False,
        actor_rollout_ref__model__target_modules="q_proj",
        actor_rollout_ref__rollout__max_model_len=4096,
    )
    told = [REMEDIES[name](Run(wide, hardware, found)) for name in REMEDIES]
    told += [todo for failure in failures() for todo in failure.todo]
    values = {"there": "2", "tp": "2", "limit": "64"}
    typed: dict[str, str] = {}
    for text in told:
        if text and text.startswith(("--", "actor", "critic", "+")):
            words = shlex.split(text.split(" (")[0].format_map(values))
            pairs = [words] if words[0].startswith("--") else [[word] for word in words]
            typed.update(
                {" ".join(pair).split("=")[0].split()[0]: " ".join(pair) for pair in pairs}
            )
    typed.pop("--help", None)
    argv = [word for text in typed.values() for word in text.split()]
    assert len(typed) > 20
    assert compose(parse(argv, {}), hardware)


# ---- made here, for real ------------------------------------------------------------------------


def last_words(error: BaseException) -> list[str]:
    return [f"{type(error).__name__}: {error}"]


def test_a_full_disk_is_known_by_the_error_that_it_raises_here() -> None:
    with (
        pytest.raises(OSError, match="No space left") as raised,
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert raised.value.errno == errno.ENOSPC
    assert explained(last_words(raised.value)).name == "The disk is full"


def test_a_taken_port_is_known_by_the_error_that_it_raises_here() -> None:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="in use") as raised:
            other.bind(one.getsockname())
    assert explained(last_words(raised.value)).name == "A port is taken"


def limited(code: str, limit: int, value: int) -> list[str]:
    """What a Python program says on standard error under a limit of the system."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(limit, (value, value)),
    )
    assert done.returncode
    return done.stderr.splitlines()


def test_too_many_open_files_are_known_by_what_python_says_here() -> None:
    code = "x = [open('/dev/null') for _ in range(100)]"
    found = explained(limited(code, resource.RLIMIT_NOFILE, 40))
    assert found.name == "Too many open files" and "ulimit -n" in found.todo[0]


def test_too_little_memory_is_known_by_what_python_says_here() -> None:
    lines = limited("x = bytearray(2**32)", resource.RLIMIT_AS, 2**31)
    assert explained(lines).name == "A process could get no main memory"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import no_such_module_anywhere", "A Python module is missing"),
        ("open('/no/such/file')", "A file is missing"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "A server cannot be reached"),
        ("1 % 0", "The data has fewer rows than a batch"),
        ("import faulthandler, os; faulthandler.enable(); os.abort()", "A process crashed"),
    ],
)
def test_python_s_own_words_are_known(code: str, name: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert explained(done.stderr.splitlines()).name == name


# ---- on the screen ------------------------------------------------------------------------------

RUNS_OUT_OF_MEMORY = f"""
channel.phase("ready", total_steps=2)
step(1)
channel.event("saved", step=1)
channel.phase("update", step=2)
print(open({str(OOM)!r}).read(), flush=True)
raise SystemExit(1)
"""


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would take most of the time; test_report_recorder.py writes them."""
    monkeypatch.setattr(Recorder, "_write", lambda recorder: None)


def viewed(folder: Path, launch: Launch) -> tuple[View, io.StringIO, Path]:
    """The view of a run that a test plays, its screen, and its log."""
    (folder / "logs").mkdir()
    log = folder / "logs" / "train.log"
    log.touch()
    out = io.StringIO()
    return View(Screen(out), folder, log, False, launch.config, launch.hardware), out, log


def test_the_last_screen_names_phase_cause_next_setting_and_log(tmp_path: Path) -> None:
    code, screen = launched(tmp_path, RUNS_OUT_OF_MEMORY)
    (log,) = (tmp_path / "logs").glob("train-*.log")
    assert code == 1
    last = screen[screen.index("The run ended") :]
    assert last.startswith("The run ended while updating (exit code 1). Step 1 is saved; the same ")
    assert "  Cause: GPU 0 ran out of memory while updating the critic: 2.32 GiB more" in last
    assert last.endswith(f"Log: {log}\n")
    assert "Traceback" not in screen and "Traceback" in log.read_text()
    assert screen.count("CUDA out of memory") == 1  # as it came, and not again at the end
    ended = json.loads((tmp_path / "logs" / "events.jsonl").read_text().splitlines()[-1])
    assert ended["reason"].startswith("GPU 0 ran out of memory")


def test_an_error_before_the_end_of_a_step_did_not_end_the_run(tmp_path: Path) -> None:
    view, out, log = viewed(tmp_path, Launch({}, str(tmp_path), "cpu", 1, 1, 1, 1))
    log.write_text("FileNotFoundError: [Errno 2] No such file or directory: '/gone'\n")
    view.update()
    Channel(tmp_path).log({"critic/score/mean": 0.5}, step=1)
    assert view.conclude(1) == 1
    assert "! FileNotFoundError" in out.getvalue() and "Cause:" not in out.getvalue()


def test_the_advice_follows_the_configuration_of_the_run(tmp_path: Path) -> None:
    view, out, log = viewed(tmp_path, Launch(GPU, str(tmp_path), "gpu", 1, 1, 1, 1))
    log.write_text("\n".join(recorded("vllm_free_memory")) + "\n")
    assert view.conclude(1) == 1
    assert "  Next: --gpu_memory_utilization 0.39 (what is free now)\n" in out.getvalue()


def test_a_run_that_hangs_says_what_it_waits_for_where_the_log_knows(tmp_path: Path) -> None:
    view, out, log = viewed(tmp_path, Launch(GPU, str(tmp_path), "gpu", 1, 1, 1, 1))
    log.write_text("\n".join(recorded("ray_infeasible")) + "\n")
    view.update()
    view.hung(60.0, [])
    assert view.conclude(-15) == 1
    assert "Stopped: no progress for 1m00s while starting." in out.getvalue()
    assert "Cause: Ray waits for resources" in out.getvalue()


def test_no_more_of_a_long_log_is_kept_than_a_failure_needs(tmp_path: Path) -> None:
    view, _, log = viewed(tmp_path, Launch({}, str(tmp_path), "cpu", 1, 1, 1, 1))
    with log.open("a") as file:
        file.writelines(f"line {number}\n" for number in range(20_000))
    view.update()
    assert len(view.lines) == REMEMBERED and view.lines[-1] == "line 19999"
