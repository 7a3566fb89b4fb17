"""Dead letters: what could not be read, with everything needed to find out why and to send it again."""

from __future__ import annotations

from streams.events import BadEvent
from streams.steps.contract import InputRecord, Output

PREFIX = "pivotwatch.errors."
MAX_BYTES = 900_000
"""A broker takes about 1 MB: of a longer record the beginning is kept, and its length is told."""


def dead_letter(
    record: InputRecord, raw: bytes | None, position: int | None, error: BadEvent, source: tuple[str, int]
) -> Output:
    """The original key, value and headers, and headers that say where it came from and what is wrong.

    ``source`` is its topic and partition. ``position`` is the place of a bad element in an array;
    then ``raw`` is that element alone (the array, when the element is nested too deeply to be written).
    """
    told: dict[str, object] = {
        "topic": source[0],
        "partition": source[1],
        "offset": record.offset,
        "stage": "decode",
        "class": type(error).__name__,
        "message": error,
    }
    if position is not None:
        told["position"] = position
    body = raw or b""
    if len(body) > MAX_BYTES:
        told["length"] = len(body)
        body = body[:MAX_BYTES]
    headers = tuple((PREFIX + name, str(value).encode()) for name, value in told.items())
    return Output("dlq", record.key, body, (*record.headers, *headers))
