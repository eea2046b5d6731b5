#!/usr/bin/env python3
"""Predicted against measured memory: what the plan says a run takes, and what runs take.

    .venv/bin/python scripts/bench/memory.py --sizes 0.4M,10M --ranks 1,2 --output memory.json
    .venv/bin/python scripts/bench/memory.py --hardware gpu --sizes 0.5B

For each size it makes a random Qwen2 on the spot (nothing is downloaded), asks the launcher's own
plan for its prediction, runs the launcher for some steps, and samples memory all along: on the CPU
the proportional set size (PSS) of the run's processes, which counts shared pages once; on a GPU
what nvidia-smi shows per card. Prompts are as long as allowed and responses do not end early, so
that a run is the worst case that a plan has to foresee. On the CPU expect ratios of 0.98 to 1.02
(2 cores, 0.4M to 100M, one and two ranks, seen 2026-11-21); a run takes 2 to 4 minutes. Left
out on purpose: learning; the weights are random and the reward is of no interest.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from verlaunch.text import GIB, MIB

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, from any folder

from verlaunch.machine import processes  # noqa: E402
from verlaunch.plan.memory.parts import Phase  # noqa: E402
from verlaunch.record.channel import EVENTS, METRICS  # noqa: E402

EVERY_S = 0.25
DEMO_VOCABULARY = 260
SUM = "12+34="  # what prompts are filled with

# hidden, intermediate, layers, heads, key heads, vocabulary. Heads of 32 or 64.
SIZES = {
    "0.4M": (128, 256, 2, 4, 4, DEMO_VOCABULARY),
    "3M": (256, 768, 4, 8, 8, DEMO_VOCABULARY),
    "10M": (384, 1024, 6, 6, 6, DEMO_VOCABULARY),
    "30M": (512, 1536, 9, 8, 8, DEMO_VOCABULARY),
    "50M-wide": (512, 1536, 9, 8, 8, 32768),  # a vocabulary as large as people's models have
    "100M": (768, 2304, 13, 12, 12, DEMO_VOCABULARY),
    "0.5B": (896, 4864, 24, 14, 2, 151936),  # Qwen2.5-0.5B's
    "1.5B": (1536, 8960, 28, 12, 2, 151936),  # Qwen2.5-1.5B's
}

# Words in a process's command line -> its role; the first that fits.
ROLES = (
    ("training worker", ("WorkerDict", "ActorRollout", "ray::Training")),
    ("vLLM", ("ray::Server", "VLLM", "EngineCore")),
    ("trainer", ("ray::Runner",)),
    ("rollout worker", ("RolloutShell",)),
    ("reward", ("RewardActor",)),
    (
        "launcher",
        ("verlaunch.machine.guardian", "verlaunch.engine.processes.driver", "-m verlaunch"),
    ),
    ("Ray", ("ray",)),
)


@dataclass(frozen=True)
class Sample:
    time: float
    pss: dict[str, int]  # bytes by role
    rss: dict[str, int]
    count: dict[str, int] = field(default_factory=dict)  # processes by role
    cards: tuple[int, ...] = ()  # bytes per GPU


@dataclass(frozen=True)
class Result:
    model: str
    ranks: int
    response_length: int
    predicted: dict[str, int]  # bytes by phase, of the main memory or of the fullest card
    measured: dict[str, int]  # the same
    predicted_parts: dict[str, int]  # at the predicted peak
    roles: dict[str, int]  # at the measured peak
    processes: dict[str, int]  # at the measured peak
    peak_rss: int
    reported: dict[str, float]  # what verl's own metrics say, GiB

    @property
    def ratio(self) -> float:
        return max(self.predicted.values()) / max(1, max(self.measured.values()))


# ---- sampling ------------------------------------------------------------------------------


def role_of(command: str) -> str:
    return next((role for role, words in ROLES if any(w in command for w in words)), "rest")


def read_rollup(text: str) -> tuple[int, int]:
    """PSS and RSS in bytes, from /proc/PID/smaps_rollup; 0 where a line is missing."""
    found = dict(re.findall(r"^(Pss|Rss):\s+(\d+) kB", text, re.MULTILINE))
    return int(found.get("Pss", 0)) * 1024, int(found.get("Rss", 0)) * 1024


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def sample(root: int) -> Sample:
    """Of `root` and all below it. A process that ends meanwhile is left out."""
    pss, rss, count = Counter[str](), Counter[str](), Counter[str]()
    for pid in [root, *processes.descendants(root)]:
        with contextlib.suppress(OSError):
            role = role_of(command_of(pid))
            proportional, resident = read_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text())
            pss[role] += proportional
            rss[role] += resident
            count[role] += 1
    return Sample(time.time(), dict(pss), dict(rss), dict(count))


def read_cards(text: str) -> tuple[int, ...]:
    """Bytes in use per card, from rows of `index, MiB` in any order."""
    rows = [line.split(",") for line in text.splitlines() if line.count(",") == 1]
    used = {int(index): mib.strip() for index, mib in rows if index.strip().isdigit()}
    return tuple(int(mib) * MIB if mib.isdigit() else 0 for _, mib in sorted(used.items()))


def cards() -> tuple[int, ...]:
    query = ["nvidia-smi", "--query-gpu=index,memory.used", "--format=csv,noheader,nounits"]
    return read_cards(subprocess.run(query, capture_output=True, text=True, check=True).stdout)


class Sampler(threading.Thread):
    """Samples a process and all below it until `finish`."""

    def __init__(self, root: int, look: Callable[[int], Sample], every_s: float = EVERY_S) -> None:
        super().__init__(daemon=True)
        self.root, self.look, self.every_s = root, look, every_s
        self.samples: list[Sample] = []
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(self.every_s):
            self.samples.append(self.look(self.root))

    def finish(self) -> list[Sample]:
        self.ended.set()
        self.join()
        return self.samples


# ---- phases --------------------------------------------------------------------------------

# The record's phases, and the estimate's, by the name that both have in the table.
NAMES = {
    "starting ray": "start",
    "loading models": "start",
    "ready": "start",
    "rollout": "generation",
    "validation": "generation",
    "log-probs": "update",
    "critic update": "update",
    "actor update": "update",
    "weight sync": "update",
    "export": "checkpoint",
}


def phase_at(events: Sequence[dict[str, Any]], moment: float) -> str:
    begun = [e["phase"] for e in events if e.get("event") == "phase" and e["time"] <= moment]
    last = begun[-1] if begun else "starting ray"
    return NAMES.get(last, last)


def peaks(samples: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The most per phase, of pairs (phase, bytes), in the order in which phases came."""
    found: dict[str, int] = {}
    for phase, size in samples:
        found[phase] = max(size, found.get(phase, 0))
    return found


