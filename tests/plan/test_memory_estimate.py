"""The estimate of memory and disk: what each setting moves, and by how much."""

import functools
import re
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import transformers
from torch.autograd.graph import saved_tensors_hooks

from verlaunch.config.compose import compose, fill
from verlaunch.config.derive import Facts, derive
from verlaunch.config.flags import parse
from verlaunch.errors import Finding, stopping, warnings
from verlaunch.plan.guards.memory_needed import of_memory
from verlaunch.plan.memory.activations import LOGIT, passing, saved
from verlaunch.plan.memory.estimate import Estimate, Phase, estimate
from verlaunch.plan.memory.expected import Memory, Room
from verlaunch.plan.memory.gpu import PHASES
from verlaunch.plan.memory.host_phases import pinned
from verlaunch.plan.memory.phases import Part
from verlaunch.plan.memory.shape import Linear, Shape
from verlaunch.plan.memory.trained_models import actor_of, adapter, critic_of
from verlaunch.plan.memory.use import Use
from verlaunch.plan.memory.vllm import token_bytes
from verlaunch.text import GIB

CARD = 80 * GIB


def _linears(hidden: int, keys: int, wide: int, layers: int) -> tuple[Linear, ...]:
    sizes = {
        "q_proj": (hidden, hidden), "k_proj": (hidden, keys), "v_proj": (hidden, keys),
        "o_proj": (hidden, hidden), "gate_proj": (hidden, wide), "up_proj": (hidden, wide),
        "down_proj": (wide, hidden),
    }  # fmt: skip
    return tuple(Linear(name, *size, layers) for name, size in sizes.items())


HALF = Shape(
    "Qwen2.5-0.5B", 494_032_768, 136_134_656, 0, 24, 896, 4864, 151_936, 14, 2, 64,
    _linears(896, 128, 4864, 24), 494_032_768,
)  # fmt: skip
SEVEN = Shape(
    "Qwen2.5-7B", 7_615_616_512, 544_997_376, 544_997_376, 28, 3584, 18_944, 152_064, 28, 4, 128,
    _linears(3584, 512, 18_944, 28), 7_615_616_512,
)  # fmt: skip


@functools.cache
def use_of(*words: str, hardware: str = "gpu", shape: Shape = HALF, memory_gib: int = 80) -> Use:
    """Of a real configuration, with its open numbers worked out."""
    config = compose(parse(["--hardware", hardware, *words], {}), hardware)
    cached = 2 * shape.layers * shape.kv_heads * shape.head_dim
    facts = Facts(
        hardware, 16, memory_gib, 10_000, shape.vocab, "model", "run", "/c", cached_values=cached
    )
    config = fill(config, derive(config.verl, facts))
    return Use.of(config.verl, config.launch, hardware)


@pytest.fixture(scope="module")
def use() -> Use:
    return use_of("--n_gpus", "8", shape=SEVEN)


def phase(found: Estimate, name: str) -> Phase:
    return next(one for one in (*found.gpu, *found.host) if one.name == name)


def part(found: Estimate, of: str, name: str) -> int:
    return sum(one.bytes for one in phase(found, of).parts if one.name == name)


def loaded(found: Estimate) -> int:
    """Bytes of models in main memory at the start."""
    return sum(one.bytes for one in found.host[0].parts if one.name == "models being loaded")


def seven(use: Use, card: int = CARD) -> Estimate:
    return estimate(SEVEN, None, use, card)


# ---- from the configuration ----------------------------------------------------------------------


def test_the_gpu_profile_trains_in_bf16_over_fp32_shards_with_checkpointing(use) -> None:
    assert (use.param_bytes, use.compute_bytes, use.rollout_bytes) == (4, 2, 2)
    assert (use.checkpointing, use.critic_checkpointing, use.sleeps) == (True, True, True)
    assert (use.critic, use.reference, use.lora_rank, use.export) == (True, True, 0, True)


def test_the_cpu_profile_computes_in_fp32_and_vllm_never_sleeps() -> None:
    cpu = use_of(hardware="cpu")
    assert (cpu.param_bytes, cpu.compute_bytes, cpu.rollout_bytes) == (4, 4, 4)
    assert (cpu.checkpointing, cpu.sleeps, cpu.eager) == (False, False, True)
    assert cpu.kv_cache_bytes


