"""Whose turn it is: several partitions of others go on together in event time.

A partition of ``requests`` closes its buckets by the highest time that it has seen. So if of a backlog
one partition of others were read to its end and then the next one, all of the second would be late.
Here whoever is ahead waits for those that are behind and have more to come, in one worker; a partition
that is at its end keeps nobody waiting, and neither does one from which nothing comes for a while.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable

from faust.types import TP

from pivotwatch.contracts.records import InputRecord


class EventTimeMerge:
    """Records that are fetched and not taken, by partition.

    Parameters
    ----------
    slack_ms
        How far in event time a partition may go ahead of the others.
    has_more
        Will a partition of which nothing is here send more?

    Examples
    --------
    >>> a, b = TP("log", 0), TP("log", 1)
    >>> backlog = EventTimeMerge(slack_ms=1000, has_more=lambda tp: True)
    >>> backlog.place([a, b])
    >>> backlog.add(a, [1, 2, 3])  # Stand for records.
    >>> backlog.turn()  # As far as one record: nothing is known of b.
    (TP(topic='log', partition=0), -inf)
    >>> backlog.take(a), backlog.passed(a, 50_000), backlog.turn()
    (1, 50000, None)
    >>> backlog.add(b, [7])
    >>> backlog.turn()
    (TP(topic='log', partition=1), 51000)
    """

    def __init__(self, slack_ms: int, has_more: Callable[[TP], bool]) -> None:
        self._slack = slack_ms
        self._has_more = has_more
        self._queues: dict[TP, deque[InputRecord]] = {}
        self._fronts: dict[TP, float] = {}
        self._silent: set[TP] = set()

    def place(self, tps: Iterable[TP]) -> None:
        """These partitions are read from now on, from where they are: what is here comes again."""
        self._queues = {tp: deque() for tp in tps}
        self._silent.clear()

    def clear(self) -> None:
        """No partition is ours any more."""
        self.place(())
        self._fronts.clear()

    def add(self, tp: TP, records: Iterable[InputRecord]) -> None:
        """Records have come."""
        self._queues[tp].extend(records)
        self._silent.discard(tp)

    def turn(self) -> tuple[TP, float] | None:
        """The partition furthest behind, and the event time that it may go past by one record."""
        here = [tp for tp, queue in self._queues.items() if queue]
        if not here:
            return None
        tp = min(here, key=lambda tp: (self._front(tp), tp))
        others = [other for other in (*here, *self.awaited()) if other != tp]
        limit = min(map(self._front, others), default=math.inf) + self._slack
        return (tp, limit) if self._front(tp) <= limit else None

    def take(self, tp: TP) -> InputRecord:
        """The next record of a partition."""
        return self._queues[tp].popleft()

    def left(self, tp: TP) -> bool:
        """Is a record of a partition here?"""
        return bool(self._queues.get(tp))

    def passed(self, tp: TP, time_ms: float) -> float:
        """An event of this time went on; where the partition is now."""
        front = self._fronts[tp] = max(time_ms, self._front(tp))
        return front

    def awaited(self) -> list[TP]:
        """Partitions of which nothing is here, but more will come."""
        return [
            tp
            for tp, queue in self._queues.items()
            if not queue and tp not in self._silent and self._has_more(tp)
        ]

    def give_up(self) -> list[TP]:
        """Wait no longer for those that are awaited, until something comes from them."""
        silent = self.awaited()
        self._silent.update(silent)
        return silent

    def held(self) -> frozenset[TP]:
        """Partitions that are ahead: nothing more of them is needed now."""
        return frozenset(tp for tp, queue in self._queues.items() if queue)

    def _front(self, tp: TP) -> float:
        return self._fronts.get(tp, -math.inf)
