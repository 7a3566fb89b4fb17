"""Dead letters: what could not be read, with everything needed to find out why and to send it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pivotwatch.contracts.events import BadEvent
from pivotwatch.engine.operator import InputRecord, Output

PREFIX = "pivotwatch.errors."
MAX_BYTES = 900_000
"""A broker takes about 1 MB: of a longer record the beginning is kept, and its length is told."""
MAX_AROUND = 50_000
"""So much room have a key and headers; of more only the beginning of the key is kept."""
MAX_MESSAGE = 1_000


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
    return enclose(record.key, raw, record.headers, told)


def enclose(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]], told: Mapping[str, object]
) -> Output:
    """A letter that every broker takes, whatever is in it. ``null`` tells of a value that was none at all.

    Examples
    --------
    >>> enclose(b"k", None, (), {"message": "empty"}).headers
    (('pivotwatch.errors.message', b'empty'), ('pivotwatch.errors.null', b'1'))
    """
    body, told = value or b"", dict(told)
    if value is None:
        told["null"] = 1
    around = len(key or b"") + sum(len(name) + len(content or b"") for name, content in headers)
    if len(body) > MAX_BYTES:
        told["length"] = len(body)
    if around > MAX_AROUND:
        told["length"] = len(body) + around
        key, headers = key and key[:MAX_MESSAGE], ()
    own = tuple((PREFIX + name, str(text)[:MAX_MESSAGE].encode()) for name, text in told.items())
    return Output("dlq", key, body[:MAX_BYTES], (*headers, *own))
