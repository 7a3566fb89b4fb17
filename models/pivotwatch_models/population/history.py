"""The population over time: traffic and first uses of everyone, one row per scored bucket."""

from __future__ import annotations

import bisect
import operator
from typing import Any, NamedTuple, Self

from pivotwatch_models.base.counts import NO_TRAFFIC, Traffic
from pivotwatch_models.population.data_sufficiency import advised_width

_bucket = operator.attrgetter("bucket")


class BucketTotals(NamedTuple):
    """Everyone in one bucket.

    Attributes
    ----------
    bucket
        Index of the bucket.
    traffic
        Requests and tokens of everyone.
    first_uses
        Accounts that used the model for the first time.
    at_risk
        Active accounts that had not used the model before.
    """

    bucket: int
    traffic: Traffic
    first_uses: int
    at_risk: int


class PopulationHistory:
    """The scored buckets of one watch, in the order of time.

    Examples
    --------
    >>> history = PopulationHistory()
    >>> history.append(BucketTotals(7, Traffic(100, 10, 10), first_uses=4, at_risk=50))
    >>> history.append(BucketTotals(9, Traffic(100, 30, 30), first_uses=2, at_risk=46))
    >>> history.first_uses_per_bucket, history.between(8, 10).chosen
    (2.0, 30)
    >>> history.append_late(10, Traffic(5, 5, 5))
    >>> history.append(BucketTotals(10, Traffic(100, 20, 20), first_uses=1, at_risk=40))
    >>> history.between(10, 11).requests, history.last.first_uses
    (105, 1)
    """

    def __init__(self) -> None:
        self._rows: list[BucketTotals] = []

    def append(self, row: BucketTotals) -> None:
        """Add the totals of the bucket that was scored last, to what came late in it."""
        if (last := self.last) and last.bucket == row.bucket:
            uses, at_risk = last.first_uses + row.first_uses, last.at_risk + row.at_risk
            self._rows[-1] = BucketTotals(row.bucket, last.traffic + row.traffic, uses, at_risk)
        else:
            self._rows.append(row)

    def append_late(self, bucket: int, traffic: Traffic) -> None:
        """Add traffic that came late, to the bucket in which it came, before that one is scored.

        The timelines of groups have it there too, so a group never has more than everyone.
        """
        self.append(BucketTotals(bucket, traffic, first_uses=0, at_risk=0))

    @property
    def last(self) -> BucketTotals | None:
        """The totals of the last scored bucket; None before the first."""
        return self._rows[-1] if self._rows else None

    @property
    def first_uses_per_bucket(self) -> float:
        """Mean first uses of everyone per bucket since the watch began."""
        return self._first_uses() / max(1, self._length())

    def advised_width(self, width_ms: int) -> int | None:
        """A wider bucket, in milliseconds, when the data are too sparse for this width; else None."""
        return advised_width(self._first_uses(), self._length(), width_ms)

    def since(self, bucket: int) -> tuple[Traffic, list[tuple[int, int]]]:
        """Traffic of everyone since a bucket, and (bucket, first uses) of each bucket since."""
        rows = [row for row in self._rows if row.bucket >= bucket]
        return sum((row.traffic for row in rows), NO_TRAFFIC), [(row.bucket, row.first_uses) for row in rows]

    def between(self, start: int, end: int) -> Traffic:
        """Traffic of everyone in the buckets from ``start`` to before ``end``."""
        first = bisect.bisect_left(self._rows, start, key=_bucket)
        last = bisect.bisect_left(self._rows, end, lo=first, key=_bucket)
        return sum((row.traffic for row in self._rows[first:last]), NO_TRAFFIC)

    def _first_uses(self) -> int:
        return sum(row.first_uses for row in self._rows)

    def _length(self) -> int:
        """Buckets from the first to the last scored one."""
        return self._rows[-1].bucket - self._rows[0].bucket + 1 if self._rows else 0

    def snapshot(self) -> list[list[int]]:
        """State, JSON-able."""
        return [[b, *traffic.row(), *rest] for b, traffic, *rest in self._rows]

    @classmethod
    def restored(cls, state: list[list[Any]]) -> Self:
        """A history that continues exactly where `snapshot` was taken."""
        history = cls()
        history._rows = [BucketTotals(b, Traffic(*t), uses, risk) for b, *t, uses, risk in state]
        return history
