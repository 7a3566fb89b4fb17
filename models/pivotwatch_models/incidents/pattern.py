"""The shape of a move: what tells a company's roll-out from extraction. For the severity alone.

None of these signs is evidence that a group moved; each is often honest. Together they say what a move
that was found looks like:

======== ================================================ ========================================
sign     roll-out                                         extraction
======== ================================================ ========================================
split    nearly all traffic: 3 of 4 blocks over 80 %      a part of it: 3 of 5 blocks between 20 and
                                                          80 %, and 1.5 times as often as others
sizes    as varied as those of others (ratio over 0.7)    alike (ratio of the spreads below 0.4)
hours    8 quiet hours have at most 12 % of the requests  at least 25 % (a third is round the clock)
======== ================================================ ========================================

The spread of the sizes is the standard deviation of ln(tokens per request) over members, against that over
everyone who used the model, the mean over input and output; a field without spread in the population tells
nothing.
"""

from __future__ import annotations

import dataclasses
import math
from array import array
from typing import Any, Literal, Self

from pivotwatch_models.base.counts import Block
from pivotwatch_models.groups.split_detector import DECILES
from pivotwatch_models.settings import HOUR_MS

Sign = Literal["roll-out", "extraction"]

LEAST_SPLITS = 8
WHOLE_FROM, PART_FROM, PART_BEFORE = 8, 2, 8
WHOLE_SHARE, PART_SHARE, PART_RATIO = 0.75, 0.6, 1.5
ALIKE, VARIED = 0.4, 0.7
LEAST_SPREAD = 0.05
SIZE_UNIT = 16
QUIET_HOURS, OFFICE_SHARE, CLOCK_SHARE = 8, 0.12, 0.25
LEAST_HOURLY, LEAST_HOURS = 200, 46
HOURS = 24


