"""Event-time buckets: from raw records to counts, the hot path of pivotwatch.

Per event: decode with all checks in one go, look up the numbers of its account, model, network and links,
and write nine integers into a buffer (`Buckets.process`). Everything else is done for thousands of events
at a time by array operations (`pivotwatch.detection.counting.aggregates`). What is rare (the first event of
its kind, a late
event, a failed request, a time as text, a bad record, a bucket that closes) goes through `Buckets._take`.

Watermark = agreed time (`pivotwatch.detection.counting.event_time`) − allowed lateness. A bucket closes
when the watermark passes its end. An event of a closed bucket is late: it is counted with its own bucket when
the next bucket closes, and does not move the agreed time. An event that lies far ahead of the
agreed time is held until the others get there; if they do not, it becomes a dead letter. All of it is decided
event by event in offset order, so how the records were cut into chunks leaves no trace.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import length_hint
from typing import Any

import msgspec
import numpy as np

from pivotwatch.contracts.codec import MAX_TS
from pivotwatch.contracts.events import (
    NO_LINKS,
    BadEvent,
    Request,
    as_request,
    check_rest,
    decode,
    element,
    parse_time,
    read_leniently,
    read_links,
    written,
)
from pivotwatch.contracts.records import InputRecord
from pivotwatch.detection.counting.aggregates import EVENT, UNTOLD, Cells, Run
from pivotwatch.detection.counting.deduplication import OffsetDeduplicator
from pivotwatch.detection.counting.dictionary import Names, groups_of
from pivotwatch.detection.counting.event_time import QUORUM, AgreedTime, Quorum
from pivotwatch.detection.counting.held_events import Held, HeldEvents
from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.base.counts import Group
from pivotwatch_models.method import STATE
from pivotwatch_models.settings import Settings

FUTURE_MS = STATE.membership.future_ms
"""An event this much later than the time stamp of its Kafka record is invalid."""
TOO_LATE = 0
"""The bucket of events that came too late to be counted with theirs. No stream is of 1970."""
BUFFERED = 8192
"""Events that are added up together."""

NONE = np.empty(0, np.int64)
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError)


class Buckets:
    """Counts of the open buckets of one partition.

    Parameters
    ----------
    settings
        Width of a bucket and allowed lateness.
    names
        Numbers for what events name.
    on_close
        The work on each bucket that closes, in order: given the bucket, the first that this closing
        completes (earlier ones without events are not called for), and its counts.
    on_late
        The work on each earlier bucket of which events came late, in order, before `on_close`.
    on_bad
        Called with a record (or one element of an array: its value and position) that cannot be read.
    quorum
        How many accounts and networks must agree on the time.

    Attributes
    ----------
    recent
        Counts since the last `take_recent`, by bucket. ``open`` holds those before. Both are up to date
        after `gather`.
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
        names: Names,
        on_close: Callable[[int, int, Cells], None],
        on_late: Callable[[int, Cells], None],
        on_bad: Callable[[InputRecord, bytes | None, int | None, BadEvent], None],
        *,
        quorum: Quorum = QUORUM,
    ) -> None:
        self.width = settings.bucket_ms
        self.lateness = settings.allowed_lateness_ms
        self.names = names
        self.on_close = on_close
        self.on_late = on_late
        self.on_bad = on_bad
        self.recent: dict[int, Cells] = {}
        self.open: dict[int, Cells] = {}
        self.next: int | None = None
        self.time = AgreedTime(quorum)
        self.agreed = 0
        self.held = HeldEvents()
        self._close_at = 0
        self._votes = 0
        self._fed = 0
        self._buffer = bytearray(BUFFERED * EVENT.size)
        self._at = 0
        self._late = bytearray()
        self.late = self.invalid = self.failed = 0
        self.late_groups: dict[Group, int] = {}
        self.origins = OffsetDeduplicator()

    def process(self, records: Sequence[InputRecord]) -> None:
        """Take records in offset order: the hot path. It pauses only where a bucket closes."""
        read, names, pack, buffer = decode, self.names, EVENT.pack_into, self._buffer
        size, end = EVENT.size, BUFFERED * EVENT.size
        row_of, choice_of, requested_of = names.roster.rows.get, names.plain.get, names.choices.get
        network_of, address_of, link_of = names.networks.get, names.addresses.get, names.links.get
        low, high, at = self._low, self._close_at, self._at
        events: Iterable[Request]
        for record in records:
            stamp = record.timestamp
            limit = MAX_TS if stamp is None or stamp < 0 else stamp + FUTURE_MS
            try:
                message = read(record.value)
                if type(message) is list:
                    self._check_links(message)
                    first = self.origins.first_new(record, len(message)) if record.headers else 0
                    events = iter(message[first:])
                else:
                    events = (message,)  # type: ignore[assignment]  # not a list
            except UNREADABLE:
                self._at = at
                self._read_leniently(record, limit)
                low, high, at = self._low, self._close_at, self._at
                continue
            for event in events:
                ts, created, status = event.ts, event.account_created, event.status
                if type(ts) is int and low <= ts < high and ts <= limit and (status is None or status < 400):
                    requested, network, links = event.requested_model, event.network, event.links
                    row = row_of(event.account)
                    choice = (
                        choice_of(event.model)
                        if requested is None
                        else requested_of((event.model, requested))
                    )
                    net = network_of(network) if network else address_of(event.ip)
                    link = 0 if links is NO_LINKS else link_of(b"" + links)
                    if created is None:
                        created = UNTOLD
                    try:
                        pack(
                            buffer,
                            at,
                            ts,
                            row,
                            choice,
                            net,
                            link,
                            created,
                            event.input_tokens or 0,
                            event.output_tokens or 0,
                            event.tools or 0,
                        )
                    except struct.error:
                        pass  # A name that is new (None), or a date as text.
                    else:
                        at += size
                        if at == end:
                            self._at = at
                            self.gather()
                            at = 0
                        continue
                self._at = at
                # Told from what is left, so that nothing counts while all is well.
                place = len(message) - length_hint(events) - 1 if type(message) is list else None
                self._take(event, limit, record, place)
                low, high, at = self._low, self._close_at, self._at
        self._at = at

    def gather(self) -> None:
        """Add up what is in the buffer."""
        if self._late:
            late, self._late = self._late, bytearray()
            self._add(np.frombuffer(late, np.int64))
        if not self._at:
            return
        self._feed()
        counted = self._at // 8
        self._at = self._fed = 0
        self._add(np.frombuffer(self._buffer, np.int64, counted))

    def _add(self, numbers: Ints) -> None:
        events = numbers.reshape(-1, EVENT.size // 8)
        bucket = events[:, 0] // self.width
        for number in np.unique(bucket).tolist():
            cells = self.recent.setdefault(number, Cells())
            cells.add(events[bucket == number])

    def _take(self, event: Request, limit: int, record: InputRecord, place: int | None) -> None:
        """Count one event, whatever it is: new names, times as text, late, failed, or behind the bucket."""
        names = self.names
        try:
            raw = bytes(event.links)
            check_rest(event.ts, event.account_created, names.kinds(raw))
            ts = parse_time(event.ts)
            if ts > limit:
                raise BadEvent(f"ts: {ts} is more than {FUTURE_MS // 60_000} min after the record's own time")
        except BadEvent as error:
            self._refuse(record, place, error)
            return
        except UNREADABLE:
            self._read_leniently(record, limit)
            return
        if self.next is None or ts >= self._far_at:
            self._hold(event, ts, record, place)
            return
        if _failed(event):
            self.failed += 1
        elif ts < self._low:
            self._count_late(event, ts)
        else:
            self._count(event, ts)
            if ts >= self._close_at:
                self._vote()

    def _count_late(self, event: Request, ts: int) -> None:
        names = self.names
        oldest = self._low - STATE.lateness.counted_ms
        self._late += EVENT.pack(*self._row(event, ts if ts >= oldest else TOO_LATE))
        if len(self._late) >= len(self._buffer):
            self.gather()
        self.late += 1
        links = names.link_sets[names.link(bytes(event.links))]
        network = names.network_names[names.network(event.network, event.ip)]
        for group in groups_of(network, links):
            self.late_groups[group] = self.late_groups.get(group, 0) + 1

    def _count(self, event: Request, ts: int) -> None:
        self._pack(event, ts)
        self._gather_full()

    def _gather_full(self) -> None:
        if self._at == len(self._buffer):
            self.gather()

    def _pack(self, event: Request, ts: int) -> None:
        EVENT.pack_into(self._buffer, self._at, *self._row(event, ts))
        self._at += EVENT.size

    def _row(self, event: Request, ts: int) -> tuple[int, ...]:
        names, created = self.names, event.account_created
        return (
            ts,
            names.roster.row(event.account),
            names.choice(event.model, event.requested_model),
            names.network(event.network, event.ip),
            names.link(bytes(event.links)),
            UNTOLD if created is None else parse_time(created),
            event.input_tokens or 0,
            event.output_tokens or 0,
            event.tools or 0,
        )

    def _check_links(self, message: Iterable[Request]) -> None:
        """Can all links of an array be read? If not, every element gets its own verdict."""
        known = self.names.links
        for event in message:
            if event.links is not NO_LINKS and bytes(event.links) not in known:
                read_links(bytes(event.links))

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
                self._take(as_request(event), limit, record, place)

    def _refuse(self, record: InputRecord, place: int | None, error: BadEvent) -> None:
        self.invalid += 1
        raw = record.value if place is None or record.value is None else element(record.value, place)
        self.on_bad(record, raw, place, error)

    @property
    def _low(self) -> int:
        """Where the first open bucket begins."""
        return 0 if self.next is None else self.next * self.width

    @property
    def _far_at(self) -> int:
        """Events from this time on are far ahead of the first open bucket."""
        return self._far(self._low)

    def _far(self, ts: int) -> int:
        return ts + 2 * self.width + STATE.event_time.far_ms

    def watermark(self) -> int:
        """The agreed time less the allowed lateness; 0 before there is one."""
        self._feed()
        return max(0, self.agreed - self.lateness, (self.time.now() or 0) - self.lateness)

    def _feed(self) -> None:
        """Tell the agreed time of the events that were counted since the last time."""
        size = EVENT.size // 8
        events = np.frombuffer(self._buffer, np.int64, self._at // 8)[self._fed // 8 :].reshape(-1, size)
        if len(events):
            self.time.add(events[:, 1], events[:, 3], events[:, 0])
        self._fed = self._at

    def _vote(self) -> None:
        """Take note of an event behind the end of the first open bucket; ask now and then whether it ends."""
        self._votes += 1
        if self._votes >= max(1, self.time.asked[0] // STATE.event_time.asked_every):
            self._votes = 0
            self._advance()

    def _advance(self) -> None:
        """Close the buckets that the agreed time has passed."""
        self._feed()
        agreed = self.time.now()
        if agreed is None or agreed < self._close_at:
            return
        self.agreed = max(self.agreed, agreed)
        for held in self.held.take(self._far(agreed)):
            self._count_held(held)
        self.close_before((agreed - self.lateness) // self.width)
        for held in self.held.overdue():
            self._refuse_held(held)

    def _hold(self, event: Request, ts: int, record: InputRecord, place: int | None) -> None:
        """Keep an event that lies far ahead, or that comes before the stream has a time."""
        self._feed()
        names = self.names
        row, network = names.roster.row(event.account), names.network(event.network, event.ip)
        self.time.add(np.array([row]), np.array([network]), np.array([ts]))
        raw = record.value if place is None else written(event)
        held = Held(event, ts, record, raw, place)
        if not self.held.put(held):
            self._refuse_held(held)
        if self.next is not None:
            self._vote()
        elif self.time.is_diverse or len(self.held) >= self.time.quorum.settled:
            self.settle()

    def settle(self) -> None:
        """Decide where the stream begins, from the events that were held so far."""
        middle = self.time.middle()
        if self.next is not None or middle is None:
            return
        near = [
            held.ts for held in self.held if abs(held.ts - middle) <= STATE.event_time.far_ms + 2 * self.width
        ]
        self.next = (min(near) - self.lateness) // self.width
        self._close_at = (self.next + 1) * self.width + self.lateness
        for held in self.held.take(self._far_at):
            self._count_held(held)

    def _count_held(self, held: Held) -> None:
        if _failed(held.event):
            self.failed += 1
        elif held.ts < self._low:
            self._count_late(held.event, held.ts)
        else:
            self._pack(held.event, held.ts)
            self._fed = self._at  # The agreed time has known of it since it was held.
            self._gather_full()

    def _refuse_held(self, held: Held) -> None:
        self.invalid += 1
        hours = (held.ts - self._low) / 3_600_000
        error = BadEvent(
            f"ts: {held.ts} is {hours:,.0f} h ahead of the other accounts of this partition; "
            "check the clock of its sender"
        )
        self.on_bad(held.record, held.raw, held.place, error)

    def close_before(self, bucket: int) -> None:
        """Close every bucket before ``bucket``; those without events only move the bound."""
        if self.next is None or bucket <= self.next:
            return
        self.gather()
        since = self.next
        for ready in sorted(b for b in {*self.open, *self.recent} if b < bucket):
            cells = self.open.pop(ready, Cells())
            cells.take_over(self.recent.pop(ready, Cells()))
            if ready < since:
                self.on_late(ready, cells)
                continue
            self.next = ready + 1
            self.on_close(ready, since, cells)
            run = cells.whole()
            self.time.close(
                cells.requests, *(len(np.unique(column)) for column in (run.account, run.network))
            )
            since = ready + 1
        if since < bucket:
            self.next = bucket
            self.on_close(bucket - 1, since, Cells())
            self.time.close(0, 0, 0)
        self._close_at = (bucket + 1) * self.width + self.lateness

    def end(self) -> None:
        """Close every bucket that holds events; what is still held is refused."""
        self.settle()
        for held in self.held.take(MAX_TS + 1):
            self._refuse_held(held)
        last = self.last_open()
        if last is not None and self.next is not None:
            self.close_before(max(last, self.next) + 1)

    def last_open(self) -> int | None:
        """The last bucket that holds events."""
        self.gather()
        return max({*self.open, *self.recent}, default=None)

    def requests(self) -> int:
        """Events in the open buckets."""
        return sum(cells.requests for cells in self._cells()) + (self._at + len(self._late)) // EVENT.size

    def accounts(self) -> Ints:
        """Rows of the accounts that are in open buckets."""
        return np.unique(np.concatenate([run.account for run in self._runs()] or [np.empty(0, np.int64)]))

    def forget_names(self) -> None:
        """Forget the names that no open bucket uses."""
        self.gather()
        kinds = [
            np.unique(np.concatenate([*(getattr(run, kind) for run in self._runs()), more]))
            for kind, more in (("choice", NONE), ("network", self.time.networks.keys), ("links", NONE))
        ]
        choices, networks, links = self.names.forget(*kinds)
        self.time.networks.keys = networks[self.time.networks.keys]
        for cells in self._cells():
            cells.renumber(
                lambda run: run._replace(
                    who=run.account << 32 | choices[run.choice],
                    place=networks[run.network] << 32 | links[run.links],
                )
            )

    def _cells(self) -> Iterator[Cells]:
        yield from self.open.values()
        yield from self.recent.values()

    def _runs(self) -> list[Run]:
        return [run for cells in self._cells() for run in cells.runs]

    def take_recent(self) -> dict[int, Cells]:
        """The counts since the last call, which become part of ``open``."""
        self.gather()
        taken, self.recent = self.recent, {}
        for bucket, cells in taken.items():
            self.open.setdefault(bucket, Cells()).merge(cells)
        return taken

    def add_open(self, bucket: int, run: Run) -> None:
        """Put counts back that were stored."""
        self.open.setdefault(bucket, Cells()).append(run)

    def reset_counters(self) -> None:
        """Forget what the record of the closed bucket has told."""
        self.late = self.invalid = self.failed = 0
        self.late_groups = {}

    def snapshot(self) -> list[object]:
        """State but for the counts, JSON-able."""
        self.gather()
        late = [[*group, count] for group, count in sorted(self.late_groups.items())]
        counters = [self.late, self.invalid, self.failed]
        time = self.time.snapshot(self.names.roster.names.__getitem__, self.names.network_names.__getitem__)
        return [
            self.next,
            self.agreed,
            self._close_at,
            *counters,
            late,
            self.origins.snapshot(),
            [self._votes, time, self.held.snapshot()],
        ]

    def restore(self, state: Sequence[Any]) -> None:
        """Continue exactly where `snapshot` was taken."""
        self.next, self.agreed, self._close_at, *counters, late, origins, (self._votes, time, held) = state
        self.late, self.invalid, self.failed = counters
        self.time.restore(time, self.names.roster.row, lambda name: self.names.network(name) if name else 0)
        self.held.restore(held)
        self.origins.restore(origins)
        self.late_groups = {(kind, name): count for kind, name, count in late}


def _failed(event: Request) -> bool:
    """Whether the request was refused or failed."""
    return (event.status or 0) >= 400
