"""verl's own trainer on the configuration of one of our runs.

    command, env = prepare(folder / "logs" / "launch.json", out)   # then run it under a guardian

Its sync trainer, replay buffer, agent loops, reward manager and (on a GPU) process counts are
verl's, as is the file that its metrics go to. The training workers are verl's too where they can
be: on a GPU with flash-attn. Without it verl's critic cannot be loaded, and on a CPU its process
group cannot be opened, so that ours take their place. Run as a program, this file is the process
that owns Ray.
"""

from __future__ import annotations  # Ray ships Stock without the names in its annotations

import importlib.util
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
METRICS = "stock.jsonl"
LAUNCH = "launch.json"
# Storage units, reward workers, agent workers: verl's default, but on a CPU where no time counts.
COUNT = {"gpu": 8, "cpu": 1}
RULE = "pkg://rewards.rules.math_reasoning"
OURS = "stock_with_our_workers"


def has_flash() -> bool:
    return importlib.util.find_spec("flash_attn") is not None


def is_pure(hardware: str) -> bool:
    return hardware == "gpu" and has_flash()


def workers(hardware: str) -> str:
    return "verl's own workers" if is_pure(hardware) else "our training workers, the rest is verl's"


def stock_config(config: dict[str, Any], folder: Path, hardware: str) -> dict[str, Any]:
    """`config` with everything of ours taken out that verl has a part of its own for."""
    trainer, reward, count = config["trainer"], config["reward"], COUNT[hardware]
    trainer.update(
        default_local_dir=str(folder / "checkpoints"), resume_mode="disable", logger=["file"]
    )
    trainer["v1"]["trainer_mode"] = "sync" if is_pure(hardware) else OURS
    reward["num_workers"] = count
    reward["custom_reward_function"]["path"] = RULE
    reward["reward_manager"].update(source="register", name="naive")
    reward["reward_manager"]["module"]["path"] = None
    model, rollout = (config["actor_rollout_ref"][name] for name in ("model", "rollout"))
    rollout["agent"].update(num_workers=count, agent_loop_manager_class=None)
    # Ours keeps the worker inside EngineCore on a CPU.
    (rollout["engine_kwargs"].get("vllm") or {}).pop("distributed_executor_backend", None)
    config["transfer_queue"]["backend"]["SimpleStorage"]["num_data_storage_units"] = count
    if not has_flash():
        model["override_config"] = {"attn_implementation": "sdpa"} | (
            model["override_config"] or {}
        )
    return config


def prepare(ours: Path, folder: Path) -> tuple[list[str], dict[str, str]]:
    """The command, and variables to add. Writes LAUNCH into `folder`."""
    launch = json.loads(ours.read_text())
    hardware = launch["hardware"]
    launch["config"] = stock_config(launch["config"], folder, hardware)
    launch["ray_cpus"] += 4 * COUNT[hardware]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LAUNCH).write_text(json.dumps(launch))
    env = {"VERL_FILE_LOGGER_PATH": str(folder / METRICS)}
    if hardware == "cpu":
        env["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1"
    return [sys.executable, str(Path(__file__).resolve()), str(folder / LAUNCH)], env


class Stock:
    """verl's TaskRunner in a Ray actor."""

    def run(self, config: dict[str, Any], trainer_of_ours: str) -> None:
        from omegaconf import OmegaConf
        from verl.trainer.main_ppo import TaskRunnerV1

        if config["trainer"]["v1"]["trainer_mode"] == trainer_of_ours:
            self._register(trainer_of_ours)
        TaskRunnerV1.__ray_actor_class__().run(OmegaConf.create(config))

    @staticmethod
    def _register(name: str) -> None:
        """verl's sync trainer, with training workers that start anywhere."""
        import ray
        from verl.trainer.ppo.utils import Role
        from verl.trainer.ppo.v1.trainer_base import register_trainer
        from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
        from verl.workers.engine_workers import ActorRolloutRefWorker

        from verlaunch.engine.training.workers import Training

        class Plain(Training):
            short = False  # cuts and sorts as verl does

        class Roles(ActorRolloutRefWorker):
            actor_worker_cls = ref_worker_cls = Plain

        @register_trainer(name)
        class WithOurWorkers(PPOTrainerSync):
            def __init__(self, config: Any) -> None:
                config.trainer.v1.trainer_mode = "sync"  # any other is taken for asynchronous
                super().__init__(config)

            def _init_resource_pool_mgr(self) -> None:
                super()._init_resource_pool_mgr()
                for role in self.role_worker_mapping:
                    worker = Plain if role == Role.Critic else Roles
                    self.role_worker_mapping[role] = ray.remote(worker)


def drive(launch: dict[str, Any]) -> None:
    """Owns the private Ray cluster, as verlaunch.engine.processes.driver does for our runs."""
    from verlaunch.engine import environment
    from verlaunch.engine.processes import driver

    os.environ.update(environment.for_run(launch["hardware"], dict(os.environ)))
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray  # reads its switches from the environment when it is imported

    ray.init(**driver.ray_arguments(launch, os.environ["VERLAUNCH_TEMP"]))
    actor = ray.remote(num_cpus=1)(Stock).remote()
    ray.get(actor.run.remote(launch["config"], OURS))
    ray.shutdown()


if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # not this folder, whose names are everyday words
    drive(json.loads(Path(sys.argv[1]).read_text()))
