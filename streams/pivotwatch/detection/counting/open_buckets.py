"""The open buckets of a partition: what happens to each event, and when a bucket closes.

What happens to an event depends on its time alone:

* An event of an open bucket is counted.
* An event far ahead of the first open bucket is *held* until the other accounts reach its time. When they do
  not, it becomes a dead letter. Before the stream has begun, every event is held.
* An event of a closed bucket is *late*. It is counted with its own bucket when the next bucket closes, and
  does not move the agreed time.
* A failed request is not counted.

A bucket closes when the watermark passes its end (`pivotwatch.detection.counting.watermark`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pivotwatch.contracts.codec import MAX_TS
from pivotwatch.contracts.events import BadEvent, Request, written
from pivotwatch.contracts.records import InputRecord
from pivotwatch.detection.counting.aggregates import Cells
from pivotwatch.detection.counting.choice_bound import drop_choices
from pivotwatch.detection.counting.dictionary import Dictionary, groups_of
from pivotwatch.detection.counting.event_buffer import EventBuffer
from pivotwatch.detection.counting.event_counters import EventCounters
from pivotwatch.detection.counting.event_time import QUORUM, Quorum
from pivotwatch.detection.counting.held_events import Held, HeldEvents
from pivotwatch.detection.counting.link_bound import drop_links
from pivotwatch.detection.counting.network_bound import drop_networks
from pivotwatch.detection.counting.open_counts import OpenCounts
from pivotwatch.detection.counting.rejected_events import OnBad, RejectedEvents
from pivotwatch.detection.counting.watermark import Watermark
from pivotwatch_models.method import STATE
from pivotwatch_models.settings import HOUR_MS, Settings

TOO_LATE = 0
"""The bucket of events that came too late to be counted with theirs. No stream is of 1970."""


class OpenBuckets:
    """The open buckets of one partition.

    Parameters
    ----------
    settings
        Length of a bucket and allowed lateness.
    dictionary
        Numbers the names of events.
    on_close
        Called for each bucket that closes, in order: with the bucket, the first bucket that this closing
        completes (earlier ones without events are not called for), and the counts.
    on_late
        Called for each closed bucket of which events came late, in order, before ``on_close``: with the
        bucket and the late counts.
    on_bad
        Called for each dead letter of rejected events (`RejectedEvents`).
    quorum
        How many accounts and networks must agree on the time.

    Attributes
    ----------
    watermark
        Decides which bucket is open first, and when it closes.
    counts, buffer
        Counts by bucket, and the events that are not yet part of them.
    held
        The events that are held.
    links_dropped
        Whether links were dropped from counts since this was set to False.
    rejected
        Reports the events that are rejected.
    counters
        Late, invalid and failed events since the last close.
    """

    def __init__(
        self,
        settings: Settings,
        dictionary: Dictionary,
        on_close: Callable[[int, int, Cells], None],
        on_late: Callable[[int, Cells], None],
        on_bad: OnBad,
        *,
        quorum: Quorum = QUORUM,
    ) -> None:
        self.dictionary = dictionary
        self.watermark = Watermark(settings, quorum)
        self.counts = OpenCounts(settings.bucket_ms)
        self.buffer = EventBuffer(dictionary, self.counts, self.watermark.time, self._bound_links)
        self.held = HeldEvents()
        self.rejected = RejectedEvents(on_bad)
        self.counters = EventCounters()
        self.links_dropped = False
        self._on_close, self._on_late, self._on_bad = on_close, on_late, on_bad

    def take(self, event: Request, ts: int, record: InputRecord, place: int | None) -> None:
        """Hold, count or leave out one valid event.

        Parameters
        ----------
        event, ts
            The event, and its time in epoch milliseconds.
        record, place
            The record that it came in, and its position when that holds an array.
        """
        watermark = self.watermark
        self.rejected.enter(record)
        if watermark.first_open is None or ts >= watermark.far_at:
            self._hold(event, ts, record, place)
        elif _is_failed(event):
            self.counters.failed += 1
        elif ts < watermark.begin:
            if watermark.has_closed or not self._begin_earlier(event, ts):
                self._count_late(event, ts)
        else:
            self.buffer.add(event, ts)
            if ts >= watermark.close_at and watermark.is_due():
                self._advance()

    def reject(self, record: InputRecord, place: int | None, error: BadEvent) -> None:
        """Count an event as invalid and report it: its record, its position in an array, and the reason."""
        self.counters.invalid += 1
        self.rejected.add(record, place, error)

    def start(self) -> None:
        """Let the stream begin with the events that are held, unless it has begun."""
        watermark = self.watermark
        if watermark.first_open is None and watermark.start(held.ts for held in self.held):
            self._count_held(watermark.far_at)

    def close_before(self, bucket: int) -> None:
        """Close every open bucket before ``bucket``. Those without events have no counts to close."""
        watermark = self.watermark
        if watermark.first_open is None or bucket <= watermark.first_open:
            return
        self.buffer.gather()
        since = watermark.first_open
        for ready in self.counts.before(bucket):
            cells = self.counts.pop(ready)
            if ready < since:
                self._on_late(ready, cells)
                continue
            self._close(ready, since, cells)
            since = ready + 1
        if since < bucket:
            self._close(bucket - 1, since, Cells())
        watermark.open_from(bucket)
        self.buffer.renew()

    def end(self) -> None:
        """Close every bucket that holds events, and reject the events that are still held."""
        self.start()
        for held in self.held.take(MAX_TS + 1):
            self._reject_held(held)
        self.buffer.gather()
        last, first_open = self.counts.last(), self.watermark.first_open
        if last is not None and first_open is not None:
            self.close_before(max(last, first_open) + 1)

    def watermark_ms(self) -> int:
        """The watermark in epoch milliseconds; 0 before there is one."""
        self.buffer.update_time()
        return self.watermark.value()

    def requests(self) -> int:
        """Number of events in the open buckets."""
        return self.counts.requests() + len(self.buffer)

    def forget_names(self) -> None:
        """Forget the names that no open bucket uses, and give the others new numbers."""
        self.buffer.gather()
        recent = self.watermark.time.accounts
        used = self.counts.used
        numbers = self.dictionary.forget(used("choice"), used("network", recent.networks), used("links"))
        recent.networks = numbers[1][recent.networks]
        self.counts.renumber(*numbers)

    def _bound_links(self) -> None:
        """Drop names of the open buckets when there are too many. The counts that are stored change too."""
        bounds = (drop_links, drop_networks, drop_choices)
        dropped = sum(bound(self.counts, self.dictionary) for bound in bounds)
        self.counters.dropped_links += dropped
        self.links_dropped |= dropped > 0
        self.forget_names()

    def _count_late(self, event: Request, ts: int) -> None:
        oldest = self.watermark.begin - STATE.lateness.counted_ms
        self.buffer.add_late(event, ts if ts >= oldest else TOO_LATE)
        if event.ended is not None and event.ended >= self.watermark.begin:
            return  # A slow request. Whoever sends one does not make the data of a group late.
        names = self.dictionary
        links = names.link_sets[names.link(bytes(event.links))]
        network = names.network_names[names.network(event.network, event.ip)]
        self.counters.add_late(groups_of(network, links))

    def _begin_earlier(self, event: Request, ts: int) -> bool:
        """Count an event before the begin of a stream that has closed nothing; returns whether it may."""
        self._tell(event, ts)
        if not self.watermark.begin_earlier(ts):
            return False
        self.buffer.add_held(event, ts)
        return True

    def _tell(self, event: Request, ts: int) -> None:
        """Tell the agreed time of one event."""
        self.buffer.update_time()
        names = self.dictionary
        row, network = names.accounts.row(event.account), names.network(event.network, event.ip)
        self.watermark.time.add(np.array([row]), np.array([network]), np.array([ts]))

    def _hold(self, event: Request, ts: int, record: InputRecord, place: int | None) -> None:
        """Hold an event, and tell the agreed time of it."""
        self._tell(event, ts)
        time = self.watermark.time
        raw = record.value if place is None else written(event)
        held = Held(event, ts, record, raw, place)
        is_held = self.held.put(held)
        if self.watermark.first_open is None:
            # Where there is no room for so many events, a few large ones must do, but never a single one.
            enough = time.quorum.settled if is_held else time.quorum.settled_large
            if time.may_begin or len(self.held) >= enough:
                self.start()
            if not is_held:
                self._count_or_reject(held)
            return
        if not is_held:
            self._reject_held(held)
        if self.watermark.is_due() or not is_held:
            self._advance(must=not is_held)

    def _count_or_reject(self, held: Held) -> None:
        """Count an event that found no room among the held ones, if the stream has begun near it."""
        if self.watermark.first_open is None or held.ts >= self.watermark.far_at:
            self._reject_held(held)
        else:
            self._count_one(held)

    def _advance(self, *, must: bool = False) -> None:
        """Close the buckets that the watermark has passed, and count the held events it has reached."""
        self.buffer.update_time()
        agreed = self.watermark.advance(must=must)
        if agreed is None:
            return
        self._count_held(self.watermark.far_from(agreed))
        self.close_before((agreed - self.watermark.lateness) // self.watermark.width)
        for held in self.held.overdue():
            self._reject_held(held)

    def _count_held(self, until: int) -> None:
        """Count the held events before a time in epoch milliseconds."""
        for held in self.held.take(until):
            self._count_one(held)

    def _count_one(self, held: Held) -> None:
        """Count an event that the agreed time has been told of."""
        if _is_failed(held.event):
            self.counters.failed += 1
        elif held.ts < self.watermark.begin:
            self._count_late(held.event, held.ts)
        else:
            self.buffer.add_held(held.event, held.ts)

    def _reject_held(self, held: Held) -> None:
        if self.watermark.first_open is None:
            text = "too large, with its key and headers, for a first event of the partition; send it again"
        else:
            hours = (held.ts - self.watermark.begin) / HOUR_MS
            text = (
                f"ts: {held.ts} is {hours:,.0f} h ahead of the other accounts of this partition; "
                "check the clock of its sender"
            )
        error = BadEvent(text)
        if held.record.value is None:  # Of an earlier record, which is gone.
            self.counters.invalid += 1
            self._on_bad(held.record, held.raw, held.place, error)
        else:
            self.reject(held.record, held.place, error)

    def _close(self, bucket: int, since: int, cells: Cells) -> None:
        self.watermark.first_open, self.watermark.has_closed = bucket + 1, True
        self._on_close(bucket, since, cells)
        active = len(np.unique(cells.whole().account)) if cells.requests else 0
        self.watermark.time.close(cells.requests, active)


def _is_failed(event: Request) -> bool:
    """Whether the request failed or was refused."""
    return (event.status or 0) >= 400
