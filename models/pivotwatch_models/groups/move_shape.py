"""The shape of a move: sums over the splits and sizes of the accounts that use a model."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Self

from pivotwatch_models.accounts.split_blocks import DECILES
from pivotwatch_models.base.counts import Block
from pivotwatch_models.method import DECISION, STATE

_PATTERN = DECISION.pattern
_PART_FROM, _PART_BEFORE = _PATTERN.part_deciles
_SIZE_STEPS = STATE.split_blocks.size_steps


@dataclasses.dataclass(slots=True)
class MoveShape:
    """Splits and sizes of the blocks of accounts that use a model: sums of integers.

    Attributes
    ----------
    splits
        Blocks by the decile of their split, an account's first and second alike.
    sizes
        Per field (input, output): count, sum and sum of squares of 16 ln of the tokens per request.

    Examples
    --------
    >>> shape = MoveShape()
    >>> for split in (4, 5, 9, 5, 3, 5, 9, 5):
    ...     shape.add(Block("a", (), False, False, split, (100 + split, -1)))
    >>> shape.judged, round(shape.part, 2), round(shape.spread(0), 2), shape.spread(1)
    (8, 0.75, 0.13, None)
    """

    splits: list[int] = dataclasses.field(default_factory=lambda: [0] * DECILES)
    sizes: list[list[int]] = dataclasses.field(default_factory=lambda: [[0, 0, 0], [0, 0, 0]])

    def add(self, block: Block) -> None:
        """Take a block."""
        self.splits[block.split] += 1
        for sums, size in zip(self.sizes, block.sizes, strict=True):
            if size >= 0:
                sums[0] += 1
                sums[1] += size
                sums[2] += size * size

    def fold(self, other: MoveShape) -> None:
        """Add another."""
        self.splits = [a + b for a, b in zip(self.splits, other.splits, strict=True)]
        self.sizes = [
            [a + b for a, b in zip(own, more, strict=True)]
            for own, more in zip(self.sizes, other.sizes, strict=True)
        ]

    @property
    def judged(self) -> int:
        """Number of blocks."""
        return sum(self.splits)

    @property
    def part(self) -> float:
        """Share of them with a part of the traffic."""
        return sum(self.splits[_PART_FROM:_PART_BEFORE]) / max(1, self.judged)

    @property
    def whole(self) -> float:
        """Share of them with nearly all."""
        return sum(self.splits[_PART_BEFORE:]) / max(1, self.judged)

    def spread(self, field: int) -> float | None:
        """Standard deviation of ln(tokens per request); None for fewer than eight values."""
        count, total, squares = self.sizes[field]
        if count < _PATTERN.least_blocks:
            return None
        return math.sqrt(max(0, count * squares - total * total)) / count / _SIZE_STEPS

    def snapshot(self) -> list[Any]:
        """State, JSON-able."""
        return [self.splits, self.sizes]

    @classmethod
    def restored(cls, state: list[Any]) -> Self:
        """A shape that continues exactly where `snapshot` was taken."""
        splits, sizes = state
        return cls(list(splits), [list(sums) for sums in sizes])
