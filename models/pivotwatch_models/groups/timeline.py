"""Requests and events of a group over time, for a person to look at, in bounded space.

While nothing happens, the last 48 buckets are kept, in steps of eight. From the onset of an excursion on,
every bucket is kept. When there are too many rows, neighbours are joined, two at a time, on a grid of powers
of two that starts at bucket 0. So what is kept follows from the buckets alone, not from when the state was
saved.

A group has at most 96 rows of six numbers: 0.4 KB while it is quiet, 4.6 KB in a long excursion.
"""

from __future__ import annotations

import dataclasses
from array import array
from typing import Any, Self

from pivotwatch_models.method import STATE

_TIMELINE = STATE.timeline
LEAD = _TIMELINE.lead
WIDTH = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """The buckets [start, end) of one group.

    Attributes
    ----------
    requests, chosen
        Requests, and those that chose the model.
    seen, expected
        Observed and expected events, both types together.
    """

    start: int
    end: int
    requests: int
    chosen: int
    seen: int
    expected: float


class Timeline:
    """The rows of one group.

    Attributes
    ----------
    incident_open
        Whether an incident is open, so that every bucket is kept though the excursion is over.

    Examples
    --------
    An excursion begins in bucket 117. Earlier buckets are kept in steps of eight:

    >>> timeline = Timeline()
    >>> for bucket in range(98, 120):
    ...     timeline.add(Row(bucket, bucket + 1, 10, 0, 0, 0.1), moving=bucket >= 117)
    >>> [(row.start, row.end) for row in timeline.rows()]
    [(98, 104), (104, 112), (112, 117), (117, 118), (118, 119), (119, 120)]
    """

    __slots__ = ("_numbers", "_step", "incident_open")

    def __init__(self) -> None:
        self._numbers = array("d")
        self._step = 0  # Buckets per row of the excursion; 0 while the group is quiet.
        self.incident_open = False

    def add(self, row: Row, *, moving: bool) -> None:
        """Add one bucket; ``moving`` says whether the excursion goes on."""
        if moving or self.incident_open:
            self._append(row, self._step)
            self._step = self._step or 1
            while len(self._numbers) > _TIMELINE.most * WIDTH:
                self._step *= 2
                self._fold(self._step)
            return
        if self._step:
            self._step = 0
            self._fold(_TIMELINE.lead_step)
        self._append(row, _TIMELINE.lead_step)
        while self._numbers[1] <= row.end - LEAD:
            del self._numbers[:WIDTH]

    def rows(self) -> list[Row]:
        """The rows in the order of time."""
        n = self._numbers
        return [
            Row(int(n[i]), int(n[i + 1]), int(n[i + 2]), int(n[i + 3]), int(n[i + 4]), n[i + 5])
            for i in range(0, len(n), WIDTH)
        ]

    def _fold(self, step: int) -> None:
        rows = self.rows()
        self._numbers = array("d")
        for row in rows:
            self._append(row, step)

    def _append(self, row: Row, step: int) -> None:
        """Join the row to the last one when both start in the same cell of the grid, else append it."""
        n = self._numbers
        if step and n and int(n[-WIDTH]) // step == row.start // step:
            n[1 - WIDTH] = row.end
            n[2 - WIDTH] += row.requests
            n[3 - WIDTH] += row.chosen
            n[4 - WIDTH] += row.seen
            n[5 - WIDTH] += row.expected
        else:
            n.extend((row.start, row.end, row.requests, row.chosen, row.seen, row.expected))

    def snapshot(self) -> list[Any]:
        """State, JSON-able."""
        return [self.incident_open, self._step, self._numbers.tolist()]

    @classmethod
    def restored(cls, state: list[Any]) -> Self:
        """A timeline that continues exactly where `snapshot` was taken."""
        timeline = cls()
        timeline.incident_open, timeline._step, numbers = state
        timeline._numbers = array("d", numbers)
        return timeline
