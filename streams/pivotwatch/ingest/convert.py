"""Converts the lines of a source to lines of native events, for replay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import orjson

from pivotwatch.base.errors import WrongUse
from pivotwatch.detection.rejections import Rejections
from pivotwatch.ingest.decoder import MAX_BAD, Decoded, Decoder
from pivotwatch.ingest.documents import messages
from pivotwatch.ingest.request_identity import SeenRequests


class NativeLines:
    """Native events, one per line, from the lines of a source.

    Parameters
    ----------
    lines
        Lines that the source wrote.
    decoder
        Reads the source.
    rejections
        Counts the documents that cannot be read.
    place
        Returns the place of the last line that was read.

    Attributes
    ----------
    events, skipped
        Number of events so far, and of documents that gave none although they can be read.
    no_requests, repeats
        Number of documents that were not requests, by reason, and of repeated reports of a request.

    Examples
    --------
    >>> from pivotwatch.ingest.settings import Decoders, read_settings
    >>> rejections = Rejections()
    >>> lines = NativeLines(
    ...     [b'{"id":1,"ts":5,"account":"a","model":"m","x":0}', b"{"],
    ...     Decoders(read_settings({})).of("native"),
    ...     rejections,
    ...     lambda: "the log",
    ... )
    >>> list(lines), [(rejected.reason, rejected.place) for rejected in rejections]
    ([b'{"id":"1","ts":5,"account":"a","model":"m"}'], [('not JSON', 'the log')])
    """

    def __init__(
        self, lines: Iterable[bytes], decoder: Decoder, rejections: Rejections, place: Callable[[], str]
    ) -> None:
        if decoder.mapping.form == "otlp_proto":
            raise WrongUse(
                f"source {decoder.mapping.name} is binary and has no lines: export it as otlp_json"
            )
        self._lines = lines
        self._decoder = decoder
        self._rejections = rejections
        self._place = place
        self._seen = SeenRequests[bool]()
        self.events = 0
        self.no_requests = Counter[str]()
        self.repeats = 0

    @property
    def skipped(self) -> int:
        """Number of documents that gave no event although they can be read."""
        return self.repeats + self.no_requests.total()

    def __iter__(self) -> Iterator[bytes]:
        for line in messages(self._lines):
            decoded = self._decoder.decode(line, seen=self._seen)
            self.no_requests.update(decoded.no_requests)
            self.repeats += decoded.repeats
            if decoded.bad_total:
                self._reject(line, decoded)
            for _, event in decoded.events:
                self.events += 1
                yield orjson.dumps(event)

    @property
    def group_accounts(self) -> int:
        """Number of documents whose account is a group of users."""
        return self._decoder.group_accounts

    def models(self) -> set[str]:
        """The models of all events that are left to read."""
        return {orjson.loads(line)["model"] for line in self}

    def _reject(self, line: bytes, decoded: Decoded) -> None:
        place = self._place()
        several = decoded.bad_total + len(decoded.events) + decoded.skipped > 1
        for bad in decoded.bad[:MAX_BAD]:
            element = f", element {bad.position + 1}" if several else ""
            self._rejections.add(str(bad.error), place + element, bad.raw or line)
        if decoded.bad_total > MAX_BAD:
            self._rejections.add("more documents of the same line", place, line, decoded.bad_total - MAX_BAD)