def test_a_micro_batch_is_never_more_than_its_rank_has() -> None:
    small = use_of("--batch_size", "8", "--mini_batch_size", "4", "--max_response_length", "32",
                   "--max_prompt_length", "32")  # fmt: skip
    assert small.micro_tokens == 8 * 64
    assert actor_of(HALF, small).tokens == 4 * 64
    assert actor_of(HALF, small).infer_tokens == 8 * 64


def test_fixed_micro_batches_count_whole_sequences() -> None:
    fixed = use_of("actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=2")
    assert fixed.micro_tokens == 2 * 1024
    assert not fixed.packed


def test_the_critic_has_a_token_budget_of_its_own() -> None:
    own = use_of("critic.ppo_infer_max_token_len_per_gpu=2048")
    assert critic_of(HALF, own).tokens == 2048
    assert actor_of(HALF, own).tokens > 2048


def test_with_lora_there_is_no_second_model_for_the_reference() -> None:
    assert not use_of("--lora_rank", "8").reference


def test_layers_of_an_adapter_can_be_chosen() -> None:
    chosen = use_of("--lora_rank", "8", "actor_rollout_ref.model.target_modules=[q_proj,v_proj]")
    assert chosen.lora_targets == ("q_proj", "v_proj")
    assert adapter(HALF, 8, chosen.lora_targets) == 8 * 24 * ((896 + 896) + (896 + 128))


def test_without_a_kl_there_is_no_reference() -> None:
    assert not use_of("--kl_coef", "0").reference


# ---- what autograd really keeps ------------------------------------------------------------------


def kept_per_layer(family: str, dtype: torch.dtype) -> float:
    """Bytes per token that torch saves for the backward pass, of one layer more."""
    totals = []
    for layers in (1, 2):
        config = transformers.AutoConfig.for_model(
            family, vocab_size=64, hidden_size=128, intermediate_size=320, head_dim=16,
            num_hidden_layers=layers, num_attention_heads=8, num_key_value_heads=2,
            max_position_embeddings=64, attn_implementation="sdpa",
        )  # fmt: skip
        model = transformers.AutoModelForCausalLM.from_config(config).to(dtype).train()
        own = {weight.untyped_storage()._cdata for weight in model.parameters()}
        seen: dict[int, torch.UntypedStorage] = {}

        def keep(tensor: torch.Tensor, own=own, seen=seen) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if tensor.dim() and storage._cdata not in own:
                seen[storage._cdata] = storage
            return tensor

        mask = torch.ones(4, 32, dtype=torch.long)
        mask[0, 20:] = 0  # padded, as verl's micro batches are
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            held = model(torch.randint(0, 64, (4, 32)), attention_mask=mask, use_cache=False)
            assert held.logits.requires_grad
        totals.append(sum(storage.nbytes() for storage in seen.values()))
    return (totals[1] - totals[0]) / (4 * 32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    ("family", "norms"), [("qwen2", 256), ("llama", 256), ("qwen3", 256 + 160), ("gemma2", 512)]
)
def test_activations_are_those_that_torch_saves(family: str, norms: int, dtype) -> None:
    shape = replace(HALF, hidden=128, intermediate=320, heads=8, kv_heads=2, head_dim=16)
    counted = saved(replace(shape, norms=norms), dtype.itemsize)
    assert counted == pytest.approx(kept_per_layer(family, dtype), rel=0.12)


def test_logits_take_what_the_planners_rule_for_tokens_leaves_them() -> None:
    # derive.py gives a tenth of a card to 12 bytes per logit; the worst moment of bf16 has 18.
    use = use_of(shape=SEVEN)
    assert part(seven(use), "actor update", "logits") == pytest.approx(CARD * 0.15, rel=0.05)
    assert LOGIT[(2, True, True)] > LOGIT[(2, False, True)] > LOGIT[(2, False, False)]


# ---- what each setting moves ---------------------------------------------------------------------


def test_phases_have_their_names_in_the_order_of_a_step(use) -> None:
    assert tuple(one.name for one in seven(use).gpu) == PHASES


