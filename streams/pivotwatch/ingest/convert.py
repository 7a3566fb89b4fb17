"""Converts the lines of a source to lines of native events, for replay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import orjson

from pivotwatch.base.errors import WrongUse
from pivotwatch.ingest.decoder import MAX_BAD, Decoder
from pivotwatch.ingest.documents import messages


class NativeLines:
    """Native events, one per line, from the lines of a source.

    Attributes
    ----------
    events, skipped
        Number of events so far, and of documents that were no requests.
    unreadable
        Number of documents that could not be read, by field.

    Examples
    --------
    >>> from pivotwatch.ingest.settings import Decoders, read_settings
    >>> lines = NativeLines(
    ...     [b'{"id":1,"ts":5,"account":"a","model":"m","x":0}', b"{"],
    ...     Decoders(read_settings({})).of("native"),
    ... )
    >>> list(lines), dict(lines.unreadable)
    ([b'{"id":"1","ts":5,"account":"a","model":"m"}'], {'not JSON': 1})
    """

    def __init__(self, lines: Iterable[bytes], decoder: Decoder) -> None:
        if decoder.mapping.form == "otlp_proto":
            raise WrongUse(
                f"source {decoder.mapping.name} is binary and has no lines: export it as otlp_json"
            )
        self._lines = lines
        self._decoder = decoder
        self.events = 0
        self.skipped = 0
        self.unreadable: Counter[str] = Counter()

    def __iter__(self) -> Iterator[bytes]:
        for line in messages(self._lines):
            decoded = self._decoder.decode(line)
            self.skipped += decoded.skipped
            for bad in decoded.bad[:MAX_BAD]:
                self.unreadable[str(bad.error).partition(":")[0]] += 1
            if decoded.bad_total > MAX_BAD:
                self.unreadable["more documents of the same line"] += decoded.bad_total - MAX_BAD
            for _, event in decoded.events:
                self.events += 1
                yield orjson.dumps(event)
