"""Dead letters of traffic of others: they hold prompts and keys, so by default only their shape goes on."""

from __future__ import annotations

from typing import Any, Literal

import orjson

from pivotwatch.contracts.dead_letters import enclose
from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.ingest.decoder import Misread
from pivotwatch.ingest.private import shape_of

Redaction = Literal["redacted", "full", "empty"]


def letter(
    misread: Misread, redaction: Redaction, told: dict[str, object], record: InputRecord | None = None
) -> Output:
    """A dead letter.

    Parameters
    ----------
    misread
        What could not be read.
    redaction
        ``redacted``: the shape of the document, without any value; ``empty``: nothing of it;
        ``full``: all of it (of lines and arrays this one), with key and headers of its record.
    told
        Where it came from, for the headers: source, topic, partition, offset.
    record
        The Kafka record that it came in.

    Examples
    --------
    >>> from pivotwatch.contracts.events import BadEvent
    >>> bad = Misread(3, BadEvent("ts: expected a time"), {"prompt": "hello"})
    >>> output = letter(bad, "redacted", {"source": "litellm"})
    >>> output.value, output.headers[-1]
    (b'{"prompt":"<text of 5>"}', ('pivotwatch.errors.position', b'3'))
    """
    headers = {
        **told,
        "stage": "ingest",
        "class": type(misread.error).__name__,
        "message": misread.error,
        "position": misread.position,
    }
    if redaction == "redacted":
        body = b"" if misread.document is None else _dumps(shape_of(misread.document))
    elif redaction == "full":
        body = misread.raw if misread.document is None else _dumps(misread.document)
    else:
        body = b""
    if redaction == "full" and record is not None:
        return enclose(record.key, body, record.headers, headers)
    return enclose(None, body, (), headers)


def _dumps(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except (orjson.JSONEncodeError, RecursionError):
        return b""
