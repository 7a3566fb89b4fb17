"""Dead letters of documents that could not be read.

Documents hold prompts and keys. By default a dead letter therefore holds only the shape of its document.
"""

from __future__ import annotations

from typing import Any, Literal

import orjson
from msgspec import UNSET

from pivotwatch.contracts import dead_letters
from pivotwatch.contracts.dead_letters import About
from pivotwatch.contracts.records import InputRecord, Output, Unreadable
from pivotwatch.ingest.decoded import BadDocument
from pivotwatch.ingest.private import shape_of

Redaction = Literal["redacted", "full", "empty"]


def dead_letter(
    bad: BadDocument,
    redaction: Redaction,
    source: str,
    record: InputRecord | None = None,
    partition: tuple[str, int] | None = None,
) -> Output:
    """Make the dead letter of a document.

    Parameters
    ----------
    bad
        The document.
    redaction
        What the dead letter holds. ``redacted``: the shape of the document without values. ``full``: the
        document, with key and headers of its record. ``empty``: nothing.
    source
        Name of the source.
    record, partition
        The Kafka record that held the document, and its topic and partition; None for HTTP.

    Examples
    --------
    >>> from pivotwatch.contracts.events import BadEvent
    >>> bad = BadDocument(3, BadEvent("ts: expected a time"), {"prompt": "hello"})
    >>> output = dead_letter(bad, "redacted", "litellm")
    >>> output.value, output.headers[-1]
    (b'{"prompt":"<text of 5>"}', ('pivotwatch.errors.redacted', b'1'))
    """
    about = About(
        topic=UNSET if partition is None else partition[0],
        partition=UNSET if partition is None else str(partition[1]),
        offset=UNSET if record is None else str(record.offset),
        source=source,
        stage="ingest",
        error_class=type(bad.error).__name__,
        message=str(bad.error),
        position=str(bad.position),
        redacted=UNSET if redaction == "full" else "1",
    )
    if record is not None and isinstance(record.value, Unreadable):
        body: bytes = record.value
    elif redaction == "redacted":
        body = _size(bad.raw) if bad.document is None else _encoded(shape_of(bad.document))
    elif redaction == "full":
        body = bad.raw if bad.document is None else _encoded(bad.document)
    else:
        body = b""
    if redaction == "full" and record is not None:
        return dead_letters.dead_letter(about, record.key, body, tuple(record.headers))
    return dead_letters.dead_letter(about, None, body)


def _size(raw: bytes) -> bytes:
    """What a redacted dead letter holds of a text without a shape."""
    return b'"<text of %d bytes>"' % len(raw) if raw else b""


def _encoded(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except (orjson.JSONEncodeError, RecursionError):
        return b""
