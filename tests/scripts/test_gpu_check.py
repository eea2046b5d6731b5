"""scripts/gpu_check: its arithmetic, its commands on a GPU, and how it ends what it starts.

No GPU is needed: an nvidia-smi of ours answers, and a program of ours stands for a run.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "scripts"))

from gpu_check import command, flops, memory_seen, models, runs, speed, stock, words  # noqa: E402
from gpu_check.check import (  # noqa: E402
    FAILED,
    PASSED,
    SKIPPED,
    Check,
    Failure,
    Found,
    Piece,
    Row,
    Skip,
)
from gpu_check.sizes import CPU, GPU, PROFILES  # noqa: E402
from gpu_check.table import all_passed, table, write_json  # noqa: E402

from verlaunch.config.compose import compose  # noqa: E402
from verlaunch.config.flags import parse  # noqa: E402
from verlaunch.config.keys import flatten  # noqa: E402
from verlaunch.machine import hardware  # noqa: E402
from verlaunch.plan.asked import Asked  # noqa: E402
from verlaunch.plan.foresight import foresee  # noqa: E402
from verlaunch.text import MIB  # noqa: E402

pytestmark = pytest.mark.slow

SMI = """#!/bin/sh
case "$*" in
  *driver_version,compute*|*compute_mode*)
    echo "0, GPU-aa, 81559, 80800, Default, Disabled, 580.95.05, 9.0, NVIDIA H100 80GB HBM3";;
