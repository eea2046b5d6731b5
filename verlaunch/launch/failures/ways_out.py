"""Settings that help a run which has died, worked out from its own configuration.

    REMEDIES["offload"](Run(config, "gpu", {}))  ->  "--offload optimizer (...)"

Each is None where it is set already, would not fit the other settings, or cannot be known: a reader
is never told to give what he has given. What decides about memory, and how far it goes, is
plan/memory/memory_keys.py's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from verlaunch.config.tree import ACTOR, REF, ROLLOUT, get
from verlaunch.plan.memory.memory_keys import (
    CHECKPOINTING,
    KV_CACHE,
    LORA_RANK,
    MICRO,
    TOKENS,
    TP,
    UTILIZATION,
    less_offload,
    more_offload,
    offload_of,
    smaller,
)  # fmt: skip
from verlaunch.text import GIB, MIB

ADAPTER = "trains an adapter: almost no gradients and optimizer of the policy"
LEAST_UTILIZATION, MOST_UTILIZATION = 0.2, 0.9
SHORTEST_RESPONSE = 64
OF_VLLM = ("starting vLLM", "waking vLLM", "generating")  # work that has no micro batches


@dataclass(frozen=True)
class Run:
    config: dict[str, Any]
    hardware: str
    found: dict[str, str]  # what the message says: named groups of the pattern
    doing: str = ""  # explain.py's words

    def number(self, key: str) -> float:
        """0 where the configuration has none."""
        value = get(self.config, key)
        return value if isinstance(value, int | float) else 0

    def whole(self, key: str) -> int:
        return int(self.number(key))

    @property
    def sequence(self) -> int:
        return self.whole("data.max_prompt_length") + self.whole("data.max_response_length")


Remedy = Callable[[Run], str | None]  # what to type; None when it would not help
REMEDIES: dict[str, Remedy] = {}  # by the names that table.yaml has for them
IN_WORDS: dict[str, str] = {}  # what docs/failures.md says of each, whose value depends on the run


def in_words(words: str) -> Callable[[Remedy], Remedy]:
    def kept(remedy: Remedy) -> Remedy:
        REMEDIES[remedy.__name__], IN_WORDS[remedy.__name__] = remedy, words
        return remedy

    return kept


MORE = {
    "optimizer": "the optimizers wait in main memory; updates take longer",
    "all": "the weights wait in main memory too; every phase takes longer",
}
LESS = {"optimizer": "the weights stay on the GPU", "none": "the optimizers stay on the GPU"}


@in_words("`--offload optimizer`, then `--offload all`")
def offload(run: Run) -> str | None:
    return _offload_to(run, more_offload, MORE)


@in_words("less `--offload`")
def offload_less(run: Run) -> str | None:
    """The host is full, not the card."""
    return _offload_to(run, less_offload, LESS)


def _offload_to(
    run: Run, choices: Callable[[str], tuple[str, ...]], effects: dict[str, str]
) -> str | None:
    keys = (f"{ACTOR}.fsdp_config.{what}_offload" for what in ("optimizer", "param"))
    left = choices(offload_of(*(bool(get(run.config, key)) for key in keys)))
    return f"--offload {left[0]} ({effects[left[0]]})" if left and run.hardware == "gpu" else None


@in_words("half of `actor_rollout_ref.actor.ppo_max_token_len_per_gpu`")
def tokens(run: Run) -> str | None:
    packed = bool(get(run.config, f"{ACTOR}.use_dynamic_bsz"))
    key = TOKENS if packed else MICRO
    sizes = smaller(packed, run.whole(key), run.sequence)
    if run.doing in OF_VLLM or not sizes or not sizes[0]:
        return None
    return f"{key}={sizes[0]} (smaller micro batches: same result, a little slower)"


@in_words("`actor_rollout_ref.model.enable_gradient_checkpointing=true`")
def checkpointing(run: Run) -> str | None:
    if run.doing in OF_VLLM:
        return None
    off = [key for key in CHECKPOINTING if get(run.config, key) is False]
    keys = " ".join(f"{key}=true" for key in off)
    return f"{keys} (activations are computed twice instead of kept)" if off else None


def _utilization(run: Run, wanted: float, effect: str) -> str | None:
    now = run.number(UTILIZATION)
    if run.hardware != "gpu" or not now or not LEAST_UTILIZATION <= wanted <= MOST_UTILIZATION:
        return None
    return f"--gpu_memory_utilization {wanted:g} ({effect})"


@in_words("a lower `--gpu_memory_utilization`")
def utilization_down(run: Run) -> str | None:
    now = run.number(UTILIZATION)
    return _utilization(run, round(now - 0.1, 2), f"vLLM takes {now:g} of each GPU now")


@in_words("a higher `--gpu_memory_utilization`")
def utilization_up(run: Run) -> str | None:
    now = run.number(UTILIZATION)
    return _utilization(run, round(now + 0.1, 2), f"vLLM may take {now:g} of each GPU now")


@in_words("the `--gpu_memory_utilization` that is free")
def utilization_that_is_free(run: Run) -> str | None:
    """Of what the message says: so much is free of so much; two hundredths are left alone."""
    free, total = float(run.found.get("free", 0)), float(run.found.get("total", 0) or 1)
    share = math.floor(100 * free / total) / 100 - 0.02
    return _utilization(run, round(share, 2), "what is free now")


@in_words("twice the `--tp_size`")
def tp_up(run: Run) -> str | None:
    tp = run.whole(TP)
    gpus = run.whole("trainer.n_gpus_per_node")
    if run.hardware != "gpu" or not tp or gpus % (2 * tp):
        return None
    return f"--tp_size {2 * tp} ({2 * tp} GPUs share one copy of the model in vLLM)"


@in_words("a `--tp_size` that divides the heads")
def tp_that_divides(run: Run) -> str | None:
    heads, tp = int(run.found.get("heads", 0)), int(run.found.get("tp", 0))
    gpus = run.whole("trainer.n_gpus_per_node") or tp
    fitting = [n for n in range(1, tp) if heads % n == 0 and gpus % n == 0]
    return f"--tp_size {fitting[-1]} ({heads} heads can be split so)" if fitting else None


@in_words("`actor_rollout_ref.rollout.max_model_len` of prompt and response")
def model_length(run: Run) -> str | None:
    """vLLM keeps room for one sequence of this length."""
    now = run.whole(f"{ROLLOUT}.max_model_len")
    if 0 < run.sequence < now:
        return f"{ROLLOUT}.max_model_len={run.sequence} (prompt and response need no more)"
    return None


@in_words("on the CPU twice the `kv_cache_memory_bytes`")
def kv_cache(run: Run) -> str | None:
    """On the CPU vLLM is given bytes outright: twice what the message asks for."""
    if run.hardware != "cpu":
        return None
    now, wanted = run.whole(KV_CACHE), float(run.found.get("wanted", 0)) * GIB
    size = max(64, math.ceil(2 * max(wanted, now) / MIB)) * MIB
    return f"{KV_CACHE}={size}"


@in_words("half of `--max_response_length`")
def shorter(run: Run) -> str | None:
    half = run.whole("data.max_response_length") // 2
    if half < SHORTEST_RESPONSE:
        return None
    return f"--max_response_length {half} (shorter responses need less in every phase)"


@in_words("the `--max_response_length` that fits")
def fitting_length(run: Run) -> str | None:
    """Within the model's own limit; a prompt that leaves no room for an answer gets half of it."""
    limit, prompt = int(run.found.get("limit", 0)), run.whole("data.max_prompt_length")
    if not 1 < limit < run.sequence:
        return None
    if prompt < limit:
        return f"--max_response_length {limit - prompt}"
    return f"--max_prompt_length {limit // 2} --max_response_length {limit - limit // 2}"


