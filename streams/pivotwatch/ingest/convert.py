"""Converts the lines of a source to native events, for replay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import orjson

from pivotwatch.base.errors import WrongUse
from pivotwatch.detection.rejections import Rejections
from pivotwatch.ingest.decoded import MAX_BAD, Decoded, Event
from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.documents import messages
from pivotwatch.ingest.request_identity import SeenRequests

Place = Callable[[], str]
"""Returns the place of the line that was read last."""


class Conversion:
    """Converts messages of a source, and counts what it finds. Several files may share one.

    Parameters
    ----------
    decoder
        Reads the source.
    rejections
        Counts the documents that cannot be read.

    Attributes
    ----------
    events
        Number of events so far.
    no_requests, repeats
        Number of documents that were not requests, by reason, and of repeated reports of a request.
    group_accounts
        Number of events whose account is a group of users.
    """

    def __init__(self, decoder: Decoder, rejections: Rejections) -> None:
        if decoder.mapping.form == "otlp_proto":
            raise WrongUse(
                f"source {decoder.mapping.name} is binary and has no lines: export it as otlp_json"
            )
        self.decoder = decoder
        self.rejections = rejections
        self.events = 0
        self.no_requests = Counter[str]()
        self.repeats = 0
        self.group_accounts = 0
        self._seen = SeenRequests[bool]()

    @property
    def skipped(self) -> int:
        """Number of documents that gave no event although they can be read."""
        return self.repeats + self.no_requests.total()

    def convert(self, message: bytes, place: Place) -> list[Event]:
        """The events of a message."""
        decoded = self.decoder.decode(message, seen=self._seen)
        self.no_requests.update(decoded.no_requests)
        self.repeats += decoded.repeats
        self.group_accounts += decoded.group_accounts
        if decoded.bad_total:
            self._reject(message, decoded, place())
        self.events += len(decoded.events)
        return [event for _, event in decoded.events]

    def _reject(self, message: bytes, decoded: Decoded, place: str) -> None:
        several = decoded.bad_total + len(decoded.events) + decoded.skipped > 1
        for bad in decoded.bad[:MAX_BAD]:
            element = f", element {bad.position + 1}" if several else ""
            self.rejections.add(str(bad.error), place + element, bad.raw or message)
        if decoded.bad_total > MAX_BAD:
            count = decoded.bad_total - MAX_BAD
            self.rejections.add("more documents of the same line", place, message, count)


class NativeLines:
    """Native events, one per line, from the lines of a source.

    Parameters
    ----------
    lines
        Lines that the source wrote.
    conversion
        Converts them.
    place
        Returns the place of the last line that was read.

    Examples
    --------
    >>> from pivotwatch.ingest.settings import Decoders, read_settings
    >>> rejections = Rejections()
    >>> lines = NativeLines(
    ...     [b'{"id":1,"ts":5,"account":"a","model":"m","x":0}', b"{"],
    ...     Conversion(Decoders(read_settings({})).of("native"), rejections),
    ...     lambda: "the log",
    ... )
    >>> list(lines), [(rejected.reason, rejected.place) for rejected in rejections]
    ([b'{"id":"1","ts":5,"account":"a","model":"m"}'], [('not JSON', 'the log')])
    """

    def __init__(self, lines: Iterable[bytes], conversion: Conversion, place: Place) -> None:
        self._lines = lines
        self._conversion = conversion
        self._place = place

    def __iter__(self) -> Iterator[bytes]:
        return map(orjson.dumps, self.events())

    def events(self) -> Iterator[Event]:
        """The events as objects."""
        for line in messages(self._lines):
            yield from self._conversion.convert(line, self._place)
