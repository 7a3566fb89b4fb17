"""Reads records into the event buffer: the hot path of pivotwatch.

For each event, `EventReader.process` decodes it with all checks, looks up four numbers (account, model
choice, network, links), and writes one row of nine integers into the buffer
(`pivotwatch.detection.counting.event_buffer`). Array operations then count thousands of rows at a time
(`pivotwatch.detection.counting.aggregates`).

An event leaves this path when something about it is rare: a name that has no number yet, a time as text, a
failed request, an event that does not belong to the first open bucket, or a fault. `EventReader._take` checks
such an event, and `pivotwatch.detection.counting.open_buckets` decides what happens to it.

Every decision is made event by event in offset order. So the results do not depend on how the records were
cut into chunks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from operator import length_hint

import msgspec

from pivotwatch.contracts.absent import is_absent
from pivotwatch.contracts.codec import MAX_TS
from pivotwatch.contracts.events import (
    NO_LINKS,
    BadEvent,
    Request,
    as_request,
    check_rest,
    decode,
    parse_time,
    read_leniently,
    read_links,
)
from pivotwatch.contracts.records import InputRecord
from pivotwatch.detection.counting.aggregates import EVENT, NO_DATE
from pivotwatch.detection.counting.deduplication import OffsetDeduplicator
from pivotwatch.detection.counting.open_buckets import OpenBuckets
from pivotwatch.detection.counting.recent_requests import RecentRequests
from pivotwatch_models.method import STATE

FUTURE_MS = STATE.membership.future_ms
"""An event is invalid when its time is this much later than the timestamp of its Kafka record."""
FAILED = 400
"""The least status of a failed request."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError)


class EventReader:
    """Reads the events of one partition.

    Parameters
    ----------
    buckets
        The open buckets that the events are counted in.

    remembered
        Number of requests among which a repeated one is found; 0: none is.

    Attributes
    ----------
    origins
        The highest place that was counted of each source of `ingest`.
    recent
        The last requests; None when none are remembered.
    """

    def __init__(self, buckets: OpenBuckets, remembered: int = 0) -> None:
        self.buckets = buckets
        self.recent = RecentRequests(remembered) if remembered else None
        self.origins = OffsetDeduplicator()

    def process(self, records: Sequence[InputRecord]) -> None:
        """Count the events of records, which are in offset order."""
        buffer, watermark, names = self.buckets.buffer, self.buckets.watermark, self.buckets.dictionary
        recent = self.recent
        read, pack, rows, size = decode, EVENT.pack_into, buffer.rows, EVENT.size
        buffer.renew()
        row_of, choice_of, requested_of = names.accounts.rows.get, names.plain.get, names.choices.get
        network_of, address_of, link_of = names.networks.get, names.addresses.get, names.links.get
        begin, close, at, end = watermark.begin, watermark.close_at, buffer.used, buffer.end
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
                buffer.used = at
                self._read_leniently(record, limit)
                begin, close, at, end = watermark.begin, watermark.close_at, buffer.used, buffer.end
                continue
            for event in events:
                ts, created, status = event.ts, event.account_created, event.status
                if (
                    type(ts) is int
                    and begin <= ts < close
                    and ts <= limit
                    and (status is None or status < FAILED)
                ):
                    model, requested = event.model, event.requested_model
                    network, links = event.network, event.links
                    try:
                        pack(
                            rows,
                            at,
                            ts,
                            row_of(event.account),
                            choice_of(model) if requested is None else requested_of((model, requested)),
                            network_of(network) if network else address_of(event.ip),
                            0 if links is NO_LINKS else link_of(b"" + links),
                            NO_DATE if created is None else created,
                            event.input_tokens or 0,
                            event.output_tokens or 0,
                            event.tools or 0,
                        )
                    except struct.error:
                        pass  # A name has no number yet (None), or a date is text.
                    else:
                        if recent is not None and recent.has(event):
                            continue
                        at += size
                        if at == end:
                            buffer.used = at
                            buffer.fill()
                            at, end = 0, buffer.end
                        continue
                buffer.used = at
                # The position follows from how many are left, so the usual event needs no counter.
                place = len(message) - length_hint(events) - 1 if type(message) is list else None
                self._take(event, limit, record, place)
                begin, close, at, end = watermark.begin, watermark.close_at, buffer.used, buffer.end
        buffer.used = at
        self.buckets.rejected.finish()

    def _take(self, event: Request, limit: int, record: InputRecord, place: int | None) -> None:
        """Check any one event, and hand it to the open buckets or reject it."""
        try:
            kinds = self.buckets.dictionary.kinds(bytes(event.links))
            check_rest(event.ts, event.account_created, kinds)
            ts = parse_time(event.ts)
            if ts > limit:
                raise BadEvent(f"ts: {ts} is more than {FUTURE_MS // 60_000} min after the record's own time")
            _check_names(event)
        except BadEvent as error:
            self.buckets.reject(record, place, error)
        except UNREADABLE:
            self._read_leniently(record, limit)
        else:
            is_counted = event.status is None or event.status < FAILED
            if self.recent is None or not is_counted or not self.recent.has(event):
                self.buckets.take(event, ts, record, place)

    def _check_links(self, message: Iterable[Request]) -> None:
        """Check that the links of every event of an array can be read; else each event is judged alone."""
        known = self.buckets.dictionary.links
        for event in message:
            if event.links is not NO_LINKS and bytes(event.links) not in known:
                read_links(bytes(event.links))

    def _read_leniently(self, record: InputRecord, limit: int) -> None:
        """Take the valid events of a message that `decode` refused, and reject the others one by one."""
        found = read_leniently(record.value)
        first = self.origins.first_new(record, len(found)) if record.headers else 0
        for place, event in found.items():
            if place is not None and place < first:
                continue
            if isinstance(event, BadEvent):
                self.buckets.reject(record, place, event)
            else:
                self._take(as_request(event), limit, record, place)


def _check_names(event: Request) -> None:
    """Refuse words such as ``None`` as account or model, and drop them where a name is optional.

    The hot path does not ask: only names that passed here have a number.
    """
    for field, name in (("account", event.account), ("model", event.model)):
        if is_absent(name):
            raise BadEvent(f"{field}: a word that says that there is none")
    if event.requested_model is not None and is_absent(event.requested_model):
        event.requested_model = None
    if event.network is not None and is_absent(event.network):
        event.network = None
