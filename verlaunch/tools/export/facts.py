"""What a run's folder says of the model it made, as plain data for the model card.

    facts(Picked(...))  ->  Facts(name="outputs", base="Qwen/Qwen2.5-0.5B", validation=(0.53, 0.99))

Only what had happened by the exported step counts. A checkpoint that lies in no run's folder has
few facts; a card leaves out what is not known.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verlaunch.config.tree import STOP_IDS, get
from verlaunch.inputs.choice import TEMPLATE
from verlaunch.inputs.models import is_local
from verlaunch.record.report.history import History, Line, read
from verlaunch.record.report.names import validation_score
from verlaunch.record.report.summary import recipe
from verlaunch.tools.export.pick import Picked

AVERAGED = 5  # steps at either end of the reward's curve: a single one is noise
Pair = tuple[float, float]


@dataclass(frozen=True)
class Facts:
    """Pairs are (before, after) training; `base` is a hub id or a folder as config.yaml has it."""

    name: str
    step: int
    base: str = ""
    base_id: str = ""  # on the hub; empty for a folder
    critic_base: str = ""
    longest_response: int = 0  # tokens; 0 where it is not known
    stops: tuple[int, ...] = ()  # ends of a response beside the model's own
    template: str | None = None  # of the run, where it set one
    about: dict[str, Any] = field(default_factory=dict)  # rows of the card
    validation: Pair | None = None
    mean_reward: Pair | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    command: str = ""
    curves: Path | None = None


def _validation(history: History, lines: list[Line]) -> Pair | None:
    """The first score of all, and the last one by that step."""
    told = sorted([*history.validations, *lines], key=lambda line: line["step"])
    scores = [score for line in told if (score := validation_score(line)) is not None]
    return (scores[0], scores[-1]) if len(scores) > 1 else None


def _mean_reward(lines: list[Line]) -> Pair | None:
    means = [
        line["critic/score/mean"] for line in lines if line.get("critic/score/mean") is not None
    ]
    if len(means) < 2:
        return None
    few = min(AVERAGED, len(means) // 2)
    return sum(means[:few]) / few, sum(means[-few:]) / few


SETTINGS = {
    "estimator": "algorithm.adv_estimator",
    "gamma": "algorithm.gamma",
    "lambda": "algorithm.lam",
    "KL coefficient": "algorithm.kl_ctrl.kl_coef",
    "KL target (nats per response)": "algorithm.kl_ctrl.target_kl",
    "KL loss coefficient": "actor_rollout_ref.actor.kl_loss_coef",
    "KL that ends the passes": "verlaunch.stop_kl",
    "whitened advantages": "verlaunch.whiten_advantages",
    "entropy coefficient": "actor_rollout_ref.actor.entropy_coeff",
    "clip ratio": "actor_rollout_ref.actor.clip_ratio",
    "PPO epochs": "actor_rollout_ref.actor.ppo_epochs",
    "learning rate": "actor_rollout_ref.actor.optim.lr",
    "critic's learning rate": "critic.optim.lr",
    "batch (prompts)": "data.train_batch_size",
    "responses per prompt": "actor_rollout_ref.rollout.n",
    "longest prompt and response (tokens)": "data.max_prompt_length",
}


def _settings(config: Line) -> dict[str, Any]:
    found = {name: get(config, key) for name, key in SETTINGS.items()}
    longest = "longest prompt and response (tokens)"
    if found[longest]:
        found[longest] = f"{found[longest]} and {get(config, 'data.max_response_length')}"
    in_loss = get(config, "actor_rollout_ref.actor.use_kl_loss")
    del found["KL coefficient" if in_loss else "KL loss coefficient"]
    return {name: value for name, value in found.items() if value is not None}


def _date(lines: list[Line], history: History) -> str:
    if lines and isinstance(lines[-1].get("time"), (int, float)):
        return time.strftime("%Y-%m-%d", time.gmtime(lines[-1]["time"]))
    return str(history.environment.get("time", ""))[:10]


def _about(history: History, lines: list[Line]) -> dict[str, Any]:
    found = {
        "recipe": recipe(history),
        "data": history.identity.get("data"),
        "reward": history.identity.get("reward"),
        "LoRA rank": get(history.config, "actor_rollout_ref.model.lora_rank"),
        "seed": get(history.config, "data.seed"),
        "trained on": {"cpu": "CPU", "gpu": "GPU"}.get(history.environment.get("hardware", "")),
        "date": _date(lines, history),
    }
    return {name: value for name, value in found.items() if value not in ("", None, 0)}


def facts(picked: Picked) -> Facts:
    step = picked.checkpoint.step
    if picked.run is None:
        return Facts(picked.checkpoint.path.name, step)
    history = read(picked.run)
    lines = [line for line in history.steps if line["step"] <= step]
    config, model = history.config, str(history.identity.get("model", ""))
    curves = picked.run / "metrics" / "training_curves.png"
    return Facts(
        name=str(get(config, "trainer.experiment_name") or picked.run.name),
        step=step,
        base=str(get(config, "actor_rollout_ref.model.path") or ""),
        base_id="" if not model or model == "demo" or is_local(model) else model,
        critic_base=str(get(config, "critic.model.path") or ""),
        longest_response=int(get(config, "data.max_response_length") or 0),
        stops=tuple(get(config, STOP_IDS) or ()),
        template=get(config, TEMPLATE),
        about=_about(history, lines),
        validation=_validation(history, lines),
        mean_reward=_mean_reward(lines),
        settings=_settings(config),
        versions=history.environment.get("versions") or {},
        command=history.command,
        curves=curves if curves.is_file() else None,
    )
