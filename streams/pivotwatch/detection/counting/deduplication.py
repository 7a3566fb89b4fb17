"""Counts every event of `ingest` once, although `ingest` may send it twice.

`ingest` writes arrays of events. An array comes from one partition of a foreign topic, its *origin*. Its
events are in the order of their *places*: the offset of the message and the position in it. After a crash,
`ingest` reads again from its committed offset, and sends again what it had already sent, in other arrays.
The deduplicator keeps the highest place that was counted of every origin, and leaves out the events at or
below it. It compares single events only in an array that overlaps.

Anyone who may write to ``requests`` may invent origins. So at most `MAX_ORIGINS` are kept, and the one that
was used least recently is forgotten first. If a real origin is forgotten and `ingest` then sends an array of
it again after a crash, the events of that array count twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import orjson

from pivotwatch.contracts.records import InputRecord

ORIGIN = "pivotwatch.origin"
"""Header: JSON of topic, partition, offset and position of the first event, and of the last."""
PLACES = "pivotwatch.places"
"""Header: JSON of the offsets (above that of the first event) and positions of all events in turn."""

MAX_ORIGINS = 4096
"""Number of origins that a partition remembers."""

Headers = tuple[tuple[str, bytes], ...]
Place = tuple[int, int]


def origin_headers(topic: str, partition: int, places: Sequence[Place]) -> Headers:
    """The headers of an array: its origin, and the places of its events.

    Examples
    --------
    >>> origin_headers("spans", 3, [(70, 0), (70, 4), (71, 0)])[0]
    ('pivotwatch.origin', b'["spans",3,70,0,71,0]')
    """
    first, last = places[0], places[-1]
    relative = [number for offset, position in places for number in (offset - first[0], position)]
    return (
        (ORIGIN, orjson.dumps([topic, partition, *first, *last])),
        (PLACES, orjson.dumps(relative)),
    )


class OffsetDeduplicator:
    """The highest place that was counted, per origin.

    Attributes
    ----------
    applied
        The highest place that was counted, by origin: topic and partition. The origin that was used least
        recently comes first.
    repeated
        Number of events that this process has left out.

    Examples
    --------
    >>> from pivotwatch.contracts.records import Line
    >>> origins = OffsetDeduplicator()
    >>> origins.first_new(Line(b"", headers=origin_headers("spans", 0, [(5, 0), (6, 0)])), 2)
    0
    >>> origins.first_new(Line(b"", headers=origin_headers("spans", 0, [(6, 0), (7, 0)])), 2)
    1
    """

    def __init__(self) -> None:
        self.applied: dict[tuple[str, int], Place] = {}
        self.repeated = 0

    def first_new(self, record: InputRecord, count: int) -> int:
        """Index of the first event of an array that was not counted before. The events from it on now are.

        Parameters
        ----------
        record, count
            The record, and the number of events in its array.
        """
        headers = dict(record.headers)
        raw = headers.get(ORIGIN)
        if raw is None:
            return 0
        try:
            origin, first, last = _read(raw)
            applied = self.applied.get(origin)
            if applied is None or first > applied:
                index = 0
            elif last <= applied:
                index = count
            else:
                index = _first_above(applied, first[0], orjson.loads(headers[PLACES] or b""))
        except (msgspec.DecodeError, ValueError, TypeError, KeyError):
            return 0  # Not ours, whatever it is.
        self.applied.pop(origin, None)
        self.applied[origin] = max(last, applied or last)
        if len(self.applied) > MAX_ORIGINS:
            del self.applied[next(iter(self.applied))]
        self.repeated += index
        return index

    def snapshot(self) -> list[object]:
        """State, JSON-able, in the order of use."""
        return [[*origin, *place] for origin, place in self.applied.items()]

    def restore(self, state: Sequence[Any]) -> None:
        """Continue where `snapshot` was taken."""
        self.applied = {(topic, partition): (o, p) for topic, partition, o, p in state}


def _read(raw: bytes) -> tuple[tuple[str, int], Place, Place]:
    """The origin of an array, and the places of its first and its last event."""
    topic, partition, offset, position, *last = _decode(raw)
    return (topic, partition), (offset, position), (last[0], last[1])


Offset = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Topic = Annotated[str, msgspec.Meta(max_length=249)]
_decode = msgspec.json.Decoder(tuple[Topic, Offset, Offset, Offset, Offset, Offset]).decode


def _first_above(applied: Place, base: int, relative: Sequence[int]) -> int:
    places = zip(relative[::2], relative[1::2], strict=True)
    return next(
        (index for index, (offset, position) in enumerate(places) if (base + offset, position) > applied), 0
    )
