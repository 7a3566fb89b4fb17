"""Held events: events that wait until the other accounts of their partition reach their time."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pivotwatch.contracts.events import BadEvent, Request, as_request, read_leniently
from pivotwatch.contracts.records import InputRecord, Line
from pivotwatch_models.method import STATE

_TIME = STATE.event_time


class Held(NamedTuple):
    """An event that is held, with everything that a dead letter of it needs.

    Attributes
    ----------
    event, ts
        The event and its time in epoch milliseconds.
    record, raw, place
        The record that it came in, its own bytes, and its position when the record holds an array.
    """

    event: Request
    ts: int
    record: InputRecord
    raw: bytes | None
    place: int | None


class HeldEvents:
    """The held events of one partition, in offset order. Their number and size are bounded.

    Examples
    --------
    >>> record = Line(b'{"id": "r", "ts": 9000, "account": "a", "model": "m"}', offset=4)
    >>> event = as_request(read_leniently(record.value)[None])
    >>> held = HeldEvents()
    >>> held.put(Held(event, 9000, record, record.value, None))
    True
    >>> held.take(until=9000), held.overdue(), [each.record.offset for each in held.overdue()]
    ([], [], [4])
    """

    def __init__(self) -> None:
        self._held: list[Held] = []
        self._bytes = 0
        self._old = 0

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held)

    def put(self, held: Held) -> bool:
        """Hold an event; returns whether there was room."""
        size = len(held.raw or b"") + len(held.record.key or b"")
        size += sum(len(name) + len(value or b"") for name, value in held.record.headers)
        if len(self._held) >= _TIME.held or self._bytes + size > _TIME.held_bytes:
            return False
        self._held.append(held._replace(record=_bare(held.record)))
        self._bytes += size
        return True

    def take(self, until: int) -> list[Held]:
        """Give out the events before a time in epoch milliseconds."""
        taken = [held for held in self._held if held.ts < until]
        if taken:
            self._old = sum(held.ts >= until for held in self._held[: self._old])
            self._keep([held for held in self._held if held.ts >= until])
        return taken

    def overdue(self) -> list[Held]:
        """Give out the events that the last call left: no other account has reached their time."""
        gone, kept = self._held[: self._old], self._held[self._old :]
        self._keep(kept)
        self._old = len(kept)
        return gone

    def _keep(self, held: list[Held]) -> None:
        self._held, self._bytes = [], 0
        for one in held:
            self.put(one)

    def snapshot(self) -> list[Any]:
        """State, JSON-able."""
        rows = [
            [r.offset, r.timestamp, _text(r.key), [[n, _text(v)] for n, v in r.headers], _text(raw), place]
            for _, _, r, raw, place in self._held
        ]
        return [self._old, rows, [held.ts for held in self._held]]

    def restore(self, state: Sequence[Any]) -> None:
        """Continue exactly where `snapshot` was taken."""
        self._old, rows, times = state
        self._keep([_held(row, ts) for row, ts in zip(rows, times, strict=True)])


def _bare(record: InputRecord) -> Line:
    return Line(None, record.offset, record.timestamp, record.key, tuple(record.headers))


def _held(row: Sequence[Any], ts: int) -> Held:
    offset, timestamp, key, headers, text, place = row
    raw = _bytes(text)
    named = tuple((name, _bytes(value)) for name, value in headers)
    event = read_leniently(raw)[None]
    assert not isinstance(event, BadEvent), "it was read before it was held"
    return Held(as_request(event), ts, Line(None, offset, timestamp, _bytes(key), named), raw, place)


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b85encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b85decode(text)
