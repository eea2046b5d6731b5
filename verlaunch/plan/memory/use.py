"""What of a configuration decides about memory, as plain numbers.

    Use.of(config.verl, config.launch, "gpu").micro_tokens  ->  4724

Only keys that verl's engines read; the dead ones beside them (`critic.ppo_max_token_len_per_gpu`,
`*.fsdp_config.dtype`, `ref.fsdp_config.param_offload`) are left out on purpose.
"""

from dataclasses import dataclass, replace
from typing import Any

from verlaunch.config.tree import (
    ACTOR,
    ROLLOUT,
    get,
    ranks,
    sequence_length,
    uses_critic,
    uses_reference,
)
from verlaunch.plan.sizes import batch_of, object_store_bytes
from verlaunch.record.checkpoints.retention import LEAST

Tree = dict[str, Any]
BYTES = {
    "fp32": 4, "float32": 4, "float": 4, "32": 4,
    "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2, "half": 2, "16": 2,
}  # fmt: skip
MODEL = "actor_rollout_ref.model"
FSDP = f"{ACTOR}.fsdp_config"
CHECKPOINTING = "enable_gradient_checkpointing"
ALL_LINEAR = "all-linear"
# Of the fields below, those that one key decides alone.
NUMBERS = {
    "gpus_per_node": "trainer.n_gpus_per_node",
    "nodes": "trainer.nnodes",
    "tp": f"{ROLLOUT}.tensor_model_parallel_size",
    "utilization": f"{ROLLOUT}.gpu_memory_utilization",
    "kv_cache_bytes": f"{ROLLOUT}.engine_kwargs.vllm.kv_cache_memory_bytes",
    "prompt_length": "data.max_prompt_length",
    "response_length": "data.max_response_length",
    "max_seqs": f"{ROLLOUT}.max_num_seqs",
    "max_batched_tokens": f"{ROLLOUT}.max_num_batched_tokens",
    "rollout_workers": f"{ROLLOUT}.agent.num_workers",
}
SWITCHES = {
    "checkpointing": f"{MODEL}.{CHECKPOINTING}",
    "critic_checkpointing": f"critic.model.{CHECKPOINTING}",
    "param_offload": f"{FSDP}.param_offload",
    "optimizer_offload": f"{FSDP}.optimizer_offload",
    "critic_param_offload": "critic.fsdp.param_offload",
    "critic_optimizer_offload": "critic.fsdp.optimizer_offload",
    "sleeps": f"{ROLLOUT}.free_cache_engine",
    "cpu_policy": f"{FSDP}.offload_policy",
    "critic_cpu_policy": "critic.fsdp.offload_policy",
    "entropy": f"{ACTOR}.calculate_entropy",
    "entropy_chunks": f"{FSDP}.entropy_from_logits_with_chunking",
    "unpadded": f"{MODEL}.use_remove_padding",
    "critic_unpadded": "critic.model.use_remove_padding",
    "packed": f"{ACTOR}.use_dynamic_bsz",
    "fused": f"{MODEL}.use_fused_kernels",
    "whole_gradients": f"{FSDP}.use_no_sync_for_gradient_accumulation",
    "eager": f"{ROLLOUT}.enforce_eager",
}
FIELDS = {key: name for name, key in {**NUMBERS, **SWITCHES}.items()}
TYPES = {  # with the bytes of one that is not known
    "param_bytes": (f"{FSDP}.model_dtype", 4),
    "compute_bytes": (f"{FSDP}.mixed_precision.param_dtype", 2),
    "rollout_bytes": (f"{ROLLOUT}.dtype", 2),
}


