"""A run's folder with a checkpoint as FSDP2 saves it, without a run: real shards of tiny models.

    save_run(tmp_path / "outputs", tiny_qwen2, ranks=2)     # outputs/checkpoints/global_step_7

torch's "fake" process group lets one process be each rank in turn; `fully_shard` then cuts the
model as it does in training, uneven last pieces included. The trained weights differ from the base
model's, by seed.
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer

from verlaunch.record.checkpoints.manifest import write_manifest

Weights = dict[str, torch.Tensor]
LORA = {"r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM"}


def trained(base: Path, kind: Any = AutoModelForCausalLM, seed: int = 7, **options: Any) -> Any:
    """The model of a folder with its weights moved, in fp32."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind.from_pretrained(base, dtype=torch.float32, **options)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.05 * torch.randn_like(weight))
    model.config.architectures = [type(model).__name__]
    return model.eval()


def with_lora(model: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model, LoraConfig(**LORA, target_modules="all-linear"))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.copy_(0.05 * torch.randn_like(weight))
    return adapted.eval()


def _shard(model: Any, rank: int, ranks: int) -> Weights:
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group("fake", rank=rank, world_size=ranks, store=FakeStore())
    try:
        mesh = torch.distributed.init_device_mesh("cpu", (ranks,))
        cut = copy.deepcopy(model)
        fully_shard(cut, mesh=mesh)
        return cut.state_dict()
    finally:
        torch.distributed.destroy_process_group()


def save_role(folder: Path, model: Any, tokenizer: Path, ranks: int) -> None:
    """What verl's FSDP checkpoint manager leaves of one model."""
    small = folder / "huggingface"
    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    inner.config.save_pretrained(small)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(small)
    for rank in range(ranks):
        torch.save(_shard(model, rank, ranks), folder / f"model_world_size_{ranks}_rank_{rank}.pt")
    facts = {"FSDP_version": 2, "world_size": ranks}
    (folder / "fsdp_config.json").write_text(json.dumps(facts))
    if hasattr(model, "peft_config"):
        (folder / "lora_train_meta.json").write_text(json.dumps(LORA))


def write_papers(run: Path, base: Path, step: int) -> None:
    """Configuration, identity, metrics and samples, as far as exporting and talking read them."""
    (run / "samples").mkdir(parents=True)
    (run / "logs").mkdir()
    model = {"path": str(base), "lora_rank": 0, "custom_chat_template": None}
    config = {
        "data": {"seed": 1, "max_prompt_length": 16, "max_response_length": 8},
        "actor_rollout_ref": {"model": model},
        "critic": {"model": {"path": str(base)}},
        "trainer": {"experiment_name": "sums"},
    }
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    identity = {"model": str(base), "data": "sums.json [3a99fd95]", "reward": "rules"}
    (run / "run.json").write_text(json.dumps(identity))
    (run / "environment.json").write_text('{"hardware": "cpu", "versions": {"verl": "0.9.1"}}')
    (run / "command.sh").write_text("#!/bin/sh\n./train.sh --recipe ppo_qwen --data sums.json\n")
    lines: list[dict[str, Any]] = [{"step": 0, "val-core/math/reward/mean@1": 0.25}]
    for number in range(1, step + 3):  # the run had gone on for two steps
        line = {"step": number, "time": 1.76e9, "critic/score/mean": number / 10}
        lines.append(line | {"val-core/math/reward/mean@1": number / 8})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    samples = [{"step": step, "prompt": f"{a}+2=", "response": str(a + 2)} for a in range(3)]
    (run / "samples" / "train.jsonl").write_text(
        "".join(json.dumps(sample) + "\n" for sample in samples)
    )


def save_run(
    run: Path, base: Path, ranks: int = 1, lora: bool = False, critic: bool = True, step: int = 7
) -> tuple[Any, Any]:
    """The run's folder, with one complete checkpoint; returns the policy and the critic in it."""
    write_papers(run, base, step)
    checkpoint = run / "checkpoints" / f"global_step_{step}"
    policy = trained(base)
    if lora:
        policy = with_lora(policy)
    save_role(checkpoint / "actor", policy, base, ranks)
    value = None
    if critic:
        value = trained(base, AutoModelForTokenClassification, seed=8, num_labels=1)
        save_role(checkpoint / "critic", value, base, ranks)
    write_manifest(checkpoint, step, ranks)
    return policy, value
