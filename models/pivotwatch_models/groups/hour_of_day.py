"""Requests of a group by hour of day, to see whether it rests at night."""

from __future__ import annotations

from array import array
from typing import Any, Self

from pivotwatch_models.method import STATE
from pivotwatch_models.settings import HOUR_MS

HOURS = 24
_METHOD = STATE.hour_of_day
_MOST_HALVINGS = 60
"""Enough to make any count 0."""


class HourOfDay:
    """Requests of a group by hour of day (UTC), halved once a fortnight.

    Buckets wider than an hour are ignored.

    Examples
    --------
    An office sends 100 requests an hour from 8 to 18, and one an hour at night:

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
        """Add a bucket that starts at ``start`` (epoch milliseconds) and is ``width`` milliseconds wide."""
        if width > HOUR_MS or not requests:
            return
        hour = start // HOUR_MS
        era = hour // _METHOD.halving_hours
        if not self._requests:
            self._requests, self._era, self._first = array("q", [0] * HOURS), era, hour
        if era > self._era:
            self._requests = array("q", [n >> min(era - self._era, _MOST_HALVINGS) for n in self._requests])
            self._era = era
        self._requests[hour % HOURS] += requests
        self._last = hour

    def quiet_share(self) -> float | None:
        """Share of requests in the quietest eight hours in a row; None before two days and 200 requests."""
        total = sum(self._requests)
        if total < _METHOD.least_requests or self._last - self._first < _METHOD.least_hours:
            return None
        twice = self._requests * 2
        return min(sum(twice[h : h + _METHOD.quiet_hours]) for h in range(HOURS)) / total

    def snapshot(self) -> list[Any]:
        """State, JSON-able."""
        return [self._era, self._first, self._last, self._requests.tolist()]

    @classmethod
    def restored(cls, state: list[Any]) -> Self:
        """Counts that continue exactly where `snapshot` was taken."""
        clock = cls()
        clock._era, clock._first, clock._last, requests = state
        clock._requests = array("q", requests)
        return clock
