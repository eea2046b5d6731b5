"""vLLM writes some tokens with a tiny model that is made on the spot: random weights, no download.

work({"on_gpus": False}, print)    # {"tokens": 8, "load_s": 6.1, "first_s": 0.4, "again_s": 0.03}
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOKENS = 8
CACHE_BYTES = 64 << 20
GPU_SHARE = 0.1  # of the first GPU's memory, which vLLM wants to find free
PROMPT = "3+4="


def _make_model(folder: Path) -> str:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from verlaunch.inputs.demo.sizes import SIZES
    from verlaunch.inputs.demo.tokenizer import make_tokenizer

    tokenizer = make_tokenizer()
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    config = Qwen2Config(vocab_size=len(tokenizer), **SIZES, **ends)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def _load(folder: str, on_gpus: bool) -> Any:
    from vllm import LLM

    return LLM(
        folder,
        dtype="bfloat16" if on_gpus else "float32",
        max_model_len=64,
        max_num_seqs=2,
        gpu_memory_utilization=GPU_SHARE,
        kv_cache_memory_bytes=CACHE_BYTES,
        enforce_eager=True,
        seed=1,
    )


def _generate(llm: Any) -> tuple[int, float]:
    """Tokens, and seconds."""
    from vllm import SamplingParams

    began = time.monotonic()
    sampling = SamplingParams(max_tokens=TOKENS, ignore_eos=True, temperature=1.0, seed=1)
    (answer,) = llm.generate([PROMPT], sampling, use_tqdm=False)
    return len(answer.outputs[0].token_ids), time.monotonic() - began


def work(given: dict[str, Any], doing: Callable[[str], None]) -> dict[str, Any]:
    doing("making a tiny model")
    folder = _make_model(Path(os.environ["VERLAUNCH_TEMP"], "model"))
    doing("loading it in vLLM")
    began = time.monotonic()
    llm = _load(folder, given["on_gpus"])
    loaded = time.monotonic() - began
    doing("generating")
    tokens, first = _generate(llm)
    _, again = _generate(llm)
    return {"tokens": tokens, "load_s": loaded, "first_s": first, "again_s": again}
