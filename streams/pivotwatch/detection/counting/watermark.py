"""The watermark of a partition: where its first open bucket begins, and when that bucket closes.

The watermark is the agreed time (`pivotwatch.detection.counting.event_time`) minus the allowed lateness. A
bucket closes when the watermark passes its end. Computing the agreed time takes longer than counting an
event, so it is computed only now and then: after a number of events behind the end of the first open bucket.

Until a bucket has closed, the begin of the stream is provisional: it moves back when the accounts agree on an
earlier time. So whoever sends the first events does not decide which of the others are late.
"""

from __future__ import annotations

from collections.abc import Iterable

from pivotwatch.detection.counting.event_time import QUORUM, AgreedTime, Quorum
from pivotwatch_models.method import STATE
from pivotwatch_models.settings import Settings

_TIME = STATE.event_time


class Watermark:
    """Decides where the first open bucket of a partition begins, and when it closes.

    Parameters
    ----------
    settings
        Length of a bucket and allowed lateness.
    quorum
        How many accounts and networks must agree on the time.

    Attributes
    ----------
    time
        The agreed time of the partition.
    first_open
        The first open bucket; None before the stream has begun.
    agreed
        The latest agreed time that closed a bucket, in epoch milliseconds.
    close_at
        The agreed time from which the first open bucket closes, in epoch milliseconds.
    has_closed
        Whether any bucket has closed.

    Examples
    --------
    Hour 100 is open. With 15 minutes of allowed lateness it closes when the time is 01:15 behind its start:

    >>> import numpy as np
    >>> watermark = Watermark(Settings(bucket="1h", allowed_lateness="15m"))
    >>> watermark.has_closed = True
    >>> watermark.open_from(100)
    >>> watermark.begin // 60_000, watermark.close_at // 60_000
    (6000, 6075)
    >>> watermark.time.add(np.array([7, 8, 9]), np.array([1, 2, 3]), np.array([6080, 6090, 6000]) * 60_000)
    >>> watermark.value() // 60_000
    6065
    """

    def __init__(self, settings: Settings, quorum: Quorum = QUORUM) -> None:
        self.width = settings.bucket_ms
        self.lateness = settings.allowed_lateness_ms
        self.time = AgreedTime(quorum)
        self.first_open: int | None = None
        self.agreed = 0
        self.close_at = 0
        self.has_closed = False
        self.waiting = 0
        """Events behind ``close_at`` since the agreed time was last computed for them."""

    @property
    def begin(self) -> int:
        """Start of the first open bucket in epoch milliseconds; 0 before the stream has begun."""
        return 0 if self.first_open is None else self.first_open * self.width

    @property
    def far_at(self) -> int:
        """Events from this time on are far ahead of the first open bucket, in epoch milliseconds."""
        return self.far_from(self.begin)

    def far_from(self, ts: int) -> int:
        """The time that is far ahead of ``ts``, in epoch milliseconds."""
        return ts + 2 * self.width + _TIME.far_ms

    def value(self) -> int:
        """The watermark in epoch milliseconds; 0 before there is one."""
        return max(0, self.agreed - self.lateness, (self.time.now() or 0) - self.lateness)

    def start(self, times: Iterable[int]) -> bool:
        """Let the stream begin near the middle of the times of its first events; False without events.

        Parameters
        ----------
        times
            Times of the events that are held. Others, which found no room, are known to the agreed time.
        """
        middle = self.time.middle()
        if middle is None:
            return False
        begin = min(middle)
        for ts in sorted((ts for ts in times if ts < begin), reverse=True):
            if not self._is_near(ts, begin):
                break
            begin = ts
        self.open_from((begin - self.lateness) // self.width)
        return True

    def begin_earlier(self, ts: int) -> bool:
        """Move the begin of the stream back to an event before it, when the others agree; returns whether.

        Nothing moves once a bucket has closed. The agreed time must know of the event.
        """
        middle = self.time.middle()
        if self.has_closed or middle is None or max(middle) >= self.begin:
            return False
        if not self.time.is_diverse and not self._is_near(ts, self.begin):
            return False
        begin = min(middle)
        if self._is_near(ts, begin):
            begin = min(begin, ts)
        self.open_from((begin - self.lateness) // self.width)
        return self.begin <= ts

    def _is_near(self, ts: int, other: int) -> bool:
        return abs(ts - other) <= self.far_from(0)

    def open_from(self, bucket: int) -> None:
        """Make ``bucket`` the first open one. The first of a stream closes a bucket later than the others."""
        self.first_open = bucket
        wait = 0 if self.has_closed else 1
        self.close_at = (bucket + 1 + wait) * self.width + self.lateness

    def is_due(self) -> bool:
        """Count an event behind ``close_at``; returns whether it is time to compute the agreed time."""
        self.waiting += 1
        if self.waiting < self.time.ask_after:
            return False
        self.waiting = 0
        return True

    def advance(self, *, must: bool = False) -> int | None:
        """The agreed time when it closes the first open bucket, else None.

        The first bucket of a stream closes on the word of one or two accounts only when it ``must``, because
        no more events can be held.
        """
        agreed, due = self.time.now(), self.close_at
        if not self.has_closed and not self.time.is_diverse:
            if not must:
                return None
            due -= self.width
        if agreed is None or agreed < due:
            return None
        if agreed >= due + self.width:  # A leap: more than one bucket would close.
            leap = self.time.leap()
            if leap is None or leap < due:
                return None
            agreed = min(agreed, leap)
        self.agreed = max(self.agreed, agreed)
        return agreed
