#!/usr/bin/env python3
"""Seconds per PPO step, seconds to the first one, memory and processes: ours against stock verl.

    .venv/bin/python scripts/bench/step.py --prompts 128 --steps 12 --json step.json

Both run the same model, data, sizes and platform, in turn. "stock" is verl's own sync trainer,
replay buffer, agent loops, reward manager and process counts (8 storage units, 8 reward workers,
8 agent workers); only the training workers are ours: verl's cannot open a process group on a CPU.
Medians leave out the first step. Memory is the sum of resident memory over all processes of a run,
sampled twice a second: shared pages count once per process.
"""

from __future__ import annotations  # Ray ships StockRunner without the names in its annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
STOCK_COUNTS = 8
PARTS = ("gen", "old_log_prob", "ref", "values", "adv", "update_critic", "update_actor")


@dataclass
class Result:
    name: str
    first_step_s: float  # from the start of the command to the end of step 1
    step_s: float  # median
    parts_s: dict[str, float]  # medians
    peak_rss_gib: float
    processes: int


class Meter(threading.Thread):
    """Peak resident memory and process count of a process and all below it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.root = psutil.Process(pid)
        self.peak_bytes = self.processes = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.5):
            sizes = [rss for p in self._all() if (rss := self._rss(p))]
            self.peak_bytes = max(self.peak_bytes, sum(sizes))
            self.processes = max(self.processes, len(sizes))

    def _all(self) -> list[psutil.Process]:
        try:
            return [self.root, *self.root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    @staticmethod
    def _rss(process: psutil.Process) -> int:
        try:
            return process.memory_info().rss
        except psutil.Error:
            return 0


def measured(name: str, command: list[str], folder: Path, env: dict[str, str]) -> Result:
    start = time.time()
    with (folder.parent / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
        )
        meter = Meter(process.pid)
        meter.start()
        code = process.wait()
    meter.done.set()
    if code:
        raise SystemExit(f"{name} ended with {code}; see {log.name}")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "timing_s/step" in line]

    def median(key: str) -> float:
        return round(statistics.median(step[key] for step in steps[1:] if key in step), 3)

    return Result(
        name,
        round(steps[0]["time"] - start, 1),
        median("timing_s/step"),
        {part: median(f"timing_s/{part}") for part in PARTS if f"timing_s/{part}" in steps[-1]},
        round(meter.peak_bytes / 2**30, 2),
        meter.processes,
    )


def ours(args: argparse.Namespace, folder: Path) -> Result:
    words = [
        sys.executable, "-m", "verlaunch", "--hardware", "cpu", "--recipe", "cpu_demo",
        "--output_dir", str(folder), "--steps", str(args.steps),
        "--mini_batch_size", str(args.mini or args.prompts),
        "--ppo_epochs", "1", "--critic_epochs", "1",
        f"data.train_batch_size={args.prompts}", "trainer.test_freq=100000",
        "verlaunch.export=false", *args.overrides,
    ]  # fmt: skip
    return measured("ours", [*words, *data_words(args, folder)], folder, dict(os.environ))


def data_words(args: argparse.Namespace, folder: Path) -> list[str]:
    """The demo's problems, repeated so that a batch of any size can be drawn, and its model."""
    from verlaunch.demo.model import cached_model
    from verlaunch.paths import cache_dir

    rows = [
        {"prompt": f"{a}+{b}=", "ground_truth": str(a + b), "data_source": "math_reasoning"}
        for a in range(max(10, args.prompts))
        for b in range(10)
    ]
    file = folder.parent / "rows.json"
    file.write_text(json.dumps(rows))
    return ["--data", str(file), "--model", str(cached_model(cache_dir(), 1, print))]