@dataclasses.dataclass(slots=True)
class Shape:
    """Splits and sizes of the blocks of accounts that use a model: sums of integers.

    Attributes
    ----------
    splits
        Blocks by the decile of their split, an account's first and second alike.
    sizes
        Per field (input, output): count, sum and sum of squares of 16 ln of the tokens per request.

    Examples
    --------
    >>> shape = Shape()
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

    def fold(self, other: Shape) -> None:
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
        return sum(self.splits[PART_FROM:PART_BEFORE]) / max(1, self.judged)

    @property
    def whole(self) -> float:
        """Share of them with nearly all."""
        return sum(self.splits[WHOLE_FROM:]) / max(1, self.judged)

    def spread(self, field: int) -> float | None:
        """Standard deviation of ln(tokens per request); None for fewer than eight values."""
        count, total, squares = self.sizes[field]
        if count < LEAST_SPLITS:
            return None
        return math.sqrt(max(0, count * squares - total * total)) / count / SIZE_UNIT

    def snapshot(self) -> list[Any]:
        """State, JSON-able."""
        return [self.splits, self.sizes]

    @classmethod
    def restored(cls, state: list[Any]) -> Self:
        """A shape that continues exactly where `snapshot` was taken."""
        splits, sizes = state
        return cls(list(splits), [list(sums) for sums in sizes])


@dataclasses.dataclass(frozen=True, slots=True)
class Pattern:
    """What a move looks like; None where the data do not tell.

    Attributes
    ----------
    judged
        Blocks of the members.
    part, whole, others_part
        Shares of the blocks (of everyone's) with a part, or nearly all, of the traffic.
    size_ratio
        Spread of the members' sizes over that of everyone's.
    quiet_share
        Share of the group's requests in the eight quietest hours of its day.
    """

    judged: int = 0
    part: float | None = None
    whole: float | None = None
    others_part: float | None = None
    size_ratio: float | None = None
    quiet_share: float | None = None

    @property
    def split(self) -> Sign | None:
        """What the splits say."""
        if self.part is None or self.whole is None or self.others_part is None:
            return None
        if self.whole >= WHOLE_SHARE:
            return "roll-out"
        return "extraction" if self.part >= max(PART_SHARE, PART_RATIO * self.others_part) else None

    @property
    def sizes(self) -> Sign | None:
        """What the sizes say."""
        if self.size_ratio is None or ALIKE < self.size_ratio < VARIED:
            return None
        return "roll-out" if self.size_ratio >= VARIED else "extraction"

    @property
    def hours(self) -> Sign | None:
        """What the hours say."""
        if self.quiet_share is None or OFFICE_SHARE < self.quiet_share < CLOCK_SHARE:
            return None
        return "roll-out" if self.quiet_share <= OFFICE_SHARE else "extraction"

    @property
    def name(self) -> Sign | None:
        """Two signs of one kind, the split among them for a roll-out, and none of the other kind.

        Examples
        --------
        >>> Pattern(40, part=0.9, whole=0.05, others_part=0.3, size_ratio=0.1).name
        'extraction'
        >>> Pattern(40, part=0.03, whole=0.97, others_part=0.3, quiet_share=0.04).name
        'roll-out'
        """
        signs = [self.split, self.sizes, self.hours]
        if self.split == "roll-out" and signs.count("roll-out") >= 2 and "extraction" not in signs:
            return "roll-out"
        return "extraction" if signs.count("extraction") >= 2 and "roll-out" not in signs else None

    @property
    def contradictory(self) -> bool:
        """Are there signs of both kinds?"""
        return {"roll-out", "extraction"} <= {self.split, self.sizes, self.hours}


def pattern(own: Shape, everyone: Shape, quiet_share: float | None) -> Pattern:
    """What a move looks like, against everyone who uses the model."""
    ratios = [
        mine / others
        for field in range(2)
        if (mine := own.spread(field)) is not None
        and (others := everyone.spread(field)) is not None
        and others >= LEAST_SPREAD
    ]
    size_ratio = sum(ratios) / len(ratios) if ratios else None
    if own.judged < LEAST_SPLITS:
        return Pattern(own.judged, size_ratio=size_ratio, quiet_share=quiet_share)
    return Pattern(own.judged, own.part, own.whole, everyone.part, size_ratio, quiet_share)


class HourOfDay:
    """Requests of a group by hour of day (UTC), halved every fortnight; wider buckets tell nothing.

    Examples
    --------
    >>> clock = HourOfDay()
    >>> for hour in range(48):
    ...     clock.add(hour * HOUR_MS, HOUR_MS, 100 if 8 <= hour % 24 < 18 else 1)
    >>> round(clock.quiet_share(), 3)
    0.008
    """

    __slots__ = ("_era", "_first", "_last", "_requests")

    def __init__(self) -> None:
        self._requests = array("q")
        self._era = self._first = self._last = 0

    def add(self, start: int, width: int, requests: int) -> None:
        """Take a bucket that starts at ``start``; milliseconds."""
        if width > HOUR_MS or not requests:
            return
        hour = start // HOUR_MS
        era = hour // (14 * HOURS)
        if not self._requests:
            self._requests, self._era, self._first = array("q", [0] * HOURS), era, hour
        if era > self._era:
            self._requests = array("q", [n >> min(era - self._era, 60) for n in self._requests])
            self._era = era
        self._requests[hour % HOURS] += requests
        self._last = hour

    def quiet_share(self) -> float | None:
        """Share of the requests in the quietest eight hours on end; None before two days and 200 requests."""
        total = sum(self._requests)
        if total < LEAST_HOURLY or self._last - self._first < LEAST_HOURS:
            return None
        twice = self._requests * 2
        return min(sum(twice[h : h + QUIET_HOURS]) for h in range(HOURS)) / total

    def snapshot(self) -> list[Any]:
        """State, JSON-able."""
        return [self._era, self._first, self._last, self._requests.tolist()]

    @classmethod
    def restored(cls, state: list[Any]) -> Self:
        """A clock that continues exactly where `snapshot` was taken."""
        clock = cls()
        clock._era, clock._first, clock._last, requests = state
        clock._requests = array("q", requests)
        return clock