def test_shards_divide_by_the_ranks(use) -> None:
    for ranks in (1, 2, 4, 8):
        found = seven(replace(use, gpus_per_node=ranks))
        assert part(found, "actor update", "actor weights") == 4 * SEVEN.parameters // ranks
        assert part(found, "actor update", "actor optimizer") == 8 * SEVEN.parameters // ranks


def test_copies_in_groups_divide_by_the_group_only(use) -> None:
    found = seven(replace(use, nodes=2, fsdp_size=8))
    assert part(found, "generation", "actor weights") == 4 * SEVEN.parameters // 8


def test_offload_moves_a_resting_role_to_main_memory(use) -> None:
    before, after = seven(use), seven(replace(use, optimizer_offload=True))
    assert part(before, "generation", "actor optimizer") == 8 * SEVEN.parameters // 8
    assert part(after, "generation", "actor optimizer") == 0
    assert part(before, "training", "actor optimizer") == 0
    assert part(after, "training", "actor optimizer") >= 8 * SEVEN.parameters


def test_offload_does_not_help_the_update_that_needs_it(use) -> None:
    # verl brings all of it back at the start of an update (workers/engine/base.py:313).
    before, after = seven(use), seven(replace(use, optimizer_offload=True, param_offload=True))
    assert part(after, "actor update", "actor optimizer") == part(
        before, "actor update", "actor optimizer"
    )
    assert phase(after, "critic update").bytes < phase(before, "critic update").bytes


def test_fsdps_own_offload_helps_the_update_too(use) -> None:
    found = seven(replace(use, cpu_policy=True))
    assert part(found, "actor update", "actor optimizer") == 0
    assert part(found, "training", "actor gradients") > 0


def test_pinned_memory_is_rounded_up_to_a_power_of_two(use) -> None:
    one = Shape("x", 3 * 2**20, 3 * 2**20, 0, 1, 1, 1, 1, 1, 1, 1, (), 0)
    alone = replace(use, gpus_per_node=1)
    assert pinned(one, alone, 4) == 16 * 2**20  # 12 MiB
    assert pinned(SEVEN, use, 4) * 8 > 1.5 * 4 * SEVEN.parameters


def test_the_reference_lies_in_main_memory_and_only_passes_through_the_card(use) -> None:
    with_one, without = seven(use), seven(replace(use, reference=False))
    assert part(with_one, "training", "reference") > 4 * SEVEN.parameters
    assert part(without, "training", "reference") == 0
    assert phase(with_one, "generation").bytes == phase(without, "generation").bytes


def test_tied_embeddings_load_the_whole_model_on_every_rank(use) -> None:
    found = estimate(HALF, None, use, CARD)
    assert loaded(found) == pytest.approx(8 * 4 * HALF.parameters, rel=0.01)
    assert loaded(seven(use)) == 4 * SEVEN.parameters


def test_checkpointing_lowers_activations(use) -> None:
    with_it, without = seven(use), seven(replace(use, checkpointing=False))
    kept = part(with_it, "actor update", "activations")
    assert part(without, "actor update", "activations") > 10 * kept


def test_lora_trains_so_little_that_the_optimizer_vanishes(use) -> None:
    whole, thin = seven(use), seven(replace(use, lora_rank=32, reference=False))
    assert part(thin, "actor update", "actor optimizer") < 0.02 * part(
        whole, "actor update", "actor optimizer"
    )
    assert part(thin, "actor update", "gradients") < 0.1 * part(whole, "actor update", "gradients")
    assert thin.disk.checkpoint < whole.disk.checkpoint


@pytest.mark.parametrize("setting", ["micro_tokens", "max_batched_tokens", "response_length"])
def test_more_tokens_never_take_less(use, setting: str) -> None:
    peaks = []
    for factor in (1, 2, 4, 8):
        found = seven(replace(use, mini_tokens=None, **{setting: factor * getattr(use, setting)}))
        peaks.append([one.bytes for one in found.gpu])
    assert all(
        small <= large
        for first, second in pairwise(peaks)
        for small, large in zip(first, second, strict=True)
    )


def test_tp_divides_vllms_weights_and_its_keys_and_values(use) -> None:
    one, four = seven(use), seven(replace(use, tp=4))
    assert part(one, "generation", "vLLM weights") == 4 * part(four, "generation", "vLLM weights")
    assert token_bytes(SEVEN, replace(use, tp=4)) * 4 == token_bytes(SEVEN, use)
    # 4 heads of keys on 8 cards: each is there twice.
    assert token_bytes(SEVEN, replace(use, tp=8)) == token_bytes(SEVEN, replace(use, tp=4))