def foreseen(phases: Iterable[Phase]) -> dict[str, int]:
    return peaks((NAMES.get(phase.name, phase.name), phase.bytes) for phase in phases)


# ---- one run -------------------------------------------------------------------------------


def filled_tokenizer(vocabulary: int) -> Any:
    """The demo's tokenizer with words that no text makes, up to this many tokens."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    from verlaunch.inputs.demo.tokenizer import make_tokenizer

    demo = make_tokenizer()
    parts = json.loads(demo.backend_tokenizer.to_str())
    special = len(parts["added_tokens"])  # they move to the end
    words = {f"word{i}": i for i in range(DEMO_VOCABULARY - special, vocabulary - special)}
    parts["model"]["vocab"].update(words)
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(parts)),
        pad_token=demo.pad_token,
        eos_token=demo.eos_token,
        chat_template=demo.chat_template,
        padding_side="left",
    )


def make_model(folder: Path, size: str, dtype: str) -> Path:
    """A Qwen2 of random weights with a tokenizer of bytes."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    hidden, intermediate, layers, heads, key_heads, vocabulary = SIZES[size]
    tokenizer = filled_tokenizer(vocabulary)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen2ForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_rows(file: Path, prompt_length: int, count: int) -> Path:
    """Different prompts of just this many tokens: two are the template's, a byte is one."""
    letters = prompt_length - 2
    texts = [f"{i:06d} {SUM * prompt_length}"[:letters] for i in range(count)]
    rows = [{"prompt": t, "ground_truth": "1", "data_source": "math_reasoning"} for t in texts]
    file.write_text(json.dumps(rows))
    return file


def words_of(args: argparse.Namespace, model: Path, rows: Path, ranks: int, out: Path) -> list[str]:
    return [
        "--hardware", args.hardware, "--model", str(model), "--data", str(rows),
        "--output_dir", str(out), "--steps", str(args.steps), "--n_gpus", str(ranks),
        "--batch_size", str(args.batch), "--save_freq", "100000", "--test_freq", "100000",
        "--max_prompt_length", str(args.prompt), "--max_response_length", str(args.response),
        "--temperature", "1.0", "verlaunch.export=false", "trainer.val_before_train=false",
        "actor_rollout_ref.rollout.ignore_eos=true", *args.overrides,
    ]  # fmt: skip


def predicted(words: list[str], hardware: str) -> tuple[Phase, ...]:
    """What the plan of this very command expects, on the CPU of a node, else of a card."""
    from verlaunch.config.compose import compose
    from verlaunch.config.flags import parse
    from verlaunch.launch.start import Start
    from verlaunch.machine import hardware as machine
    from verlaunch.plan.memory.estimate import estimate
    from verlaunch.plan.memory.shape import shape_of
    from verlaunch.plan.memory.use import Use

    seen = machine.look()
    start = Start(compose(parse(words, {}), hardware), seen, "bench")
    config = start.preview().config
    model = start.inputs.model()
    shape = shape_of(model.config, model.name)
    use = Use.of(config.verl, config.launch, hardware)
    card = int(seen.gpus[0].memory_gib * GIB) if seen.gpus else None
    found = estimate(shape, None, use, card)
    return found.gpu if hardware == "gpu" else found.host


