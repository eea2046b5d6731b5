"""What training does with each kind of model: LoRA, resume, two ranks. Each run takes a minute."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.e2e.conftest import Ran, of_run

pytestmark = pytest.mark.e2e

SHORT = ("--max_prompt_length", "16", "--max_response_length", "8", "--batch_size", "32")


def logits(model: torch.nn.Module) -> torch.Tensor:
    """(1, 6, vocabulary) for six fixed tokens."""
    with torch.no_grad():
        return model.eval()(torch.tensor([[5, 9, 13, 21, 34, 55]])).logits


def test_lora_trains_and_exports_merged_and_as_adapter(
    run: Callable[..., Ran], addition: Path, tiny_qwen3: Path, tmp_path: Path
) -> None:
    from peft import PeftModel

    words = ("--model", str(tiny_qwen3), "--data", str(addition), *SHORT, "--lr", "1e-2")
    first = run(tmp_path / "lora", *words, "--lora_rank", "8", "--steps", "2")
    assert first.code == 0, first.screen
    assert first.steps() == [0, 1, 2]

    done = run(tmp_path / "lora", *words, "--lora_rank", "8", "--steps", "2")
    assert done.code == 0 and "This run is complete" in done.screen

    final = tmp_path / "lora" / "checkpoints" / "final"
    base = AutoModelForCausalLM.from_pretrained(tiny_qwen3, dtype=torch.float32)
    before = logits(base)
    merged = logits(AutoModelForCausalLM.from_pretrained(final, dtype=torch.float32))
    adapted = logits(PeftModel.from_pretrained(base, final / "adapter"))
    assert torch.allclose(merged, adapted, atol=1e-4)
    assert not torch.allclose(merged, before, atol=1e-3)
    adapter = json.loads((final / "adapter" / "adapter_config.json").read_text())
    assert (adapter["r"], adapter["lora_alpha"]) == (8, 16)


def test_two_ranks_compute_what_one_rank_computes(
    run: Callable[..., Ran], addition: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    # top_k=1 takes the sampling out: both runs then see the same responses. Whitened advantages
    # would have a mean of 0, which is the loss of a first step.
    words = ("--model", str(tiny_llama), "--data", str(addition), *SHORT, "--steps", "2",
             "--mini_batch_size", "32", "--lr", "1e-3", "--critic_lr", "1e-3",
             "--whiten_advantages", "off", "--value_coef", "1.0", "--stop_kl", "100",
             "--kl_coef", "0.1", "--target_kl", "0.05", "--kl_horizon", "100",
             "actor_rollout_ref.rollout.top_k=1")  # fmt: skip
    one = run(tmp_path / "one", *words)
    two = run(tmp_path / "two", *words, "--n_gpus", "2")
    assert (one.code, two.code) == (0, 0), one.screen + two.screen
    for key in ("actor/loss", "actor/grad_norm", "actor/entropy", "critic/loss", "critic/grad_norm",
                "critic/advantages/mean", "critic/returns/mean"):  # fmt: skip
        first, same = one.series(key)[0], two.series(key)[0]
        assert math.isclose(first, same, rel_tol=1e-3) and first != 0, key
    for key in ("response_length/mean", "critic/score/mean", "actor/grad_norm", "critic/grad_norm",
                "critic/vf_loss", "actor/entropy"):  # fmt: skip
        pairs = zip(one.series(key), two.series(key), strict=True)
        assert all(math.isclose(a, b, rel_tol=0.02, abs_tol=1e-4) for a, b in pairs), key
    for ran in (one, two):
        halves, losses = ran.series("critic/vf_loss"), ran.series("critic/loss")
        assert all(
            math.isclose(2 * a, b, rel_tol=1e-5) for a, b in zip(halves, losses, strict=True)
        )
        assert ran.series("actor/updates") == [1, 1] and not ran.series("actor/stop_epoch")
        # no KL yet: the coefficient falls by 0.2 of the share that 32 responses are of the horizon
        coefficients = ran.series("actor/reward_kl_penalty_coeff")
        assert coefficients == pytest.approx([0.1, 0.1 * (1 - 0.2 * 0.32)])
        state = ran.folder / "checkpoints" / "global_step_2" / "trainer.json"
        assert json.loads(state.read_text())["kl_coef"] != pytest.approx(coefficients[-1])
    critic = tmp_path / "two" / "checkpoints" / "global_step_2"
    assert len(list((critic / "critic").glob("model_world_size_2_rank_*.pt"))) == 2
    exported = logits(
        AutoModelForCausalLM.from_pretrained(tmp_path / "two" / "checkpoints" / "final")
    )
    same = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "one" / "checkpoints" / "final"))
    assert torch.allclose(exported.float(), same.float(), atol=2e-2)
    assert of_run(tmp_path / "two") == []