def test_vllm_takes_its_share_of_the_whole_card(use) -> None:
    share = sum(
        part(seven(use), "generation", name)
        for name in ("vLLM weights", "vLLM at work", "KV cache")
    )
    assert share == pytest.approx(CARD * 0.5, rel=0.001)


def test_a_sleeping_vllm_leaves_its_share_to_the_updates(use) -> None:
    asleep, awake = seven(use), seven(replace(use, sleeps=False))
    more = phase(awake, "actor update").bytes - phase(asleep, "actor update").bytes
    assert more > 0.4 * CARD


def test_a_critic_from_another_model_has_that_models_size(use) -> None:
    found = estimate(SEVEN, HALF, use, CARD)
    assert part(found, "generation", "critic weights") == pytest.approx(
        4 * HALF.parameters / 8, rel=0.001
    )


def test_grpo_has_no_critic() -> None:
    found = seven(use_of("--adv_estimator", "grpo", "--rollout_n", "4", shape=SEVEN))
    assert [one.name for one in found.gpu] == [name for name in PHASES if name != "critic update"]
    assert part(found, "generation", "critic weights") == 0


def test_a_checkpoint_holds_weights_and_two_moments_of_each_role(use) -> None:
    found = estimate(SEVEN, None, replace(use, keep=3), CARD)
    numbers = 2 * SEVEN.parameters - SEVEN.head  # the critic has no output layer
    assert found.disk.checkpoint == pytest.approx(12 * numbers, rel=0.001)
    assert found.disk.kept == 3 + 1 + 1
    assert found.disk.export == pytest.approx(2 * SEVEN.parameters, rel=0.01)


def test_epochs_that_are_kept_take_room_for_policy_and_critic(use) -> None:
    plain, kept = seven(use), seven(replace(use, epoch_exports=3))
    assert kept.disk.export > plain.disk.export + 3 * 2 * 2 * SEVEN.parameters * 0.9


def test_on_the_cpu_there_are_no_phases_of_a_card() -> None:
    found = estimate(HALF, None, use_of(hardware="cpu"), None)
    assert found.gpu == ()
    assert found.gpu_peak is None
    assert found.host_peak.bytes > 4 * HALF.parameters


# ---- the verdict ---------------------------------------------------------------------------------

PLENTY = 2**42


def needed(found: Estimate, use: Use, card: int, host: int = PLENTY) -> list[Finding]:
    """What is told where there is so much of a card and of main memory."""
    return list(of_memory(Memory(Room(card, host, 2**45, 2**40), found, use)))


def test_what_fits_has_no_problems(use) -> None:
    assert needed(seven(use), use, CARD) == []


def test_a_card_that_is_too_small_names_phase_amounts_and_what_does() -> None:
    use = use_of(memory_gib=24)
    found = estimate(HALF, None, use, 24 * GIB)
    (told,) = warnings(needed(found, use, 24 * GIB))  # short by a few percent
    assert told.startswith("The GPU memory may be too small: generation needs about ")
    assert " of 24.0 GiB (KV cache " in told
    assert "It would fit with --gpu_memory_utilization 0.45." in told
    (told,) = stopping(needed(estimate(HALF, None, use, 18 * GIB), use, 18 * GIB))
    assert told.startswith("The GPU memory is too small: ")


def test_without_padding_the_logits_take_what_others_measured(use) -> None:
    padded, packed = seven(use), seven(replace(use, unpadded=True))
    each = part(packed, "actor update", "logits") / (actor_of(SEVEN, use).tokens * SEVEN.vocab)
    assert 10.4 <= each <= 10.9  # bytes, by torch's own count on cards of 80 GB
    assert part(padded, "actor update", "logits") > 1.5 * part(packed, "actor update", "logits")
    assert part(padded, "critic update", "activations") == part(
        packed, "critic update", "activations"
    )  # which has a switch of its own