@dataclass(frozen=True)
class Use:
    hardware: str  # "cpu" or "gpu"
    gpus_per_node: int  # FSDP ranks per node; on the CPU, processes
    nodes: int
    tp: int  # ranks that share one copy of the model in vLLM
    utilization: float  # of a card's memory, for vLLM
    kv_cache_bytes: int | None  # given to vLLM outright: on the CPU
    sequences: int  # responses of one step, over all ranks
    prompt_length: int  # tokens, the most
    response_length: int
    micro_tokens: int  # of one micro batch of a rank, the most; an update has mini_tokens at most
    max_seqs: int  # sequences that vLLM runs at the same time
    max_batched_tokens: int
    checkpointing: bool  # gradient checkpointing of the actor
    critic_checkpointing: bool
    param_bytes: int  # of a number in FSDP's shards: 4 (fp32)
    compute_bytes: int  # of a number in forward and backward: 2 (bf16) or 4
    rollout_bytes: int  # of a weight in vLLM
    param_offload: bool
    optimizer_offload: bool
    critic_param_offload: bool
    critic_optimizer_offload: bool
    sleeps: bool  # vLLM gives its memory back while the trainer works (free_cache_engine)
    critic: bool
    reference: bool
    lora_rank: int  # 0: all weights are trained
    lora_targets: tuple[str, ...]  # last words of layers; empty: all linear layers
    object_store_bytes: int
    rollout_workers: int
    keep: int  # checkpoints
    critic_tokens: int | None = None  # of its micro batch, where they are not micro_tokens
    mini_tokens: int | None = None  # of a mini batch on one rank; None: no less than micro_tokens
    critic_mini_tokens: int | None = None
    critic_lora_rank: int = 0
    critic_lora_targets: tuple[str, ...] = ()
    fsdp_size: int = 0  # ranks that share one copy of the weights; 0: all
    cpu_policy: bool = False  # FSDP2's own offload: weights, gradients, optimizer on the CPU
    critic_cpu_policy: bool = False
    entropy: bool = True  # worked out in the updates too
    packed: bool = True  # micro batches by tokens, not by sequences
    fused: bool = False  # kernels that never hold the logits
    entropy_chunks: bool = False  # worked out for a few tokens at a time
    unpadded: bool = False  # rows end to end, for flash-attn (use_remove_padding)
    critic_unpadded: bool = False
    whole_gradients: bool = False  # kept unsharded between micro batches
    eager: bool = False  # vLLM captures no CUDA graphs
    bucket_bytes: int = 2 << 30  # of weights on their way to vLLM
    export: bool = True
    epoch_exports: int = 0  # epochs after which policy and critic are exported

    @property
    def ranks(self) -> int:
        return self.gpus_per_node * self.nodes

    @property
    def shards(self) -> int:
        return min(self.fsdp_size, self.ranks) or self.ranks

    @property
    def replicas(self) -> int:
        """Of vLLM, on one node."""
        return max(1, self.gpus_per_node // self.tp)

    @property
    def length(self) -> int:
        return self.prompt_length + self.response_length

    def likely(self, prompt_tokens: int | None) -> "Use":
        """With prompts of so many tokens (None: half the limit) and responses of half the limit.

        A budget is filled all the same, where a step has that much; a number of rows is less."""
        prompt = min(prompt_tokens or self.prompt_length // 2, self.prompt_length)
        share = (prompt + self.response_length // 2) / max(1, self.length)
        whole = max(1, self.sequences // self.ranks) * self.length  # of a step, on one rank

        def micro(tokens: int) -> int:
            return min(tokens, int(whole * share)) if self.packed else int(tokens * share)

        def mini(tokens: int | None) -> int | None:
            return tokens and int(tokens * share)

        return replace(
            self,
            micro_tokens=micro(self.micro_tokens),
            critic_tokens=None if self.critic_tokens is None else micro(self.critic_tokens),
            mini_tokens=mini(self.mini_tokens),
            critic_mini_tokens=mini(self.critic_mini_tokens),
        )

    @classmethod
    def of(cls, verl: Tree, launch: Tree, hardware: str) -> "Use":
        """`verl`: with no number left open."""
        batch, length = batch_of(verl), sequence_length(verl)
        tokens = _tokens(verl, ACTOR, f"{ACTOR}.ppo_max_token_len_per_gpu", batch.sequences)
        critic = _critic_tokens(verl, batch.sequences)
        mini, critic_mini = batch.mini * batch.n, (batch.critic_mini or batch.mini) * batch.n
        lora = get(verl, f"{MODEL}.lora_rank") or 0
        alone: dict[str, Any] = {name: get(verl, key) for name, key in NUMBERS.items()}
        alone |= {name: bool(get(verl, key)) for name, key in SWITCHES.items()}
        alone |= {name: _bytes(get(verl, key), usual) for name, (key, usual) in TYPES.items()}
        return cls(
            **alone,
            hardware=hardware,
            sequences=batch.sequences,
            micro_tokens=tokens,
            critic=uses_critic(verl),
            # With LoRA the reference is the actor without its adapter (trainer_base.py:236).
            reference=uses_reference(verl) and not lora,
            lora_rank=lora,
            lora_targets=_targets(get(verl, f"{MODEL}.target_modules")),
            object_store_bytes=object_store_bytes(batch, length, float("inf")),
            keep=max(LEAST, get(verl, "trainer.max_actor_ckpt_to_keep") or LEAST),
            critic_tokens=None if critic == tokens else critic,
            mini_tokens=_of_a_rank(verl, mini),
            critic_mini_tokens=_of_a_rank(verl, critic_mini),
            critic_lora_rank=get(verl, "critic.model.lora_rank") or 0,
            critic_lora_targets=_targets(get(verl, "critic.model.target_modules")),
            fsdp_size=max(0, get(verl, f"{FSDP}.fsdp_size") or 0),
            bucket_bytes=_bucket(verl),
            export=bool(launch.get("export", True)),
            epoch_exports=get(verl, "trainer.total_epochs") if launch.get("save_epochs") else 0,
        )


def _bytes(dtype: Any, otherwise: int) -> int:
    return BYTES.get(str(dtype), otherwise)


def _bucket(verl: Tree) -> int:
    megabytes = get(verl, f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes")
    return (megabytes or 2048) << 20


def _targets(setting: Any) -> tuple[str, ...]:
    """The last words of the layers' names; empty for all linear layers."""
    names = [setting] if isinstance(setting, str) else list(setting or [ALL_LINEAR])
    return () if ALL_LINEAR in names else tuple(str(name).rsplit(".", 1)[-1] for name in names)


def _of_a_rank(verl: Tree, sequences: int) -> int:
    """Tokens, at full length."""
    return max(1, sequences // ranks(verl)) * sequence_length(verl)


def _tokens(verl: Tree, role: str, budget: str, sequences: int) -> int:
    """Tokens of a micro batch at full length; never more than a step has on one rank.

    A budget counts real tokens and verl pads a micro batch to its longest, so that mixed lengths
    take more than the budget says: by the longest over the mean.
    """
    length = sequence_length(verl)
    fixed = get(verl, f"{role}.ppo_micro_batch_size_per_gpu")
    packed = get(verl, f"{role}.use_dynamic_bsz")
    wanted = get(verl, budget) if packed or not fixed else fixed * length
    return max(length, min(wanted, _of_a_rank(verl, sequences)))


def _critic_tokens(verl: Tree, sequences: int) -> int:
    # Both of the critic's passes take the budget for inference (trainer_base.py:267).
    return _tokens(verl, "critic", "critic.ppo_infer_max_token_len_per_gpu", sequences)
