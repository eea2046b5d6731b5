"""A step's rows in the trainer's own memory, as columns.

    table = Table()
    table.put(["a_0_0"], "train", fields={"responses": column}, tags=[{"status": "success"}])
    table.get(["a_0_0"], "train", ["responses"])     # TensorDict, one row per key
    table.take(["a_0_0"], "train")                   # what a worker computes with: its tensors

A column is a tensor with a row per key (nested where rows differ in length) or a list of anything
else. It is kept as it came, and cut into rows only when other rows are asked for than were put.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tensordict import NonTensorData, NonTensorStack, TensorDict
from transfer_queue import KVBatchMeta


class Block:
    """One column of rows that were put together."""

    def __init__(self, keys: tuple[str, ...], column: Any) -> None:
        self.keys = keys
        self.column = column
        self._rows: Sequence[Any] | None = (
            None if isinstance(column, torch.Tensor) else list(column)
        )

    @property
    def rows(self) -> Sequence[Any]:
        if self._rows is None:
            self._rows = self.column.unbind(0)
        return self._rows

    def as_column(self) -> Any:
        if not isinstance(self.column, torch.Tensor | NonTensorStack):
            self.column = NonTensorStack(*self.column)
        return self.column


def column_of(rows: Sequence[Any]) -> Any:
    """Sequences nested, numbers stacked, anything else a list, as verl's queue returns them.

    Source: transfer_queue/storage/managers/simple_storage_manager.py:542-588.
    """
    if not all(isinstance(row, torch.Tensor) for row in rows):
        return [row.data if isinstance(row, NonTensorData) else row for row in rows]
    if rows[0].dim() == 0:
        return torch.stack(list(rows))
    return torch.nested.as_nested_tensor(list(rows), layout=torch.jagged)


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of rows with the same fields."""
    return {name: column_of([row[name] for row in rows]) for name in rows[0]}


def _kept(column: Any) -> Any:
    """Rows of one length by chance are nested like all others; wrappings are taken off."""
    if isinstance(column, torch.Tensor):
        return column if column.is_nested or column.dim() < 2 else column_of(column.unbind(0))
    return column if isinstance(column, list) else column.tolist()


class Partition:
    def __init__(self) -> None:
        self.tags: dict[str, dict[str, Any]] = {}
        self.where: dict[str, dict[str, tuple[Block, int]]] = defaultdict(dict)  # field, key

    def put(self, keys: tuple[str, ...], fields: Mapping[str, Any] | TensorDict) -> None:
        for name, column in fields.items():
            self._point(name, Block(keys, _kept(column)))

    def _point(self, field: str, block: Block) -> None:
        self.where[field].update((key, (block, i)) for i, key in enumerate(block.keys))

    def get(self, keys: tuple[str, ...], field: str) -> Any:
        places = [self.where[field][key] for key in keys]
        block = places[0][0]
        if block.keys != keys or any(place[0] is not block for place in places):
            block = Block(keys, column_of([each.rows[i] for each, i in places]))
            self._point(field, block)
        return block.as_column()

    def fields(self, keys: Sequence[str]) -> list[str]:
        """Those that every key has."""
        return [name for name, where in self.where.items() if all(key in where for key in keys)]

    def clear(self, keys: Sequence[str]) -> None:
        for column in (self.tags, *self.where.values()):
            for key in keys:
                column.pop(key, None)  # type: ignore[attr-defined]


class Table:
    def __init__(self) -> None:
        self.partitions: dict[str, Partition] = defaultdict(Partition)

    def put(
        self,
        keys: Sequence[str],
        partition_id: str,
        fields: Mapping[str, Any] | TensorDict | None = None,
        tags: Sequence[dict[str, Any]] | None = None,
    ) -> KVBatchMeta:
        """Adds rows, or columns and tags to rows that are there."""
        partition = self.partitions[partition_id]
        for key, tag in zip(keys, tags or [{}] * len(keys), strict=True):
            partition.tags[key] = {**partition.tags.get(key, {}), **tag}
        partition.put(tuple(keys), {} if fields is None else fields)
        return KVBatchMeta(
            keys=list(keys),
            tags=[partition.tags[key] for key in keys],
            partition_id=partition_id,
            fields=partition.fields(keys),
        )

    def get(
        self,
        keys: Sequence[str] | str,
        partition_id: str,
        select_fields: Sequence[str] | str | None = None,
    ) -> TensorDict:
        """A field that one of the rows lacks is left out; ValueError for a row that is missing."""
        keys = (keys,) if isinstance(keys, str) else tuple(keys)
        wanted = (select_fields,) if isinstance(select_fields, str) else select_fields
        partition = self.partitions[partition_id]
        if missing := [key for key in keys if key not in partition.tags]:
            raise ValueError(f"{len(missing)} of {len(keys)} rows are not there, as {missing[0]}")
        names = [name for name in partition.fields(keys) if wanted is None or name in wanted]
        columns = {name: partition.get(keys, name) for name in names}
        return TensorDict(columns, batch_size=len(keys))

    def take(self, keys: Sequence[str], partition_id: str) -> dict[str, torch.Tensor]:
        """The columns of tensors: a row's texts and answers are no worker's business."""
        keys, partition = tuple(keys), self.partitions[partition_id]
        blocks = {name: partition.where[name][keys[0]][0] for name in partition.fields(keys)}
        tensors = [name for name, block in blocks.items() if isinstance(block.column, torch.Tensor)]
        return {name: partition.get(keys, name) for name in tensors}

    def tags(self, partition_id: str | None = None) -> dict[str, dict[str, dict[str, Any]]]:
        names = list(self.partitions) if partition_id is None else [partition_id]
        return {name: self.partitions[name].tags for name in names if name in self.partitions}

    def clear(self, keys: Sequence[str] | str, partition_id: str) -> None:
        self.partitions[partition_id].clear([keys] if isinstance(keys, str) else keys)
