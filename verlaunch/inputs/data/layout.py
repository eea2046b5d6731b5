"""Rows as Arrow tables in verl's layout; one schema over all files, whatever columns they bring.

Other columns travel in `extra_info`. Their types are learnt while rows pass (`Columns.see`); until
all have passed they travel as JSON text (`pool_table`), then become typed (`final_table`). A column
whose rows disagree in type stays JSON text.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from verlaunch.inputs.data.rows import Row

PROMPT = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
POOL = pa.schema(
    [("prompt", PROMPT), ("ground_truth", pa.string()), ("data_source", pa.string()),
     ("style", pa.string()), ("ability", pa.string()), ("agent_name", pa.string()),
     ("extra", pa.string())]
)  # fmt: skip
DEFAULT_AGENT = "single_turn_agent"
EXACT_IN_DOUBLE = 2**53
MOST_COLUMNS = 200  # rows keyed by an id would otherwise make a column each


def _plain(value: Any) -> Any:
    return None if isinstance(value, (bytes, bytearray)) else str(value)


def encode(row: Row) -> tuple[bytes, str]:
    """(16-byte digest of the prompt, extra columns as JSON); UnicodeEncodeError: broken text."""
    prompt = json.dumps(row.prompt, ensure_ascii=False).encode()
    extra = json.dumps(row.extra, ensure_ascii=False, default=_plain) if row.extra else ""
    (extra + row.ground_truth + row.data_source + (row.ability or "")).encode()
    return hashlib.blake2b(prompt, digest_size=16).digest(), extra


def pool_table(rows: Sequence[Row], extras: Sequence[str]) -> pa.Table:
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row in rows] for name in POOL.names if name != "extra"
    }
    columns["prompt"] = [list(row.prompt) for row in rows]
    return pa.table({**columns, "extra": list(extras)}, schema=POOL)


class Columns:
    """The types of the extra columns, merged over all rows seen."""

    def __init__(self) -> None:
        self.types: dict[str, pa.DataType] = {}
        self.as_json: set[str] = set()
        self.ability = self.agent = False

    def see(self, rows: Sequence[Row], extras: Sequence[str]) -> None:
        self.ability |= any(row.ability for row in rows)
        self.agent |= any(row.agent_name for row in rows)
        decoded = [json.loads(extra) for extra in extras if extra]
        for name in {name for extra in decoded for name in extra}:
            if name not in ("index", "split") and name not in self.as_json:
                self._merge(name, [extra.get(name) for extra in decoded])

    def _merge(self, name: str, values: list[Any]) -> None:
        try:
            if any(type(v) is int and abs(v) > EXACT_IN_DOUBLE for v in values):
                raise pa.ArrowInvalid("too large to share a column with fractions")
            kind = pa.array(values).type  # infer_type takes [1, "two"] for whole numbers
            old = self.types.get(name, pa.null())
            schemas = [pa.schema([(name, old)]), pa.schema([(name, kind)])]
            self.types[name] = pa.unify_schemas(schemas, promote_options="permissive")[0].type
        except (pa.ArrowException, OverflowError):
            self.as_json.add(name)

    def _names(self) -> list[str]:
        return sorted({*self.types, *self.as_json})

    def note(self) -> str | None:
        names = self._names()
        if len(names) <= MOST_COLUMNS:
            return None
        return f"Rows have {len(names)} other columns; the first {MOST_COLUMNS} by name are kept."

    def settled(self) -> dict[str, pa.DataType | None]:
        """name -> type, None for JSON text; columns without a single value are left out."""
        found: dict[str, pa.DataType | None] = {}
        for name in self._names()[:MOST_COLUMNS]:
            kind = self.types.get(name)
            if name in self.as_json or _unwritable(kind):
                found[name] = None
            elif not pa.types.is_null(kind):
                found[name] = kind
        return found


def _unwritable(kind: pa.DataType) -> bool:
    """parquet has no struct without fields; a struct of very many is no struct but a dictionary."""
    if pa.types.is_list(kind):
        return _unwritable(kind.value_type)
    if not pa.types.is_struct(kind):
        return False
    few = 0 < kind.num_fields <= MOST_COLUMNS
    return not few or any(_unwritable(field.type) for field in kind)


def final_table(pool: pa.Table, numbers: Iterable[int], split: str, columns: Columns) -> pa.Table:
    """`pool` rows as verl reads them. Their own integer `extra_info.index` is kept, or is their
    number."""
    extras = [json.loads(text) if text else {} for text in pool["extra"].to_pylist()]
    numbered = zip(numbers, extras, strict=False)
    index = [e["index"] if type(e.get("index")) is int else n for n, e in numbered]
    arrays = [pa.array(index, pa.int64()), pa.array([split] * len(extras), pa.string())]
    settled = columns.settled()
    arrays += [_extra_array([e.get(name) for e in extras], settled[name]) for name in settled]
    rules = pa.StructArray.from_arrays(
        [_flat(pool["style"]), _flat(pool["ground_truth"])], ["style", "ground_truth"]
    )
    made = {
        "data_source": pool["data_source"],
        "prompt": pool["prompt"],
        "reward_model": rules,
        "extra_info": pa.StructArray.from_arrays(arrays, ["index", "split", *settled]),
    }
    if columns.ability:
        made["ability"] = _flat(pool["ability"]).fill_null("")
    if columns.agent:
        made["agent_name"] = _flat(pool["agent_name"]).fill_null(DEFAULT_AGENT)
    return pa.table(made)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _extra_array(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    if kind is None:
        texts = [None if v is None else json.dumps(v, ensure_ascii=False) for v in values]
        return pa.array(texts, pa.string())
    return pa.array(values, kind)
