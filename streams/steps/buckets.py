"""Event-time buckets: from raw records to counts, the hot path of pivotwatch.

Per event: decode, one look-up, one dictionary update (`Buckets.count`). Everything that is rare
(a new cell, a late event, a failed request, a bad record, a bucket that closes) leaves by
`Buckets._admit`.

Watermark = highest event time seen − allowed lateness. A bucket closes when the watermark passes its
end. An event of a closed bucket is late: counted as such and left out. All of it is decided event by
event in offset order, so how the records were cut into chunks leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from models.counts import Group
from models.settings import Settings
from streams.events import MAX_COUNT, MAX_TS, BadEvent, check_event, check_text, network_of, parse_time
from streams.steps.contract import InputRecord

FUTURE_MS = 600_000
"""A ts further than this after the Kafka record's own timestamp is invalid."""
MAX_KNOWN_ADDRESSES = 100_000

Key = tuple[str, str, str | None, str | None, int | None, tuple[tuple[str, str], ...] | None]
"""account, model, network, requested model, account created, links"""
Cell = list[int]
"""requests, input tokens, output tokens, requests with tools"""
Cells = dict[Key, Cell]


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

    def process(self, records: Sequence[InputRecord]) -> None:
        """Take records in offset order."""
        loads, count = orjson.loads, self.count
        for record in records:
            value = record.value
            try:
                decoded = loads(value)  # type: ignore[arg-type]  # None raises like bad JSON
            except (orjson.JSONDecodeError, TypeError) as error:
                self._bad(record, value, None, BadEvent(_unreadable(value, error)))
                continue
            stamp = record.timestamp
            limit = MAX_TS if stamp is None or stamp < 0 else stamp + FUTURE_MS
            if type(decoded) is list:
                for position, event in enumerate(decoded):
                    count(event, limit, record, position)
            else:
                count(decoded, limit, record, None)

    def count(self, event: Any, limit: int, record: InputRecord, position: int | None) -> None:
        """Count one event: the hot path.

        A cell exists only for an open bucket and only after an event with the very same texts passed
        every check, so finding it is the check of the texts and of the bucket too.
        """
        try:
            get = event.get
            ts = event["ts"]
            if type(ts) is not int:
                ts = parse_time(ts)
            links, network, created = get("links"), get("network"), get("account_created")
            if network is None or network == "":
                network = self._network(get("ip"))
            cell = self.recent[ts // self.width][
                event["account"],
                event["model"],
                network,
                get("requested_model"),
                created,
                None if links is None else (tuple(links.items()) or None),
            ]
            tokens_in, tokens_out, tools = get("input_tokens", 0), get("output_tokens", 0), get("tools", 0)
            status = get("status", 200)
            if (
                ts < self._close_at
                and ts <= limit
                and type(event["id"]) is str
                and type(tokens_in) is type(tokens_out) is type(tools) is type(status) is int
                and 0 <= status < 400
                and created is not True  # it equals 1
                and 0 <= tokens_in <= MAX_COUNT
                and 0 <= tokens_out <= MAX_COUNT
                and 0 <= tools <= MAX_COUNT
            ):
                self.max_ts = max(self.max_ts, ts)
                cell[0] += 1
                cell[1] += tokens_in
                cell[2] += tokens_out
                cell[3] += tools > 0
                return
        except (KeyError, TypeError, AttributeError, BadEvent):
            pass
        self._admit(event, limit, record, position)

    def _admit(self, event: Any, limit: int, record: InputRecord, position: int | None) -> None:
        """Count an event that is new, late, failed or bad."""
        try:
            check_event(event)
            ts = parse_time(event["ts"])
            if ts > limit:
                raise BadEvent(f"ts: {ts} is more than {FUTURE_MS // 60_000} min after the record's own time")
        except BadEvent as error:
            raw = record.value if position is None else _element(event, record)
            self._bad(record, raw, position, error)
            return
        self._advance(ts)
        bucket = ts // self.width
        key = self._key(event)
        if self.next is not None and bucket < self.next:
            self.late += 1
            for group in groups_of(key):
                self.late_groups[group] = self.late_groups.get(group, 0) + 1
        elif (event.get("status") or 0) >= 400:
            self.failed += 1
        else:
            cell = self.recent.setdefault(bucket, {}).setdefault(key, [0, 0, 0, 0])
            cell[0] += 1
            cell[1] += event.get("input_tokens") or 0
            cell[2] += event.get("output_tokens") or 0
            cell[3] += (event.get("tools") or 0) > 0

    def _key(self, event: dict[str, Any]) -> Key:
        links = event.get("links")
        return (
            event["account"],
            event["model"],
            event.get("network") or self._network(event.get("ip")),
            event.get("requested_model"),
            event.get("account_created"),
            tuple(links.items()) if links else None,
        )

    def _network(self, ip: str | None) -> str | None:
        """The network of an address, remembered."""
        if ip is None or ip == "":
            return None
        known = self._networks
        if ip not in known:
            check_text(ip, "ip", empty=False)
            if len(known) >= MAX_KNOWN_ADDRESSES:
                known.clear()
            known[ip] = network_of(ip)
        return known[ip]

    def _bad(self, record: InputRecord, raw: bytes | None, position: int | None, error: BadEvent) -> None:
        self.invalid += 1
        self.on_bad(record, raw, position, error)

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
            cells = merge(self.open.pop(ready, {}), self.recent.pop(ready, {}))
            self.on_close(ready, since, cells)
            since = ready + 1
        if since < bucket:
            self.next = bucket
            self.on_close(bucket - 1, since, {})
        self._close_at = (bucket + 1) * self.width + self.lateness

    def last_open(self) -> int | None:
        """The last bucket that holds events."""
        return max({*self.open, *self.recent}, default=None)

    def take_recent(self) -> dict[int, Cells]:
        """The counts since the last call, which become part of ``open``."""
        taken, self.recent = self.recent, {}
        for bucket, cells in taken.items():
            self.open[bucket] = merge(self.open.get(bucket, {}), cells)
        return taken

    def add_open(self, buckets: dict[int, Cells]) -> None:
        """Put counts back that `take_recent` gave."""
        for bucket, cells in buckets.items():
            self.open[bucket] = merge(self.open.get(bucket, {}), cells)

    def reset_counters(self) -> None:
        """Forget what the record of the closed bucket has told."""
        self.late = self.invalid = self.failed = 0
        self.late_groups = {}

    def snapshot(self) -> list[object]:
        """State but for the counts, JSON-able."""
        late = [[*group, count] for group, count in sorted(self.late_groups.items())]
        return [self.next, self.max_ts, self._close_at, self.late, self.invalid, self.failed, late]

    def restore(self, state: Sequence[Any]) -> None:
        """Continue exactly where `snapshot` was taken."""
        self.next, self.max_ts, self._close_at, self.late, self.invalid, self.failed, late = state
        self.late_groups = {(kind, name): count for kind, name, count in late}


def groups_of(key: Key) -> Iterable[Group]:
    """The groups that an event's account is active in by this event: its network and its links.

    Examples
    --------
    >>> list(groups_of(("a", "m", "AS1", None, None, (("payment", "p7"), ("device", "")))))
    [('network', 'AS1'), ('payment', 'p7')]
    """
    if key[2]:
        yield ("network", key[2])
    for kind, name in key[5] or ():
        if name:
            yield (kind, name)


def merge(into: Cells, cells: Cells) -> Cells:
    """Add counts to counts."""
    if not into:
        return cells
    for key, cell in cells.items():
        present = into.get(key)
        if present is None:
            into[key] = cell
        else:
            for i, value in enumerate(cell):
                present[i] += value
    return into


def _element(event: Any, record: InputRecord) -> bytes | None:
    """One element of an array; the whole array if the element is nested too deeply to be written."""
    try:
        return orjson.dumps(event)
    except orjson.JSONEncodeError:
        return record.value


def _unreadable(value: bytes | None, error: Exception) -> str:
    if not value:
        return "the message is empty"
    return f"not JSON: {error}"
