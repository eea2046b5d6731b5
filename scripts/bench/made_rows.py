"""Rows as people have them, made up and seeded, and a tokenizer trained on them.

    write_rows(Path("rows.jsonl"), 10_000, seed=0)

Prompts of 15 to 90 words, worked answers of 45 to 180, three columns of no concern; one row in a
hundred is a duplicate, one in two hundred is far longer than the others. No sense in any of them.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VOCABULARY = 8192
SYLLABLES = ("ta", "ri", "mon", "le", "sto", "ven", "ka", "pil", "dor", "es", "un", "fra")
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LEVELS = ("easy", "medium", "hard")


def made_rows(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Problems as people have them: text, a worked answer, and three columns of no concern."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(SYLLABLES, k=rng.randrange(1, 4))) for _ in range(4000)]
    pieces = [" ".join(rng.choices(words, k=15)) + "." for _ in range(20_000)]
    last = ""
    for number in range(count):
        chance = rng.random()
        sentences = 60 if chance < 0.005 else rng.randrange(1, 7)
        prompt = f"{' '.join(rng.choices(pieces, k=sentences))} How many are left of {number}?"
        prompt = last if 0.005 < chance < 0.015 and last else prompt
        last = prompt
        steps = "\n".join(rng.choices(pieces, k=rng.randrange(3, 13)))
        yield {
            "prompt": prompt,
            "ground_truth": f"{steps}\n#### {rng.randrange(10_000)}",
            "data_source": "math_reasoning",
            "id": number,
            "level": rng.choice(LEVELS),
            "weight": round(rng.random(), 3),
        }


def write_rows(path: Path, count: int, seed: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in made_rows(count, seed))


def make_tokenizer(folder: Path, seed: int) -> None:
    """A byte-level BPE such as today's models have, only with fewer words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    texts = [row["prompt"] for row in made_rows(2000, seed)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|im_start|>", "<|im_end|>"]
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            initial_alphabet=alphabet,
            special_tokens=special,
            show_progress=False,
        ),
    )
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=special[1])
    made.chat_template = CHAT
    made.save_pretrained(folder)
