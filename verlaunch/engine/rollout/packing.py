"""Rows on their way to another process: nested tensors as plain arrays.

    packed(column)                     # Packed(values, offsets), cheap to pickle
    unpacked(packed(column))           # the same column
    Rows({"input_ids": column}, {"temperature": 1.0}, 8).chunk(2)   # each arrives as a TensorDict

verl cuts a batch for its ranks tensor by tensor and row by row (utils/tensordict_utils.py:302) and
pickles each tensor by itself: 15 ms for 128 short rows, five times a step. Here a column is cut by
its offsets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from verl.protocol import DataProtoFuture
from verl.utils import tensordict_utils as tu

from verlaunch.engine.rollout.table import column_of


@dataclass(frozen=True)
class Packed:
    """values: (tokens,), all rows one after the other; offsets: (rows + 1,), where each begins.
    Without offsets a row is one value."""

    values: Any
    offsets: np.ndarray | None


def _array(tensor: torch.Tensor) -> Any:
    """numpy has no bfloat16."""
    return tensor if tensor.dtype is torch.bfloat16 else tensor.detach().cpu().numpy()


def _tensor(array: Any) -> torch.Tensor:
    """Ray's arrays are views of memory that nobody may write to."""
    return array if isinstance(array, torch.Tensor) else torch.from_numpy(array.copy())


def _is_flat(column: Any) -> bool:
    """Whether `Packed` can hold it: rows of numbers, not of vectors."""
    if not isinstance(column, torch.Tensor):
        return False
    return column.dim() == 2 if column.is_nested else column.dim() == 1


def packed(column: Any) -> Any:
    """What is no flat tensor stays what it is."""
    if not _is_flat(column):
        return column
    if not column.is_nested:
        return Packed(_array(column), None)
    column = column.contiguous()
    return Packed(_array(column.values()), _array(column.offsets()))


def unpacked(column: Any) -> Any:
    if not isinstance(column, Packed):
        return column
    values = _tensor(column.values)
    if column.offsets is None:
        return values
    lengths = np.diff(column.offsets)
    return torch.nested.nested_tensor_from_jagged(
        values,
        _tensor(column.offsets),
        # Left out, padding takes all tokens of the batch for the longest row.
        min_seqlen=int(lengths.min()),
        max_seqlen=int(lengths.max()),
    )


def _part(column: Any, first: int, last: int) -> Any:
    """Rows first to last - 1."""
    if not isinstance(column, Packed):
        return column_of(column.unbind(0)[first:last])
    if column.offsets is None:
        return Packed(column.values[first:last], None)
    offsets = column.offsets[first : last + 1]
    return Packed(column.values[offsets[0] : offsets[-1]], offsets - offsets[0])


def _arrived(columns: Mapping[str, Any], info: Mapping[str, Any], rows: int) -> TensorDict:
    data = TensorDict({name: unpacked(column) for name, column in columns.items()}, rows)
    tu.assign_non_tensor(data, **info)
    return data


class Share:
    """A rank's rows. Whoever unpickles it gets a TensorDict."""

    def __init__(self, columns: Mapping[str, Any], info: Mapping[str, Any], rows: int) -> None:
        self.arguments = (dict(columns), dict(info), rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, self.arguments


class Rows(DataProtoFuture):
    """A batch for the ranks. verl asks everything of this type for its chunks (protocol.py:1288).

    info: what holds for the whole batch. Raises ValueError where the ranks do not divide the rows.
    """

    def __init__(
        self, columns: Mapping[str, torch.Tensor], info: Mapping[str, Any], rows: int
    ) -> None:
        self.columns = columns
        self.info = info
        self.rows = rows

    def chunk(self, chunks: int) -> list[Any]:
        if self.rows % chunks:
            raise ValueError(f"{self.rows} rows cannot be shared by {chunks} ranks")
        size = self.rows // chunks
        flat = {name: packed(column) for name, column in self.columns.items()}
        shares = []
        for first in range(0, self.rows, size):
            cut = {name: _part(column, first, first + size) for name, column in flat.items()}
            shares.append(Share(cut, self.info, size))
        return shares
