"""Event-time buckets: from raw records to counts, the hot path of pivotwatch.

Per event: decode with all checks in one go, and one dictionary update (`Buckets.count`). What is rare
(the first event of its kind in a bucket, a late event, a failed request, a bad record, a bucket that
closes) has a method of its own.

Watermark = highest event time seen − allowed lateness. A bucket closes when the watermark passes its
end. An event of a closed bucket is late: counted as such and left out. All of it is decided event by
event in offset order, so how the records were cut into chunks leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from models.counts import Group
from models.settings import Settings
from streams.events import (
    MAX_TS,
    BadEvent,
    Event,
    check_rest,
    decode,
    element,
    network_of,
    parse_time,
    read_leniently,
)
from streams.steps.cells import Cells, groups_of
from streams.steps.contract import InputRecord
from streams.steps.origins import Origins

FUTURE_MS = 600_000
"""A ts further than this after the Kafka record's own timestamp is invalid."""
MAX_KNOWN_ADDRESSES = 100_000


class Buckets:
    """Counts of the open buckets of one partition.

    Parameters
    ----------
    settings
        Width of a bucket and allowed lateness.
    on_close
        Called with each bucket that closes, in order, its counts, and the first bucket that this
        closing completes (earlier ones without events are not called for).
    on_bad
        Called with a record (or one element of an array: its value and position) that cannot be read.

    Attributes
    ----------
    recent
        Counts since the last `take_recent`, by bucket. ``open`` holds those before.
    late, invalid, failed
        Numbers of events since the last close.
    late_groups
        Groups of the late events since the last close.
    origins
        What was applied of each source of `ingest`.
    """

    def __init__(
        self,
        settings: Settings,
        on_close: Callable[[int, int, Cells], None],
        on_bad: Callable[[InputRecord, bytes | None, int | None, BadEvent], None],
    ) -> None:
        self.width = settings.bucket_ms
        self.lateness = settings.allowed_lateness_ms
        self.on_close = on_close
        self.on_bad = on_bad
        self.recent: dict[int, Cells] = {}
        self.open: dict[int, Cells] = {}
        self.next: int | None = None
        self.max_ts = 0
        self._close_at = 0
        self.late = self.invalid = self.failed = 0
        self.late_groups: dict[Group, int] = {}
        self._networks: dict[str, str | None] = {}
        self.origins = Origins()

    def process(self, records: Sequence[InputRecord]) -> None:
        """Take records in offset order."""
        read, count = decode, self.count
        for record in records:
            stamp = record.timestamp
            limit = MAX_TS if stamp is None or stamp < 0 else stamp + FUTURE_MS
            try:
                message = read(record.value)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
                self._read_leniently(record, limit)
                continue
            if type(message) is list:
                first = self.origins.first_new(record, len(message)) if record.headers else 0
                for place, event in enumerate(message[first:] if first else message, first):
                    count(event, limit, record, place)
            else:
                count(message, limit, record, None)  # type: ignore[arg-type]  # not a list

    def count(self, event: Event, limit: int, record: InputRecord, place: int | None) -> None:
        """Count one event: the hot path."""
        ts = event.ts
        if type(ts) is not int or ts > limit or ts >= self._close_at:
            moment = self._admit(event, limit, record, place)
            if moment is None:
                return
            ts = moment
        cells = self.recent.get(ts // self.width)
        status = event.status
        if cells is None or (status is not None and status >= 400):
            cells = self._set_apart(event, ts // self.width, record, place)
            if cells is None:
                return
        links = event.links
        key = (
            event.account,
            event.model,
            event.network or self._network(event.ip),
            event.requested_model,
            event.account_created,
            tuple(links.items()) if links else None,
        )
        tokens_in, tokens_out = event.input_tokens or 0, event.output_tokens or 0
        i = cells.index.get(key)
        if i is not None:
            cells.requests[i] += 1
            cells.tokens_in[i] += tokens_in
            cells.tokens_out[i] += tokens_out
            if event.tools:
                cells.with_tools[i] += 1
        elif self._is_sound(event, record, place):
            cells.add(key, 1, tokens_in, tokens_out, 1 if event.tools else 0)
        else:
            return
        self.max_ts = max(self.max_ts, ts)

    def _is_sound(self, event: Event, record: InputRecord, place: int | None) -> bool:
        """Check what decoding did not; once per cell, as its key holds all that is checked."""
        if event.links or type(event.account_created) is str:
            try:
                check_rest(event)
            except BadEvent as error:
                self._refuse(record, place, error)
                return False
        return True

    def _set_apart(self, event: Event, bucket: int, record: InputRecord, place: int | None) -> Cells | None:
        """Count a late event or a failed request apart; the cells of a bucket that has none yet."""
        if not self._is_sound(event, record, place):
            return None
        if self.next is not None and bucket < self.next:
            self.late += 1
            links = event.links.items() if event.links else ()
            for group in groups_of(event.network or self._network(event.ip), links):
                self.late_groups[group] = self.late_groups.get(group, 0) + 1
            return None
        if (event.status or 0) >= 400:
            self.failed += 1
            return None
        return self.recent.setdefault(bucket, Cells())

    def _admit(self, event: Event, limit: int, record: InputRecord, place: int | None) -> int | None:
        """Epoch milliseconds of an event that may move the watermark; None when it is refused."""
        try:
            check_rest(event)
            ts = parse_time(event.ts)
            if ts > limit:
                raise BadEvent(f"ts: {ts} is more than {FUTURE_MS // 60_000} min after the record's own time")
        except BadEvent as error:
            self._refuse(record, place, error)
            return None
        self._advance(ts)
        return ts

    def _read_leniently(self, record: InputRecord, limit: int) -> None:
        """Take what is good of a message, and refuse the rest element by element."""
        found = read_leniently(record.value)
        first = self.origins.first_new(record, len(found)) if record.headers else 0
        for place, event in found.items():
            if place is not None and place < first:
                continue
            if isinstance(event, BadEvent):
                self._refuse(record, place, event)
            else:
                self.count(event, limit, record, place)

    def _network(self, ip: str | None) -> str | None:
        """The network of an address, remembered."""
        if not ip:
            return None
        known = self._networks
        if ip not in known:
            if len(known) >= MAX_KNOWN_ADDRESSES:
                known.clear()
            known[ip] = network_of(ip)
        return known[ip]

    def _refuse(self, record: InputRecord, place: int | None, error: BadEvent) -> None:
        self.invalid += 1
        raw = record.value if place is None or record.value is None else element(record.value, place)
        self.on_bad(record, raw, place, error)

    def _advance(self, ts: int) -> None:
        """Move the watermark and close what it has passed."""
        if self.next is None:
            self.next = (ts - self.lateness) // self.width
        self.max_ts = max(self.max_ts, ts)
        if self.max_ts >= self._close_at:
            self.close_before((self.max_ts - self.lateness) // self.width)
            self._close_at = (self.next + 1) * self.width + self.lateness

    def close_before(self, bucket: int) -> None:
        """Close every bucket before ``bucket``; those without events only move the bound."""
        if self.next is None or bucket <= self.next:
            return
        since = self.next
        for ready in sorted(b for b in {*self.open, *self.recent} if b < bucket):
            self.next = ready + 1
            cells = self.open.pop(ready, None) or Cells()
            cells.merge(self.recent.pop(ready, Cells()))
            self.on_close(ready, since, cells)
            since = ready + 1
        if since < bucket:
            self.next = bucket
            self.on_close(bucket - 1, since, Cells())
        self._close_at = (bucket + 1) * self.width + self.lateness

    def last_open(self) -> int | None:
        """The last bucket that holds events."""
        return max({*self.open, *self.recent}, default=None)

    def take_recent(self) -> dict[int, Cells]:
        """The counts since the last call, which become part of ``open``."""
        taken, self.recent = self.recent, {}
        self.add_open(taken)
        return taken

    def add_open(self, buckets: dict[int, Cells]) -> None:
        """Put counts back that `take_recent` gave."""
        for bucket, cells in buckets.items():
            self.open.setdefault(bucket, Cells()).merge(cells)

    def reset_counters(self) -> None:
        """Forget what the record of the closed bucket has told."""
        self.late = self.invalid = self.failed = 0
        self.late_groups = {}

    def snapshot(self) -> list[object]:
        """State but for the counts, JSON-able."""
        late = [[*group, count] for group, count in sorted(self.late_groups.items())]
        counters = [self.late, self.invalid, self.failed]
        return [self.next, self.max_ts, self._close_at, *counters, late, self.origins.snapshot()]

    def restore(self, state: Sequence[Any]) -> None:
        """Continue exactly where `snapshot` was taken."""
        self.next, self.max_ts, self._close_at, *counters, late, origins = state
        self.late, self.invalid, self.failed = counters
        self.origins.restore(origins)
        self.late_groups = {(kind, name): count for kind, name, count in late}
