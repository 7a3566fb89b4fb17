"""Dead letters: what could not be read, with everything needed to find out why and to send it again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import InputRecord, Output

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


@dataclasses.dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as it lies in its topic.

    Attributes
    ----------
    partition, offset
        Its own place in the topic of dead letters.
    key, value, headers
        Of the record that could not be read.
    about
        What is told of it: topic, partition, offset, class, message; position in an array;
        null, for a value that was none at all.
    """

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    about: Mapping[str, str]

    @property
    def identity(self) -> str:
        """How it is named on the command line."""
        return f"{self.partition}:{self.offset}"

    @property
    def origin(self) -> str:
        """Where it came from."""
        place = f"[{self.about['position']}]" if "position" in self.about else ""
        topic, partition, offset = (self.about.get(name, "?") for name in ("topic", "partition", "offset"))
        return f"{topic}/{partition}@{offset}{place}"

    @property
    def obstacle(self) -> str:
        """Why it cannot be sent again; empty when it can."""
        if "length" in self.about:
            return f"only the beginning of {self.about['length']} bytes is kept"
        if not self.about.get("topic"):
            return "it does not say where it came from"
        if self.key is None and self.value is None:
            return "it had neither key nor value, and no client sends such a record"
        return ""


def letter_of(record: Any) -> DeadLetter:
    """Take a record of the topic of dead letters apart.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> headers = [("trace", b"1"), ("pivotwatch.errors.topic", b"requests")]
    >>> record = SimpleNamespace(partition=0, offset=4, timestamp=0, key=b"k", value=b"{", headers=headers)
    >>> letter_of(record).headers, letter_of(record).origin
    ((('trace', b'1'),), 'requests/?@?')
    """
    own = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
    about = {
        name.removeprefix(PREFIX): (value or b"").decode(errors="replace")
        for name, value in record.headers
        if name.startswith(PREFIX)
    }
    value = None if "null" in about else record.value
    return DeadLetter(record.partition, record.offset, record.timestamp, record.key, value, tuple(own), about)
