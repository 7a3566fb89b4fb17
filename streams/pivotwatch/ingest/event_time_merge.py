"""Merges several source partitions by event time.

A partition of ``requests`` closes a bucket when the time on which several of its accounts and networks agree,
minus the allowed lateness, passes the end of the bucket. If a worker read one source partition to its end
before the next one, all events of the next one would be late.
So the partition that is furthest behind in event time comes first, and partitions that are ahead wait.
A partition does not wait for one that is at its end, nor for one that has sent nothing for a while.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable

from pivotwatch.contracts.records import InputRecord
from pivotwatch.engine.types import TP


class EventTimeMerge:
    """Buffers the fetched records of each source partition, and chooses the partition to read next.

    Parameters
    ----------
    slack_ms
        How far in event time a partition may be ahead of the others, in milliseconds.
    has_more
        Returns whether a partition without buffered records will send more.

    Examples
    --------
    >>> a, b = TP("log", 0), TP("log", 1)
    >>> merge = EventTimeMerge(slack_ms=1000, has_more=lambda tp: True)
    >>> merge.assign([a, b])
    >>> merge.add(a, [1, 2, 3])  # Numbers stand for records.
    >>> merge.next_partition()  # Nothing is known of b, so one record may be read.
    (TP(topic='log', partition=0), -inf)
    >>> merge.pop(a), merge.advance(a, 50_000), merge.next_partition()
    (1, 50000, None)
    >>> merge.add(b, [7])
    >>> merge.next_partition()
    (TP(topic='log', partition=1), 51000)
    """

    def __init__(self, slack_ms: int, has_more: Callable[[TP], bool]) -> None:
        self._slack = slack_ms
        self._has_more = has_more
        self._queues: dict[TP, deque[InputRecord]] = {}
        self._event_times: dict[TP, float] = {}
        self._silent: set[TP] = set()

    def assign(self, tps: Iterable[TP]) -> None:
        """Start with these partitions, without buffered records."""
        self._queues = {tp: deque() for tp in tps}
        self._silent.clear()

    def clear(self) -> None:
        """End the assignment, and forget the event times of all partitions."""
        self.assign(())
        self._event_times.clear()

    def add(self, tp: TP, records: Iterable[InputRecord]) -> None:
        """Buffer records of a partition."""
        self._queues[tp].extend(records)
        self._silent.discard(tp)

    def next_partition(self) -> tuple[TP, float] | None:
        """The buffered partition that is furthest behind, and its limit; None when all must wait.

        The partition may be read until one record has passed the limit (event time in milliseconds).
        """
        buffered = self.buffered()
        if not buffered:
            return None
        tp = min(buffered, key=lambda tp: (self._event_time(tp), tp))
        others = [other for other in (*buffered, *self.awaited()) if other != tp]
        limit = min(map(self._event_time, others), default=math.inf) + self._slack
        return (tp, limit) if self._event_time(tp) <= limit else None

    def pop(self, tp: TP) -> InputRecord:
        """Remove and return the next record of a partition."""
        return self._queues[tp].popleft()

    def has_records(self, tp: TP) -> bool:
        """Whether records of a partition are buffered."""
        return bool(self._queues.get(tp))

    def advance(self, tp: TP, time_ms: float) -> float:
        """Raise the event time of a partition to that of an event, and return it."""
        event_time = self._event_times[tp] = max(time_ms, self._event_time(tp))
        return event_time

    def awaited(self) -> list[TP]:
        """The partitions without buffered records that will send more."""
        return [
            tp
            for tp, queue in self._queues.items()
            if not queue and tp not in self._silent and self._has_more(tp)
        ]

    def stop_waiting(self) -> list[TP]:
        """Stop waiting for the awaited partitions, until they send something; returns them."""
        silent = self.awaited()
        self._silent.update(silent)
        return silent

    def buffered(self) -> frozenset[TP]:
        """The partitions with buffered records, of which no more records are needed now."""
        return frozenset(tp for tp, queue in self._queues.items() if queue)

    def _event_time(self, tp: TP) -> float:
        return self._event_times.get(tp, -math.inf)
