"""What moves look like: how accounts split their traffic, and how large their requests are."""

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
    """Sums over the blocks of accounts that use a model; all are integers.

    Attributes
    ----------
    splits
        Number of blocks by decile of their split, first and second blocks alike.
    sizes
        For input and output tokens: count, sum and sum of squares of 16 ln(tokens per request).

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
        """Add a block."""
        self.splits[block.split] += 1
        for sums, size in zip(self.sizes, block.sizes, strict=True):
            if size >= 0:
                sums[0] += 1
                sums[1] += size
                sums[2] += size * size

    def fold(self, other: MoveShape) -> None:
        """Add the sums of another."""
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
        """Share of blocks with a part of the traffic: a split in deciles 2 to 7."""
        return sum(self.splits[_PART_FROM:_PART_BEFORE]) / max(1, self.judged)

    @property
    def whole(self) -> float:
        """Share of blocks with nearly all of the traffic: a split in deciles 8 and 9."""
        return sum(self.splits[_PART_BEFORE:]) / max(1, self.judged)

    def spread(self, field: int) -> float | None:
        """Standard deviation of ln(tokens per request), field 0 (input) or 1 (output); None below 8."""
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
