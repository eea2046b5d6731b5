"""Models of random weights with a tokenizer of bytes, and prompts of an exact length.

    python scripts/gpu_check/models.py '{"folder": "m", "shape": [896, ...], "dtype": "bfloat16"}'

A process of its own makes each model, on the GPU where there is one: what it held there is gone
with it. The tokenizer is the demo's with words that no text makes, up to the vocabulary, so that
whatever a random model writes can be decoded.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
POSITIONS = 4096
TEMPLATE_TOKENS = 2  # of a prompt, beside one per byte


def _tokenizer(vocabulary: int) -> Any:
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
    )


def write_model(folder: Path, shape: list[int], dtype: str, architecture: str) -> None:
    """architecture: of transformers, Qwen2ForCausalLM or Qwen2ForSequenceClassification."""
    import torch
    import transformers

    hidden, intermediate, layers, heads, key_heads, vocabulary = shape
    tokenizer = _tokenizer(vocabulary)
    config = transformers.Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        num_labels=1,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(getattr(torch, dtype))
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = getattr(transformers, architecture)(config)
    model.to("cpu").save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make(
    folder: Path, shape: list[int], dtype: str, architecture: str, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """In a child process. Raises subprocess.TimeoutExpired."""
    asked = json.dumps(
        {"folder": str(folder), "shape": shape, "dtype": dtype, "architecture": architecture}
    )
    return subprocess.run(
        [sys.executable, __file__, asked], capture_output=True, text=True, timeout=timeout_s
    )


def write_rows(file: Path, prompt_tokens: int, count: int) -> Path:
    """Different prompts of just this many tokens."""
    letters = prompt_tokens - TEMPLATE_TOKENS
    texts = [f"{i:04d}{'12+34=' * letters}"[:letters] for i in range(count)]
    rows = [{"prompt": t, "ground_truth": "46", "data_source": "math_reasoning"} for t in texts]
    file.write_text(json.dumps(rows))
    return file


if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # not this folder, whose names are everyday words
    asked = json.loads(sys.argv[1])
    write_model(Path(asked.pop("folder")), **asked)