@in_words("half of `--batch_size`")
def fewer_prompts(run: Run) -> str | None:
    half = run.whole("data.train_batch_size") // 2
    return f"--batch_size {half} (fewer responses are in memory at once)" if half else None


@in_words("half of `actor_rollout_ref.rollout.max_num_seqs`")
def fewer_sequences(run: Run) -> str | None:
    half = run.whole(f"{ROLLOUT}.max_num_seqs") // 2
    key = f"{ROLLOUT}.max_num_seqs"
    return f"{key}={half} (vLLM generates fewer responses at the same time)" if half else None


@in_words("on the CPU half of `--n_gpus`")
def fewer_processes(run: Run) -> str | None:
    count = run.whole("trainer.n_gpus_per_node")
    if run.hardware != "cpu" or count < 2:
        return None
    return f"--n_gpus {count // 2} (on the CPU each is a set of processes of its own)"


@in_words("`--lora_rank 32`")
def lora(run: Run) -> str | None:
    if get(run.config, "actor_rollout_ref.model.lora_rank") != 0:
        return None
    return f"--lora_rank {LORA_RANK} ({ADAPTER})"


@in_words("a tenth of `--lr`")
def rate_down(run: Run) -> str | None:
    rate = run.number(f"{ACTOR}.optim.lr")
    return f"--lr {rate / 10:g} (a tenth of now)" if rate else None


@in_words("`actor_rollout_ref.rollout.enforce_eager=true`")
def eager(run: Run) -> str | None:
    if run.hardware != "gpu" or get(run.config, f"{ROLLOUT}.enforce_eager") is not False:
        return None
    return f"{ROLLOUT}.enforce_eager=true (no CUDA graphs: less memory, slower rollouts)"


@in_words("`attn_implementation=sdpa` for policy and critic")
def sdpa(run: Run) -> str | None:
    key = "actor_rollout_ref.model.override_config.attn_implementation"
    if get(run.config, key) == "sdpa":
        return None
    return f"+{key}=sdpa +critic.model.override_config.attn_implementation=sdpa"


@in_words("`actor_rollout_ref.model.target_modules=all-linear`")
def all_linear(run: Run) -> str | None:
    if get(run.config, "actor_rollout_ref.model.target_modules") == "all-linear":
        return None
    return "actor_rollout_ref.model.target_modules=all-linear (every linear layer has an adapter)"


@in_words("micro batches of 1")
def dividing_micro(run: Run) -> str | None:
    """A micro batch of one divides everything."""
    if get(run.config, f"{ACTOR}.use_dynamic_bsz") or run.whole(MICRO) == 1:
        return None
    roles = (f"{ACTOR}.ppo_micro", f"{ROLLOUT}.log_prob_micro", f"{REF}.log_prob_micro")
    return " ".join(f"{role}_batch_size_per_gpu=1" for role in roles)


@in_words(
    "on one machine `export GLOO_SOCKET_IFNAME=lo NCCL_SOCKET_IFNAME=lo`, on several "
    "`--node_addr ADDRESS` in another network"
)
def network(run: Run) -> str:
    if run.whole("trainer.nnodes") > 1:
        return "--node_addr ADDRESS (on each machine, in another network that they share)"
    loopback = "export GLOO_SOCKET_IFNAME=lo NCCL_SOCKET_IFNAME=lo"
    return f"{loopback} (one machine with a VPN or many network cards)"
