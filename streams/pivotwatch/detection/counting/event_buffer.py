"""Rows of events that are not yet part of the counts. The hot path writes them, `gather` counts them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pivotwatch.contracts.events import Request, parse_time
from pivotwatch.detection.counting.aggregates import EVENT, NO_DATE
from pivotwatch.detection.counting.dictionary import Dictionary
from pivotwatch.detection.counting.event_time import AgreedTime
from pivotwatch.detection.counting.open_counts import OpenCounts
from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.method import STATE

CAPACITY = 8192
"""Number of events that are counted together."""
COLUMNS = EVENT.size // 8
_OPEN_SIZE = STATE.group_bounds.open_size


class EventBuffer:
    """Rows of events in offset order, each as `EVENT` packs it. Late events have a buffer of their own.

    Parameters
    ----------
    dictionary
        Numbers the names of events.
    counts
        Receives the rows.
    time
        Learns the time of each event that is not late.
    bound
        Bounds the links of the open buckets.

    Attributes
    ----------
    rows
        Room for the rows. The hot path writes into it.
    used
        Number of bytes of ``rows`` that hold events.
    end
        Number of bytes of ``rows`` at which the buffer is full. Then `fill` is due.
    """

    def __init__(
        self, dictionary: Dictionary, counts: OpenCounts, time: AgreedTime, bound: Callable[[], None]
    ) -> None:
        self.bound = bound
        self.rows = bytearray(CAPACITY * EVENT.size)
        self.used = 0
        self.end = len(self.rows)
        self._dictionary, self._counts, self._time = dictionary, counts, time
        self._timed = 0  # Bytes of events whose times the agreed time knows.
        self._late = bytearray()

    def __len__(self) -> int:
        """Number of events in the buffer."""
        return (self.used + len(self._late)) // EVENT.size

    def add(self, event: Request, ts: int) -> None:
        """Add an event with its time in epoch milliseconds. Its names may be new."""
        self._write(event, ts)
        self._fill_when_full()

    def add_held(self, event: Request, ts: int) -> None:
        """Add an event that was held: the agreed time has known of it since then."""
        self._write(event, ts)
        self._timed = self.used
        self._fill_when_full()

    def add_late(self, event: Request, ts: int) -> None:
        """Add a late event. It does not move the agreed time."""
        self._late += EVENT.pack(*self._row(event, ts))
        self.end -= EVENT.size
        self._fill_when_full()

    def renew(self) -> None:
        """Set ``end`` again, after the counts have changed: at the next whole number of `CAPACITY` events.

        So when links are bounded depends on the events alone, not on when the buffer was emptied.
        """
        events = self._counts.requests() + len(self)
        self.end = min(len(self.rows), self.used + (CAPACITY - events % CAPACITY) * EVENT.size)

    def fill(self) -> None:
        """Count what is in the buffer, and bound the links of the open buckets."""
        self.gather()
        names = self._dictionary
        if max(names.link_size, names.network_size, names.choice_size) > _OPEN_SIZE:
            self.bound()
        self.renew()

    def gather(self) -> None:
        """Count what is in the buffer, and empty it."""
        if self._late:
            late, self._late = self._late, bytearray()
            self._counts.add(np.frombuffer(late, np.int64).reshape(-1, COLUMNS))
        if not self.used:
            return
        self.update_time()
        rows = self._events()
        self.end -= self.used
        self.used = self._timed = 0
        self._counts.add(rows)

    def update_time(self) -> None:
        """Tell the agreed time of the events that came since the last call."""
        events = self._events()[self._timed // EVENT.size :]
        if len(events):
            self._time.add(events[:, 1], events[:, 3], events[:, 0])
        self._timed = self.used

    def _events(self) -> Ints:
        return np.frombuffer(self.rows, np.int64, self.used // 8).reshape(-1, COLUMNS)

    def _write(self, event: Request, ts: int) -> None:
        EVENT.pack_into(self.rows, self.used, *self._row(event, ts))
        self.used += EVENT.size

    def _fill_when_full(self) -> None:
        if self.used == self.end:
            self.fill()

    def _row(self, event: Request, ts: int) -> tuple[int, ...]:
        names, created = self._dictionary, event.account_created
        return (
            ts,
            names.accounts.row(event.account),
            names.choice(event.model, event.requested_model),
            names.network(event.network, event.ip),
            names.link(bytes(event.links)),
            NO_DATE if created is None else parse_time(created),
            event.input_tokens or 0,
            event.output_tokens or 0,
            event.tools or 0,
        )
