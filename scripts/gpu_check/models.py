"""Models of random weights with a tokenizer of bytes, and prompts of an exact length.

    .venv/bin/python scripts/gpu_check/models.py outputs/model-10M --size 10M

For the check and for the benchmarks; nothing is downloaded. A process of its own makes each model
of the check, on the GPU where there is one: what it held there is gone with it. 10M has 10.7 M
parameters, 100M has 99.9 M. The tokenizer is the demo's with words that no text makes, up to the
vocabulary, so that whatever a random model writes can be decoded. On a CPU the weights are the same
each time; rewards stay near 0.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:1] = [str(ROOT), str(ROOT / "scripts")]  # not this folder: its names are everyday
from gpu_check.sizes import SIZES, Shape  # noqa: E402

SEED, POSITIONS = 1, 4096
TEMPLATE_TOKENS = 2  # of a prompt, beside one per byte


def filled_tokenizer(vocabulary: int) -> Any:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    from verlaunch.inputs.demo.tokenizer import make_tokenizer

    demo = make_tokenizer()
    parts = json.loads(demo.backend_tokenizer.to_str())
    special = len(parts["added_tokens"])  # they move to the end
    fillers = range(len(demo) - special, vocabulary - special)
    parts["model"]["vocab"].update({f"word{i}": i for i in fillers})
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(parts)),
        pad_token=demo.pad_token,
        eos_token=demo.eos_token,
        chat_template=demo.chat_template,
        padding_side="left",
        model_max_length=POSITIONS,
    )


def write_model(
    folder: Path,
    shape: Shape,
    dtype: str = "float32",
    architecture: str = "Qwen2ForCausalLM",
    device: str = "cpu",
) -> Path:
    """architecture: of transformers, Qwen2ForCausalLM or Qwen2ForSequenceClassification."""
    import torch
    import transformers

    tokenizer = filled_tokenizer(shape.vocabulary)
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = transformers.Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        num_labels=1,
        bos_token_id=None,
        **ends,
    )
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(SEED)
        model = getattr(transformers, architecture)(config)
    model.generation_config = transformers.GenerationConfig(**ends)
    model.to("cpu", getattr(torch, dtype)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make(
    folder: Path, size: str, dtype: str, architecture: str, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """In a child process. Raises subprocess.TimeoutExpired."""
    asked = ["--size", size, "--dtype", dtype, "--architecture", architecture]
    return subprocess.run(
        [sys.executable, __file__, str(folder), *asked],
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def write_rows(file: Path, prompt_tokens: int, count: int) -> Path:
    """Different prompts of just this many tokens."""
    letters = prompt_tokens - TEMPLATE_TOKENS
    texts = [f"{i:06d}{'12+34=' * letters}"[:letters] for i in range(count)]
    rows = [{"prompt": t, "ground_truth": "46", "data_source": "math_reasoning"} for t in texts]
    file.write_text(json.dumps(rows))
    return file


def _main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=tuple(SIZES), default="10M")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--architecture", default="Qwen2ForCausalLM")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(write_model(args.folder, SIZES[args.size], args.dtype, args.architecture, device))


if __name__ == "__main__":
    _main()
