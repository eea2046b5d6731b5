"""Preparing data takes short cuts; none changes a count, and no file is held in memory."""

import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from verlaunch.inputs.data.chat import Meter

TALKS = [[{"role": "user", "content": "x" * length}] for length in (3, 40, 9)]
LENGTHS = [len("User: \nAssistant:") + length for length in (3, 40, 9)]


class Doubling(PreTrainedTokenizerFast):
    """A model author's own class, that does more than hand texts on."""

    def _encode_plus(self, text, *args, **kwargs):
        return super()._encode_plus([each + each for each in text], *args, **kwargs)


@pytest.fixture
def bytewise() -> Tokenizer:
    """One token per byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: n for n, letter in enumerate(["<s>", *alphabet])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


def meter_of(tokenizer: PreTrainedTokenizerFast, folder: Path) -> Meter:
    tokenizer.save_pretrained(folder)
    return Meter.load(str(folder))


def test_truncation_and_padding_of_the_tokenizers_file_change_no_length(
    bytewise: Tokenizer, tmp_path: Path
) -> None:
    bytewise.enable_truncation(10)
    bytewise.enable_padding(length=64)
    meter = meter_of(PreTrainedTokenizerFast(tokenizer_object=bytewise), tmp_path)
    assert meter.lengths(TALKS) == LENGTHS


def test_a_class_that_does_more_than_hand_texts_on_is_asked_itself(
    bytewise: Tokenizer, tmp_path: Path
) -> None:
    meter = meter_of(PreTrainedTokenizerFast(tokenizer_object=bytewise), tmp_path)
    doubling = Meter(Doubling.from_pretrained(tmp_path))
    doubling.tokenizer.chat_template = meter.tokenizer.chat_template
    assert doubling.lengths(TALKS) == [2 * length for length in LENGTHS]


def test_a_parquet_file_is_read_and_written_without_holding_it(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
import random
import pyarrow as pa, pyarrow.parquet as pq
from verlaunch.inputs.data.build import Settings
from verlaunch.inputs.data.prepare import prepare
from verlaunch.inputs.data.sources import sources

folder, dice = Path(sys.argv[1]), random.Random(0)
file = folder / "rows.parquet"
with pq.ParquetWriter(file, pa.schema({"prompt": pa.string(), "answer": pa.string()})) as writer:
    for group in range(40):
        prompts = [dice.randbytes(300).hex() for _ in range(1000)]
        writer.write_table(pa.table({"prompt": prompts, "answer": prompts}))
made = prepare(Settings(sources(str(file))), folder / "cache")
print(made.train_rows, file.stat().st_size, pa.default_memory_pool().max_memory())
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows, size, most = map(int, done.stdout.split())
    assert rows == 40_000 - 256
    assert most < size
