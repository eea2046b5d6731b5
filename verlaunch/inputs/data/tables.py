"""Files that are tables: their rows as maps, one batch at a time.

    for row in parquet_rows(Path("train.parquet")): ...
    for row in arrow_rows(Path("train.feather")): ...     # Arrow's files and streams, as Feather
    for line, row in csv_rows(Path("train.csv")): ...     # every cell is text: "007" stays "007"

Labels that are numbers become words (labels.py). Left out: Feather's first version.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from verlaunch.errors import UserError
from verlaunch.inputs.data.labels import Names, label_names, with_labels

BATCH = 1024
ARROW_FILE = b"ARROW1"  # how Arrow's files begin; its streams, which `datasets` writes, do not
Dict = dict[str, Any]


def parquet_rows(path: Path) -> Iterator[Dict]:
    import pyarrow.parquet as pq

    with _readable(path, "parquet"), pq.ParquetFile(path, pre_buffer=False) as file:
        # without pre_buffer=False all is kept in memory
        yield from _rows(file.iter_batches(batch_size=BATCH), label_names(file.schema_arrow))


def arrow_rows(path: Path) -> Iterator[Dict]:
    import pyarrow as pa

    with _readable(path, "Arrow"), path.open("rb") as file:
        is_file = file.read(len(ARROW_FILE)) == ARROW_FILE
        file.seek(0)
        if is_file:
            opened = pa.ipc.open_file(file)
            batches = (opened.get_batch(at) for at in range(opened.num_record_batches))
        else:
            opened = pa.ipc.open_stream(file)
            batches = iter(opened)
        yield from _rows(batches, label_names(opened.schema))


@contextmanager
def _readable(path: Path, kind: str) -> Iterator[None]:
    import pyarrow as pa

    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty.")
    try:
        yield
    except pa.ArrowException as error:
        reason = re.sub(r"\s+", " ", str(error))[:120]
        raise UserError(f"{path} is not a readable {kind} file: {reason}") from None


def _rows(batches: Iterable[Any], names: Names) -> Iterator[Dict]:
    for batch in batches:
        # "lossy" takes the last of equal keys, as a map of JSON does
        rows = batch.to_pylist(maps_as_pydicts="lossy")
        yield from (with_labels(row, names) for row in rows)


def csv_rows(path: Path) -> Iterator[tuple[int, Dict]]:
    """(line, row); the first line names the columns. Cells are parted by a tab in a .tsv, else by
    a comma, or by a semicolon where the first line has no comma."""
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        comma = "\t" if path.suffix.lower() == ".tsv" else ","
        if comma not in first and ";" in first:
            comma = ";"
        reader = csv.reader(file, delimiter=comma, strict=True)
        try:
            yield from _named(path, reader)
        except csv.Error as error:
            raise UserError(f"{path}:{reader.line_num}: broken CSV ({error}).") from None


def _named(path: Path, reader: Any) -> Iterator[tuple[int, Dict]]:
    names: list[str] = next(reader, [])
    said = any(names)
    names = [name or f"column {at}" for at, name in enumerate(names, 1)]  # pandas' index
    if not said:
        raise UserError(f"{path} is empty. Its first line names the columns: prompt,answer")
    line = reader.line_num + 1
    for cells in reader:
        if cells and len(cells) != len(names):
            raise UserError(
                f"{path}:{line}: {len(cells)} cells in a row, and the first line names "
                f'{len(names)} columns. Put a text that holds a comma or a line break in "...".'
            )
        if cells:
            yield line, dict(zip(names, cells, strict=True))
        line = reader.line_num + 1
