"""A `Source` -> its records, one at a time: `("data/a.jsonl:7", {"prompt": ...})`.

Every fault of a file (empty, binary, a broken line, unreadable) is a UserError that names the
place. Memory is that of one batch, whatever the file's size. Left out: compressed text files.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from verlaunch.errors import UserError
from verlaunch.inputs.data import hub
from verlaunch.inputs.data.jsonlist import json_rows, json_values
from verlaunch.inputs.data.jsonobject import rows_inside
from verlaunch.inputs.data.messages import Dropped
from verlaunch.inputs.data.rows import MissingColumn, Row, normalise
from verlaunch.inputs.data.sources import Source
from verlaunch.inputs.data.tables import arrow_rows, csv_rows, parquet_rows

Record = tuple[str, Any]  # (where, row)


def usable(found: Iterable[Record], source: Source, dropped: Counter[str]) -> Iterator[Row | None]:
    """Records of `source` as rows; None for each that cannot be used, which `dropped` counts.

    Raises MissingColumn where no row so far had the column: then the map is wrong, not the row.
    """
    any_good = False
    for where, record in found:
        try:
            row = normalise(record, source, where)
        except Dropped as reason:
            dropped[str(reason)] += 1
            yield None
        except MissingColumn:
            if not any_good:
                raise
            dropped["a column is missing in this row"] += 1
            yield None
        else:
            any_good = True
            yield row


def records(source: Source) -> Iterator[Record]:
    """Yields (where, row); rows are usually dicts, but that is for `normalise` to judge."""
    if source.type == "hub":
        yield from _numbered(source.path, hub.rows(source))
        return
    try:
        yield from _local(source)
    except UnicodeDecodeError:
        raise UserError(_not_utf8(Path(source.path))) from None
    except OSError as error:
        raise UserError(f"{source.path} cannot be read: {error.strerror or error}.") from None


def _local(source: Source) -> Iterator[Record]:
    path = Path(source.path).expanduser()
    if source.type == "saved":
        yield from _numbered(source.path, hub.saved_rows(source))
    elif source.type == "parquet":
        yield from _numbered(source.path, parquet_rows(path))
    elif source.type == "arrow":
        yield from _numbered(source.path, arrow_rows(path))
    elif source.type == "csv":
        _first_character(path)  # raises where it is no text
        yield from ((f"{path}:{line}", row) for line, row in csv_rows(path))
    elif _first_character(path) == "[":
        yield from ((f"{path}:{line}", row) for line, row in json_rows(path))
    else:
        yield from _objects(path, source)


def _objects(path: Path, source: Source) -> Iterator[Record]:
    """Rows one after another; a file that is one object may hold them inside."""
    spread = ((f"{path}:{line}", row) for line, row in json_values(path))
    values = spread if _is_spread(path) else _line_rows(path)
    first = list(islice(values, 2))
    inside = rows_inside(first[0][1], str(path), source.split) if len(first) == 1 else None
    yield from first if inside is None else _numbered(str(path), iter(inside))
    yield from values


def _is_spread(path: Path) -> bool:
    """Whether the first object goes on behind its first line."""
    with path.open("rb") as file:
        line = next((line for line in file if line.strip(b"\xef\xbb\xbf \t\r\n")), b"")
    text = line.removeprefix(b"\xef\xbb\xbf").decode("utf-8").rstrip()
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text)
    except (RecursionError, ValueError):
        return False
    return False


def _numbered(path: str, rows: Iterator[Any]) -> Iterator[Record]:
    for number, row in enumerate(rows, 1):
        yield f"{path} row {number}", row


def _first_character(path: Path) -> str:
    """The first mark of a text file; raises when it is empty or no text at all."""
    with path.open("rb") as file:
        head = file.read(1 << 16).removeprefix(b"\xef\xbb\xbf")
    if head.startswith(b"PAR1"):
        raise UserError(f"{path} is a parquet file; rename it to {path.stem}.parquet.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        better = f"iconv -f UTF-16 -t UTF-8 {path} > {path.stem}_utf8{path.suffix}"
        raise UserError(f"{path} is UTF-16. Save the file as UTF-8: {better}")
    if b"\0" in head:
        raise UserError(f"{path} is a binary file, not JSON. Pass JSON, JSONL or parquet.")
    text = head.lstrip()
    if not text:
        raise UserError(f"{path} is empty. A file holds rows such as " + EXAMPLE)
    return chr(text[0])


EXAMPLE = '{"prompt": "What is 2 + 3?", "ground_truth": "5", "data_source": "math_reasoning"}.'


def _line_rows(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield f"{path}:{number}", _parsed(path, number, line.decode("utf-8"))


def _parsed(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(_without_comma(line))
    except (json.JSONDecodeError, RecursionError) as error:
        why = getattr(error, "msg", "nested too deeply")
        shown = line.strip()[:80]
        raise UserError(
            f"{path}:{number}: broken line ({why}): {shown!r}. Fix or delete it; a file holds "
            "one JSON object per line, or one list [...] of objects."
        ) from None
    except ValueError:  # Python's own limit, which JSON has not
        raise UserError(
            f"{path}:{number}: an integer of more than 4,300 digits: {line.strip()[:80]!r}. Write "
            'it as text, in "...".'
        ) from None


def _without_comma(line: str) -> str:
    """A list of rows that has lost its brackets has a comma behind each."""
    text = line.rstrip()
    return text[:-1] if text.endswith("},") else line


def _not_utf8(path: Path) -> str:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                shown = line[max(0, error.start - 20) : error.start + 20]
                return f"{path}:{number}: not UTF-8 near {shown!r}. Save the file as UTF-8."
    return f"{path} is not UTF-8. Save the file as UTF-8."
