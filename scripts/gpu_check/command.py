"""Arguments, the turns of the parts, the table at the end.

    scripts/gpu_check.sh --only demo,resume

Each piece has a budget of its own within that of all. One that fails, overruns or cannot be tried
is a row, and the next goes on. Exit code: 0 only when no row failed, 1 when one did, 2 for a
mistake on the command line, 128 + the signal that ended the check.
"""

import argparse
import functools
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

from gpu_check import installed, learning, models, speed, ways, words
from gpu_check.check import FAILED, PASSED, SKIPPED, Check, Failure, Found, Piece, Row, Skip
from gpu_check.sizes import PROFILES, SIZES, Profile
from gpu_check.table import all_passed, line, summary, table, write_json
from verlaunch.machine import hardware

PARTS = ("environment", "models", "demo", "resume", "lora", "reward_model", "step", "memory",
         "attention", "stock")  # fmt: skip
LEAST_S = 15.0  # a start that has less left is not tried
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def make_models(check: Check, name: str, architecture: str = "Qwen2ForCausalLM") -> Found:
    """A model, and what it is asked; `name` without a shape of its own has the smallest."""
    size = name if name in check.profile.shapes else check.profile.smallest
    shape, folder = SIZES[size], words.model_folder(check, name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for tokens in {check.profile.prompt, check.profile.short}:
        models.write_rows(words.rows_file(check, tokens), tokens, 4 * check.profile.prompts)
    done = models.make(folder, size, check.profile.dtype, architecture, check.left_s)
    if done.returncode:
        raise Failure(done.stderr.strip().splitlines()[-1])
    written = sum(file.stat().st_size for file in folder.iterdir())
    return Found(
        f"{architecture} of {shape.parameters:,} random weights, {written / 1e9:.2f} GB",
        {"parameters": shape.parameters, "bytes": written},
    )


def pieces(profile: Profile) -> list[Piece]:
    """All of them, in the order of PARTS: what is cheap and most telling first."""
    named = functools.partial
    beside = named(ways.rewarded, name="reward-beside", gpus=0)
    scorer = named(make_models, name="reward-model", architecture="Qwen2ForSequenceClassification")
    return [
        Piece("environment", "machine", 60, installed.look),
        *(Piece("models", n, 120, named(make_models, name=n)) for n in profile.shapes),
        Piece("models", "reward model", 120, scorer),
        Piece("demo", "learns", 180, learning.learns),
        Piece("resume", "after SIGKILL", 180, learning.resumes),
        Piece("lora", f"rank {words.LORA_RANK}", 150, ways.lora),
        Piece("reward_model", "beside the policy", 150, beside),
        Piece("reward_model", "on its own share", 150, ways.reward_apart),
        *(Piece("step", f"{n}, ours", 180, named(speed.step, name=n)) for n in profile.shapes),
        *(Piece("memory", n, 180, named(speed.predicted, name=n)) for n in profile.shapes),
        Piece("attention", "sdpa", 180, ways.sdpa),
        Piece("attention", "flash-attn", 150, named(ways.flash, without_padding=False)),
        Piece("attention", "flash-attn, no padding", 150, named(ways.flash, without_padding=True)),
        *(
            Piece("stock", f"{n}, stock verl", 360, named(speed.against_stock, name=n))
            for n in profile.shapes
        ),
    ]


def look(piece: Piece, check: Check) -> Row:
    """The piece's row, whatever comes of it."""
    began, figures = time.monotonic(), {}
    try:
        if check.left_s < LEAST_S:
            raise Failure("no time left; --budget_s SECONDS gives more")
        found = piece.look(check.within(piece.budget_s))
        state, said, figures = PASSED, found.said, found.figures
    except Skip as why:
        state, said = SKIPPED, str(why)
    except Failure as why:
        state, said = FAILED, str(why)
    except subprocess.TimeoutExpired:
        state, said = FAILED, "took longer than its time"
    except Exception as error:  # a fault of ours is a row too: the other parts have to go on
        state, said = FAILED, f"{type(error).__name__}: {error}"
    return Row(piece.part, piece.name, state, said, time.monotonic() - began, figures)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/gpu_check.sh",
        description="Tries on this machine's GPU what training needs, in under 8 minutes and "
        "without a network: " + ", ".join(PARTS) + ".",
    )
    parser.add_argument("--hardware", choices=tuple(PROFILES), default="gpu",
                        help="cpu: the same with tiny shapes, to try the check itself")  # fmt: skip
    parser.add_argument("--only", metavar="PART[,PART]", help="these parts alone")
    parser.add_argument("--budget_s", type=float, metavar="SECONDS",
                        help="for all of it (460 on a GPU, 900 on a CPU)")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures, for programs")
    parser.add_argument("--output_dir", type=Path, metavar="FOLDER",
                        help="an empty folder for everything; it is kept")  # fmt: skip
    args = parser.parse_args(argv)
    args.only = _parts(parser, args.only)
    if args.budget_s is not None and args.budget_s <= 0:
        parser.error(f"--budget_s {args.budget_s:g}: takes a number above 0")
    if args.output_dir and args.output_dir.exists() and any(args.output_dir.iterdir()):
        parser.error(f"--output_dir {args.output_dir} is not empty; name another folder")
    if args.json and not args.json.resolve().parent.is_dir():
        parser.error(f"--json {args.json}: there is no folder {args.json.resolve().parent}")
    return args


def _parts(parser: argparse.ArgumentParser, asked: str | None) -> tuple[str, ...]:
    """Models are made for whatever needs them."""
    if asked is None:
        return PARTS
    chosen = [part.strip() for part in asked.split(",")]
    for part in chosen:
        if part not in PARTS:
            parser.error(f"--only {part}: no such part; there are {', '.join(PARTS)}")
    without = {"environment", "models", "demo", "resume"}
    needed = ["models"] if set(chosen) - without else []
    return tuple(part for part in PARTS if part in chosen + needed)


def _ended(number: int, _: Any) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # ending what was started must not be cut short
    raise SystemExit(128 + number)


def _run(args: argparse.Namespace, check: Check) -> list[Row]:
    began, rows = time.monotonic(), []
    speed.idle(check)
    asked = [piece for piece in pieces(check.profile) if piece.part in args.only]
    for piece in asked:
        rows.append(look(piece, check))
        print(line(rows[-1]), flush=True)
        if args.json:
            complete = len(rows) == len(asked)
            write_json(args.json, check, rows, time.monotonic() - began, complete)
    print(f"\n{table(rows)}\n\n{summary(rows, time.monotonic() - began)}")
    return rows


def main(argv: list[str] | None = None) -> int:
    args = _arguments(argv)
    profile = PROFILES[args.hardware]
    if args.hardware == "gpu" and not hardware.look().gpus:
        print("error: no NVIDIA GPU answers here (nvidia-smi). To try the check itself without "
              "one: scripts/gpu_check.sh --hardware cpu", file=sys.stderr)  # fmt: skip
        return 2
    folder = (args.output_dir or Path(tempfile.mkdtemp(prefix="gpu-check-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    check = Check(profile, folder, time.monotonic() + (args.budget_s or profile.budget_s))
    for number in SIGNALS:
        signal.signal(number, _ended)
    try:
        rows = _run(args, check)
    except SystemExit:
        print(f"Stopped. Logs: {folder}", file=sys.stderr)
        raise
    if all_passed(rows):
        if not args.output_dir:
            shutil.rmtree(folder, ignore_errors=True)
        return 0
    print(f"Logs: {folder}")
    return 1