def test_entropy_by_chunks_helps_where_nothing_is_kept_for_a_gradient(use) -> None:
    role, chunks = actor_of(SEVEN, use), replace(use, entropy_chunks=True)
    by_gradient = [
        [passing(role, one, gradient, entropy=True).logits for one in (use, chunks)]
        for gradient in (True, False)
    ]
    assert by_gradient[0][0] == by_gradient[0][1]
    assert by_gradient[1][0] > 2 * by_gradient[1][1]


ROWS = "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu="


@pytest.mark.parametrize(("rows", "said", "stops"), [(4, 0, 0), (16, 1, 0), (64, 1, 1)])
def test_rows_of_full_length_warn_and_rows_of_likely_length_stop(
    rows: int, said: int, stops: int
) -> None:
    words = ["--max_response_length", "1536", "--batch_size", "1024", "--mini_batch_size", "1024"]
    use = use_of("--n_gpus", "8", f"{ROWS}{rows}", *words, shape=SEVEN)
    found = needed(seven(use), use, CARD)
    assert (len(found), len(stopping(found))) == (said, stops)


def test_a_budget_of_tokens_is_filled_by_short_rows_too(use) -> None:
    assert use.likely(None).micro_tokens == use.micro_tokens
    rows = replace(use, packed=False, micro_tokens=8 * use.length)
    assert rows.likely(None).micro_tokens == 4 * use.length
    assert rows.likely(10**9).micro_tokens == 6 * use.length  # prompts are cut at their limit


@pytest.mark.parametrize(
    ("card", "words"), [(24, []), (80, ["--n_gpus", "4"]), (48, ["--n_gpus", "4"])]
)
def test_every_setting_that_is_named_makes_the_run_fit(card: int, words: list[str]) -> None:
    shape = HALF if card == 24 else SEVEN
    use = use_of(*words, shape=shape, memory_gib=card)
    found = estimate(shape, None, use, card * GIB)
    (told,) = (one.text for one in needed(found, use, card * GIB))
    named = re.findall(r"fit with (.+?)(?:, which|\.(?: |$))", told)
    assert named
    for typed in named:
        mended = use_of(*_joined(words, typed.split()), shape=shape, memory_gib=card)
        peak = estimate(shape, None, mended, card * GIB).gpu_peak
        assert peak and peak.bytes <= card * GIB, typed


def _joined(words: list[str], flags: list[str]) -> list[str]:
    """A flag that is typed again replaces the first one."""
    return flags if words[:1] == flags[:1] else [*words, *flags]


def test_where_no_setting_does_the_number_of_cards_is_named() -> None:
    use = use_of(shape=SEVEN, memory_gib=24)
    (told,) = stopping(needed(seven(use, 24 * GIB), use, 24 * GIB))[:1]
    assert told.endswith(" 16 GPUs like this would do with --fit auto (2 machines of 8).")


def test_a_cache_without_room_for_one_sequence_is_told(use) -> None:
    tight = replace(use, utilization=0.2)
    told = stopping(needed(seven(tight), tight, CARD))
    assert told == []  # within what the estimate may be wrong by
    (near,) = warnings(needed(seven(tight), tight, CARD))
    assert near.startswith("--gpu_memory_utilization 0.2 leaves vLLM room for 0 tokens")
    assert "It would fit with --gpu_memory_utilization 0.25" in near
    tight = replace(use, utilization=0.1)
    (far,) = stopping(needed(seven(tight), tight, CARD))
    assert far.startswith("--gpu_memory_utilization 0.1 leaves vLLM room for 0 tokens")


def test_main_memory_stops_far_above_all_of_it_and_warns_near_it(use) -> None:
    found = seven(use)
    need = found.host_peak.bytes

    def said(host: int) -> tuple[list[str], list[str]]:
        found_here = needed(found, use, CARD, host)
        return stopping(found_here), warnings(found_here)

    assert said(2 * need) == ([], [])
    stops, warns = said(int(need / 0.9))
    assert not stops
    assert warns[0].startswith("The main memory is nearly used up: start needs about ")
    stops, warns = said(int(need * 0.9))
    assert not stops
    assert warns[0].startswith("The main memory may be too small: start needs about ")
    stops, warns = said(int(need * 0.8))
    assert stops[0].startswith("The main memory is too small: start needs about ")
    assert "--lora_rank 32" in stops[0]


def test_parts_add_up() -> None:
    assert Phase("x", (Part("a", 2), Part("b", 3))).bytes == 5
