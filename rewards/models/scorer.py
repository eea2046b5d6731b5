"""What every way to run a reward model offers: token ids in, the raw number of its head out.

Text never crosses here, so a model is always given what its own tokenizer and template make.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Encoded:
    """One conversation for one model. gate: where a gated model reads its prompt."""

    input_ids: list[int]
    token_type_ids: list[int] | None = None
    truncated: bool = False
    gate: int | None = None


class Scorer(Protocol):
    async def start(self) -> None:
        """Loads. Raises CannotStart."""

    async def score(self, encoded: Encoded) -> float:
        """Raw and unscaled, not squeezed by any activation. Raises Failure."""
        ...

    def curves(self) -> dict[str, float]:
        """What only the scorer knows, such as the mean size of its batches."""
        return {}

    async def close(self) -> None: ...
