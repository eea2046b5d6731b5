"""A few rows of every label out of a prepared file, to try rewards on before a run.

for row in first_rows(prepared.train_file): print(row.data_source, row.ground_truth)
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


@dataclass(frozen=True)
class Example:
    """What a reward sees of a row, and its prompt."""

    prompt: tuple[dict[str, str], ...]
    data_source: str
    ground_truth: str
    extra_info: dict[str, Any]


def first_rows(file: Path, per_label: int = 32) -> Iterator[Example]:
    """The first `per_label` rows of each `data_source`, wherever in the file its rows begin."""
    seen: Counter[str] = Counter()
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        for batch in parquet.iter_batches():
            wanted = []
            for number, label in enumerate(batch["data_source"].to_pylist()):
                seen[label] += 1
                if seen[label] <= per_label:
                    wanted.append(number)
            for row in batch.take(wanted).to_pylist() if wanted else ():
                yield _example(row)


def _example(row: dict[str, Any]) -> Example:
    answer = row["reward_model"]["ground_truth"]
    return Example(tuple(row["prompt"]), row["data_source"], answer, row["extra_info"])
