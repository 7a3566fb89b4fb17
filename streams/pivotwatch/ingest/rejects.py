"""Dead letters of traffic of others: they hold prompts and keys, so by default only their shape goes on."""

from __future__ import annotations

from typing import Any, Literal

import orjson
from msgspec import UNSET

from pivotwatch.contracts.dead_letters import About, dead_letter
from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.ingest.decoder import Misread
from pivotwatch.ingest.private import shape_of

Redaction = Literal["redacted", "full", "empty"]


def letter(
    misread: Misread,
    redaction: Redaction,
    source: str,
    record: InputRecord | None = None,
    place: tuple[str, int] | None = None,
) -> Output:
    """A dead letter.

    Parameters
    ----------
    misread
        What could not be read.
    redaction
        ``redacted``: the shape of the document, without any value; ``empty``: nothing of it;
        ``full``: all of it (of lines and arrays this one), with key and headers of its record.
    source
        Name of the source mapping.
    record, place
        The Kafka record that it came in, and the topic and partition of that.

    Examples
    --------
    >>> from pivotwatch.contracts.events import BadEvent
    >>> bad = Misread(3, BadEvent("ts: expected a time"), {"prompt": "hello"})
    >>> output = letter(bad, "redacted", "litellm")
    >>> output.value, output.headers[-1]
    (b'{"prompt":"<text of 5>"}', ('pivotwatch.errors.position', b'3'))
    """
    about = About(
        topic=UNSET if place is None else place[0],
        partition=UNSET if place is None else str(place[1]),
        offset=UNSET if record is None else str(record.offset),
        source=source,
        stage="ingest",
        error_class=type(misread.error).__name__,
        message=str(misread.error),
        position=str(misread.position),
    )
    if redaction == "redacted":
        body = b"" if misread.document is None else _dumps(shape_of(misread.document))
    elif redaction == "full":
        body = misread.raw if misread.document is None else _dumps(misread.document)
    else:
        body = b""
    if redaction == "full" and record is not None:
        return dead_letter(about, record.key, body, tuple(record.headers))
    return dead_letter(about, None, body)


def _dumps(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except (orjson.JSONEncodeError, RecursionError):
        return b""
