#!/usr/bin/env python3
"""Random Qwen2 models to measure speed with; nothing is downloaded.

    .venv/bin/python scripts/bench/models.py outputs/model-10M --size 10M

0.3M has the shape of the CPU demo's model (0.36 M parameters), 10M has 10.7 M and 100M has 99.9 M.
All write with the demo's tokenizer: one token per byte, a vocabulary of 260, so that the layers'
work is what is measured. The weights are float32, the same on every machine, and have learned
nothing: rewards stay near 0, and answers end by chance unless a program is told to go on.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from verlaunch.inputs.demo.sizes import SIZES as DEMO  # noqa: E402
from verlaunch.inputs.demo.tokenizer import make_tokenizer  # noqa: E402

if TYPE_CHECKING:
    from transformers import Qwen2Config

SEED, LONGEST = 1, 4096
SMALL: dict[str, int | bool] = {**DEMO, "max_position_embeddings": LONGEST}


def _heads_of_64(hidden: int, intermediate: int, layers: int) -> dict[str, int | bool]:
    return {
        **SMALL,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 64,
        "num_key_value_heads": hidden // 64,
    }


SIZES: dict[str, dict[str, int | bool]] = {
    "0.3M": SMALL,
    "10M": _heads_of_64(384, 1024, 6),
    "100M": _heads_of_64(768, 2304, 13),
}


def config_of(size: str) -> "Qwen2Config":
    from transformers import Qwen2Config

    tokenizer = make_tokenizer()
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    return Qwen2Config(vocab_size=len(tokenizer), bos_token_id=None, **ends, **SIZES[size])


def make(size: str, folder: Path) -> Path:
    """Writes the model and its tokenizer into `folder`, which is returned."""
    import torch
    from transformers import GenerationConfig, Qwen2ForCausalLM
    from transformers.utils import logging

    config = config_of(size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    logging.enable_progress_bar()
    tokenizer = make_tokenizer()
    tokenizer.model_max_length = LONGEST
    tokenizer.save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=tuple(SIZES), default="10M")
    args = parser.parse_args()
    print(make(args.size, args.folder))


if __name__ == "__main__":
    main()