def stock(args: argparse.Namespace, ours_folder: Path, folder: Path) -> Result:
    launch = json.loads((ours_folder / "logs" / "launch.json").read_text())
    config = launch["config"]
    config["trainer"].update(default_local_dir=str(folder / "checkpoints"), resume_mode="disable")
    config["trainer"]["v1"]["trainer_mode"] = "stock_on_cpu"
    config["reward"]["num_workers"] = STOCK_COUNTS
    config["reward"]["custom_reward_function"]["path"] = "pkg://rewards.rules.math_reasoning"
    rollout = config["actor_rollout_ref"]["rollout"]
    rollout["agent"].update(num_workers=STOCK_COUNTS, agent_loop_manager_class=None)
    rollout["engine_kwargs"]["vllm"].pop("distributed_executor_backend", None)
    storage = config["transfer_queue"]["backend"]["SimpleStorage"]
    storage["num_data_storage_units"] = STOCK_COUNTS
    launch.update(record=str(folder), export=None, rollout_workers=0)
    launch["ray_cpus"] += 4 * STOCK_COUNTS
    folder.mkdir(parents=True)
    (folder / "launch.json").write_text(json.dumps(launch))
    guardian = [sys.executable, "-m", "verlaunch.guardian", "/tmp/verlaunch-"]
    driver = [sys.executable, str(Path(__file__)), "--stock_driver", str(folder / "launch.json")]
    env = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "1", "PYTHONPATH": str(ROOT)}
    return measured("stock", [*guardian, *driver], folder, env)


class StockRunner:
    """verl's own TaskRunner, with a trainer that only knows how to start on a CPU."""

    def run(self, config: dict[str, Any], record: str) -> None:
        import ray
        from omegaconf import OmegaConf
        from verl.trainer.main_ppo import TaskRunnerV1
        from verl.trainer.ppo.utils import Role
        from verl.trainer.ppo.v1.trainer_base import register_trainer
        from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

        from verlaunch.engine.workers import ActorRolloutRef, Training
        from verlaunch.record import Channel

        @register_trainer("stock_on_cpu")
        class Stock(PPOTrainerSync):
            def __init__(self, config: Any) -> None:
                config.trainer.v1.trainer_mode = "sync"
                super().__init__(config)

            def _init_resource_pool_mgr(self) -> None:
                super()._init_resource_pool_mgr()
                for role in self.role_worker_mapping:
                    worker = Training if role == Role.Critic else ActorRolloutRef
                    self.role_worker_mapping[role] = ray.remote(worker)

            def on_validate_begin(self) -> None:
                self.logger.logger["bench"] = Channel(Path(record))

        TaskRunnerV1.__ray_actor_class__().run(OmegaConf.create(config))


def stock_driver(path: str) -> None:
    from verlaunch.engine import driver, environment

    launch = json.loads(Path(path).read_text())
    os.environ.update(environment.for_run("cpu", dict(os.environ)))
    import ray  # reads its switches from the environment when it is imported

    ray.init(**driver.ray_arguments(launch, os.environ["VERLAUNCH_TEMP"]))
    runner = ray.remote(num_cpus=1)(StockRunner).remote()
    ray.get(runner.run.remote(launch["config"], launch["record"]))
    ray.shutdown()


def show(results: list[Result]) -> None:
    print(f"{'':8}{'s/step':>8}{'first step':>12}{'peak RSS':>11}{'processes':>11}  parts")
    for r in results:
        parts = " ".join(f"{name} {value:.2f}" for name, value in r.parts_s.items())
        print(
            f"{r.name:8}{r.step_s:8.2f}{r.first_step_s:10.1f} s{r.peak_rss_gib:7.2f} GiB"
            f"{r.processes:11d}  {parts}"
        )
    if len(results) == 2:
        a, b = results
        print(
            f"ours/stock: step {a.step_s / b.step_s:.2f}x, first step "
            f"{a.first_step_s / b.first_step_s:.2f}x, memory {a.peak_rss_gib / b.peak_rss_gib:.2f}x"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--mini", type=int, help="prompts per mini batch; default: all of them")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--only", choices=("ours",), help="leave stock verl out")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--stock_driver", help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help="key=value for both")
    args = parser.parse_args()
    if args.stock_driver:
        stock_driver(args.stock_driver)
        return
    folder = Path(tempfile.mkdtemp(prefix="bench-step-"))
    print(f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB; {folder}")
    results = [ours(args, folder / "ours")]
    if not args.only:
        results.append(stock(args, folder / "ours", folder / "stock"))
    show(results)
    if args.json:
        args.json.write_text(json.dumps([asdict(result) for result in results], indent=1))


if __name__ == "__main__":
    main()