esac
"""
FOR_THE_CPU = "The packages installed are those for the CPU"  # the only thing wrong here


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text(SMI)
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{smi.parent}:{os.environ['PATH']}")


@pytest.fixture
def check(tmp_path: Path) -> Check:
    folder = tmp_path / "check"
    folder.mkdir()
    return Check(CPU, folder, time.monotonic() + 60)


# ---- arithmetic ------------------------------------------------------------------------------


def test_the_shapes_have_as_many_parameters_as_the_published_models() -> None:
    assert {name: shape.parameters for name, shape in GPU.shapes.items()} == {
        "0.5B": 494_032_768,
        "1.5B": 1_543_714_304,
    }


def test_an_update_is_six_operations_per_weight_and_token_and_the_attention() -> None:
    shape, tokens, length = GPU.shapes["0.5B"], 1000, 1024
    policy, critic = shape.parameters, shape.parameters - shape.embedding
    attention = 6 * shape.layers * length * shape.hidden * tokens
    expected = 6 * (policy + critic) * tokens + 2 * attention
    assert flops.update_flops(shape, tokens, length) == pytest.approx(expected)
    assert flops.step_flops(shape, tokens, length) > expected


def test_the_peak_is_that_of_the_card_and_unknown_cards_have_none() -> None:
    cards = ("NVIDIA H200", "NVIDIA H100 PCIe", "NVIDIA L40S", "NVIDIA L4", "NVIDIA A100-SXM4-80GB")
    peaks = [flops.peak_of(card) for card in cards]
    assert peaks == [989e12, 756e12, 362e12, 121e12, 312e12]
    assert flops.peak_of("NVIDIA Quadro 9") is None
    assert flops.mfu(1e15, 2.0, None) is None
    assert flops.mfu(989e12, 2.0, 989e12) == 0.5


def _line(step: int, seconds: float, **more: float) -> dict[str, Any]:
    grads = {"actor/grad_norm": 1.0, "critic/grad_norm": 1.0}
    return {"step": step, "timing_s/step": seconds, "perf/total_num_tokens": 512.0, **grads, **more}


def test_the_first_step_counts_for_nothing(check: Check) -> None:
    steps = [_line(1, 90.0), _line(2, 2.0), _line(3, 4.0)]
    found = speed.speed_of(check, "tiny", steps, 3 * 2**30)
    assert (found.step_s, found.tokens_per_s, found.peak_gib) == (3.0, 170.7, 3.0)
    assert found.mfu is None and "MFU -" in found.said()


def test_a_gradient_that_is_no_number_or_zero_fails() -> None:
    for value in (None, float("nan"), 0.0):
        with pytest.raises(Failure, match=r"critic/grad_norm is .* in step 2"):
            runs.check_finite({**_line(2, 1.0), "critic/grad_norm": value})
    runs.check_finite(_line(2, 1.0))


def test_memory_is_what_the_fullest_card_has_more_than_before(card: None) -> None:
    assert memory_seen.cards_used() == {0: 759 * MIB}
    assert memory_seen.taken("gpu", os.getpid(), {0: 700 * MIB}) == 59 * MIB
    assert memory_seen.taken("cpu", os.getpid(), {}) > 10 * MIB


# ---- the commands ----------------------------------------------------------------------------


def test_prompts_and_models_are_as_asked(check: Check) -> None:
    row = command.look(next(p for p in command.pieces(CPU) if p.part == "models"), check)
    assert row.state == PASSED, row.said
    folder = words.model_folder(check, "tiny")
    config = json.loads((folder / "config.json").read_text())
    assert config["vocab_size"] == CPU.shapes["tiny"].vocabulary
    assert f"{CPU.shapes['tiny'].parameters:,} random weights" in row.said
    rows = json.loads(words.rows_file(check, CPU.prompt).read_text())
    assert {len(each["prompt"]) for each in rows} == {CPU.prompt - models.TEMPLATE_TOKENS}
    assert len({each["prompt"] for each in rows}) == len(rows) == 4 * CPU.prompts


def every_command(check: Check) -> dict[str, list[str]]:
    return {
        "demo": words.demo(check),
        "lora": words.lora(check),
        "reward_model, same card": words.reward_model(check, 0),
        "reward_model, own share": words.reward_model(check, 1),
        **{f"step, {name}": words.timed(check, name) for name in check.profile.shapes},
        "attention, sdpa": words.attention(check, "sdpa", False),
        "attention, flash-attn": words.attention(check, "flash_attention_2", False),
        "attention, without padding": words.attention(check, "flash_attention_2", True),
    }


def test_every_command_composes_on_a_gpu_with_live_keys(tmp_path: Path) -> None:
    check = Check(GPU, tmp_path, 0.0)
    for name, typed in every_command(check).items():
        config = compose(parse(typed, {}), "cpu")
        values = flatten(config.verl)
        assert config.hardware == "gpu" and config.notes == (), name
        assert values["actor_rollout_ref.rollout.ignore_eos"] is (name != "demo")
        eager = values["actor_rollout_ref.rollout.enforce_eager"]
        assert eager is not name.startswith("step"), name


def test_a_gpu_run_has_nothing_against_it_but_the_packages_here(
    card: None, tiny_qwen2: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERLAUNCH_CACHE", str(cache))
    check = Check(GPU, tmp_path, 0.0)
    (tmp_path / "models").mkdir()
    words.model_folder(check, "0.5B").symlink_to(tiny_qwen2)
    models.write_rows(words.rows_file(check, GPU.prompt), GPU.prompt, 4 * GPU.prompts)
    typed = [*words.timed(check, "0.5B"), "--output_dir", str(tmp_path / "out")]
    config = compose(parse(typed, {}), "cpu")
    outlook = foresee(Asked(config, hardware.look()))
    assert [p for p in outlook.problems if not p.startswith(FOR_THE_CPU)] == []
    assert outlook.memory and outlook.memory.estimate and outlook.memory.estimate.gpu_peak


def test_a_timed_run_ends_before_its_first_checkpoint(check: Check) -> None:
    config = compose(parse(words.timed(check, "tiny"), {}), "cpu")
    assert config.verl["trainer"]["save_freq"] > 100 * CPU.steps
    assert config.verl["trainer"]["val_before_train"] is False
    assert config.launch["export"] is False


# ---- stock verl ------------------------------------------------------------------------------


@pytest.mark.parametrize(("hardware", "flash", "mode"), [
    ("gpu", True, "sync"), ("gpu", False, stock.OURS), ("cpu", True, stock.OURS),
])  # fmt: skip
def test_stock_verl_gets_its_own_parts_back(
    hardware: str, flash: bool, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock, "has_flash", lambda: flash)
    ours = compose(parse(["--hardware", hardware, "--model", "m", "--data", "d"], {}), "cpu").verl
    config = stock.stock_config(ours, tmp_path, hardware)
    assert config["trainer"]["v1"]["trainer_mode"] == mode
    left = [key for key, value in flatten(config).items() if "verlaunch" in str(value)]
    names = [key for key in left if not key.endswith("project_name")]
    of_a_cpu = ["actor_rollout_ref.rollout.engine_kwargs.vllm.worker_extension_cls"]
    assert names == (of_a_cpu if hardware == "cpu" else [])
    override = config["actor_rollout_ref"]["model"]["override_config"]
    assert override.get("attn_implementation") == (None if flash and hardware == "gpu" else "sdpa")


def test_steps_are_read_from_our_record_and_from_verls_file(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.jsonl", tmp_path / "theirs.jsonl"
    step = _line(2, 1.5)
    ours.write_text(json.dumps({"step": 0, "val": 1.0}) + "\n" + json.dumps(step) + "\n")
    theirs.write_text(json.dumps({"step": 2, "data": step}) + "\n" + '{"step": 3, "da')
    assert [line["timing_s/step"] for line in runs.read_steps(ours)] == [1.5]
    assert [line["timing_s/step"] for line in runs.read_steps(theirs)] == [1.5]
    assert runs.read_steps(tmp_path / "none") == []


# ---- rows and ends ---------------------------------------------------------------------------


def _raising(error: Exception) -> Any:
    def look(check: Check) -> Found:
        raise error

    return look


def test_whatever_happens_in_a_piece_becomes_its_row(check: Check) -> None:
    found = {
        PASSED: lambda check: Found("well", {"x": 1}),
        SKIPPED: _raising(Skip("not installed")),
        FAILED: _raising(ZeroDivisionError("division by zero")),
    }
    rows = [command.look(Piece("part", s, 30, look), check) for s, look in found.items()]
    assert [row.state for row in rows] == list(found)
    assert [row.said for row in rows] == ["well", "not installed",
                                          "ZeroDivisionError: division by zero"]  # fmt: skip
    late = command.look(Piece("part", "late", 30, found[PASSED]), replace(check, until=0.0))
    assert late.state == FAILED and "--budget_s" in late.said


def test_only_a_check_with_something_passed_and_nothing_failed_is_good() -> None:
    rows = {s: Row("demo", "learns", s, "said", 1.0, {}) for s in (PASSED, SKIPPED, FAILED)}
    assert all_passed([rows[PASSED], rows[SKIPPED]])
    assert not all_passed([rows[SKIPPED]])
    assert not all_passed([rows[PASSED], rows[FAILED]])
    assert table([rows[PASSED]]).splitlines()[1].split() == [
        "demo",
        "learns",
        "passed",
        "1",
        "said",
    ]


def test_a_check_that_is_not_complete_has_not_passed(check: Check) -> None:
    file, rows = check.folder / "check.json", [Row("demo", "learns", PASSED, "said", 1.0, {})]
    for complete in (False, True):
        write_json(file, check, rows, 2.0, complete)
        found = json.loads(file.read_text())
        assert found["complete"] is found["passed"] is complete
        assert found["rows"][0]["state"] == "passed"


def test_a_run_that_two_pieces_need_is_made_once_also_when_it_fails(check: Check) -> None:
    made: list[str] = []

    def fail() -> None:
        made.append("once")
        raise Failure("ended with code 1")

    for _ in range(2):
        with pytest.raises(Failure, match="code 1"):
            check.within(10).kept("ours", fail)
    assert made == ["once"]


def test_a_run_that_overruns_is_ended_with_all_that_it_started(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the launcher that takes no signal and has a child in a session of its own."""
    folder = check.run_folder("stubborn")
    program = check.folder / "python"
    program.write_text(
        "#!/bin/sh\ntrap '' TERM\n"
        f"VERLAUNCH_RUN={folder} setsid sleep 300 &\necho busy\nwhile :; do sleep 0.1; done\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(runs, "GONE_S", 0.2)
    monkeypatch.setattr(sys, "executable", str(program))
    late = pytest.raises(Failure, match="no step 1 within its time: busy")
    with late, runs.launched(check.within(0.5), "stubborn", []) as run:
        run.steps(1)
    assert run.process.returncode is not None
    assert runs.processes.marked("VERLAUNCH_RUN", str(folder)) == []


def test_a_run_that_ends_too_early_says_its_last_words(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = pytest.raises(Failure, match=r"ended with code 2 before step 1: error: --lr")
    with refused, runs.launched(check, "refused", ["--lr", "much"]) as run:
        run.steps(1)


def test_flags_in_the_shell_do_not_reach_the_runs(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N_GPUS", "8")
    env = runs.environment(check)
    assert "N_GPUS" not in env and env["HF_HUB_OFFLINE"] == "1"
    assert env["VERLAUNCH_CACHE"].startswith(str(check.folder))


# ---- the command line ------------------------------------------------------------------------


@pytest.mark.parametrize(("typed", "said"), [
    (["--only", "demos"], "--only demos: no such part; there are environment, models, demo"),
    (["--budget_s", "-1"], "--budget_s -1: takes a number above 0"),
    (["--output_dir", str(ROOT)], "is not empty; name another folder"),
    (["--json", "/nowhere/at/all.json"], "there is no folder /nowhere/at"),
])  # fmt: skip
def test_a_mistake_is_one_message_and_code_2(
    typed: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(typed)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_without_a_gpu_it_says_what_to_type(tmp_path: Path) -> None:
    bare = {**os.environ, "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    asked = [sys.executable, str(ROOT / "scripts" / "gpu_check"), "--only", "environment"]
    done = subprocess.run(asked, capture_output=True, text=True, env=bare)
    if hardware.look().gpus:
        assert done.returncode in (0, 1)
    else:
        assert done.returncode == 2 and "scripts/gpu_check.sh --hardware cpu" in done.stderr
    assert list(tmp_path.glob("gpu-check-*")) == [] or done.returncode == 1


def test_models_are_made_for_the_parts_that_need_them() -> None:
    assert command._arguments(["--only", "lora"]).only == ("models", "lora")
    assert command._arguments(["--only", "demo,environment"]).only == ("environment", "demo")
    assert command._arguments([]).only == command.PARTS
    for profile in PROFILES.values():
        parts = [piece.part for piece in command.pieces(profile)]
        assert tuple(dict.fromkeys(parts)) == command.PARTS