def launched(words: list[str], log: Path, look: Callable[[int], Sample]) -> list[Sample]:
    command = [sys.executable, "-m", "verlaunch", *words]
    with log.open("w") as out:
        run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out, cwd=ROOT)
        sampler = Sampler(run.pid, look)
        sampler.start()
        code = run.wait()
    samples = sampler.finish()
    if code:
        raise SystemExit(f"the run ended with {code}; see {log}")
    return samples


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def reported(folder: Path) -> dict[str, float]:
    """verl's own figures of memory, the most over the steps."""
    found: dict[str, float] = {}
    for line in lines(folder / METRICS):
        for name, value in line.items():
            if "memory" in name and isinstance(value, (int, float)):
                found[name] = max(found.get(name, 0.0), value)
    return found


def result_of(
    args: argparse.Namespace, size: str, ranks: int, phases: tuple[Phase, ...],
    samples: list[Sample], out: Path,
) -> Result:  # fmt: skip
    def bytes_of(sample: Sample) -> int:
        return max(sample.cards, default=0) if args.hardware == "gpu" else sum(sample.pss.values())

    events = lines(out / EVENTS)
    peak = max(samples, key=bytes_of)
    worst = max(phases, key=lambda phase: phase.bytes)
    return Result(
        model=size,
        ranks=ranks,
        response_length=args.response,
        predicted=foreseen(phases),
        measured=peaks((phase_at(events, s.time), bytes_of(s)) for s in samples),
        predicted_parts={part.name: part.bytes for part in worst.parts},
        roles=peak.pss,
        processes=peak.count,
        peak_rss=max(sum(sample.rss.values()) for sample in samples),
        reported=reported(out),
    )


def measure(args: argparse.Namespace, folder: Path, size: str, ranks: int) -> Result:
    dtype = "bfloat16" if args.hardware == "gpu" else "float32"
    model = folder / f"model-{size}"
    if not model.exists():
        make_model(model, size, dtype)
    out = folder / f"run-{size}-{ranks}"
    rows = write_rows(folder / "rows.json", args.prompt, 4 * args.batch)
    words = words_of(args, model, rows, ranks, out)
    phases = predicted(words, args.hardware)
    look = with_cards if args.hardware == "gpu" else sample
    samples = launched(words, folder / f"run-{size}-{ranks}.log", look)
    (folder / f"samples-{size}-{ranks}.json").write_text(json.dumps([asdict(s) for s in samples]))
    return result_of(args, size, ranks, phases, samples, out)


def with_cards(root: int) -> Sample:
    return Sample(time.time(), {}, {}, {}, cards())


# ---- the table -----------------------------------------------------------------------------


def table(results: Iterable[Result]) -> str:
    """One line per run, then its phases and its roles below it. In MiB."""
    out = [f"{'model':10}{'ranks':>6}{'response':>9}{'predicted':>11}{'measured':>10}{'ratio':>7}"]
    for r in results:
        most, seen = max(r.predicted.values()), max(r.measured.values())
        out.append(
            f"{r.model:10}{r.ranks:6}{r.response_length:9}{most / MIB:11.0f}{seen / MIB:10.0f}"
            f"{r.ratio:7.2f}"
        )
        phases = [*dict.fromkeys([*r.measured, *r.predicted])]
        both = ((p, r.predicted.get(p, 0) / MIB, r.measured.get(p, 0) / MIB) for p in phases)
        out.append("  phases: " + ", ".join(f"{p} {a:.0f}/{b:.0f}" for p, a, b in both))
        out.append("  parts:  " + listed(r.predicted_parts))
        if r.roles:
            out.append("  roles:  " + listed(r.roles))
        if r.reported:
            out.append("  verl:   " + ", ".join(f"{k} {v:.2f}" for k, v in r.reported.items()))
    return "\n".join(out)


def listed(sizes: dict[str, int]) -> str:
    ordered = sorted(sizes.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {size / MIB:.0f}" for name, size in ordered)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=None, help=f"of {', '.join(SIZES)}")
    parser.add_argument("--ranks", default="1", help="training processes or GPUs: 1,2")
    parser.add_argument("--hardware", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16, help="prompts per step")
    parser.add_argument("--prompt", type=int, default=64, help="tokens")
    parser.add_argument("--response", type=int, default=64, help="tokens")
    parser.add_argument("--output", type=Path, help="JSON")
    parser.add_argument("overrides", nargs="*", help="key=value for every run")
    args = parser.parse_args()
    sizes = args.sizes or ("0.5B,1.5B" if args.hardware == "gpu" else "0.4M,3M,10M,30M,100M")
    folder = Path(tempfile.mkdtemp(prefix="bench-memory-"))
    print(f"{os.cpu_count()} cores; {folder}")
    results = []
    for ranks in map(int, args.ranks.split(",")):
        for size in sizes.split(","):
            results.append(measure(args, folder, size, ranks))
            print(table(results[-1:]), flush=True)
            if args.output:
                args.output.write_text(json.dumps([asdict(r) for r in results], indent=1))
    print("\n" + table(results))


if __name__ == "__main__":
    main()
