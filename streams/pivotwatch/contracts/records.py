"""Kafka records as operators take and give them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

Header = tuple[str, bytes | None]
"""Name and value of a header of a Kafka record. Kafka knows headers without a value."""


class InputRecord(Protocol):
    """A Kafka record that an operator reads: aiokafka's, or a `Line`."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int | None:
        """Time of the record in epoch milliseconds; None: events are not checked for times in the future."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[Header]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """An `InputRecord` that is not from Kafka, such as a line of a file."""

    value: bytes | None
    offset: int = 0
    timestamp: int | None = None
    key: bytes | None = None
    headers: tuple[Header, ...] = ()


class Unreadable(bytes):
    """The value of a record that stands for records which could not be read; it says why, as text.

    No decoder takes it, so it becomes a dead letter like every other value that is not as expected.
    """


@dataclasses.dataclass(frozen=True, slots=True)
class Output:
    """A record to send.

    Attributes
    ----------
    topic
        Logical name of the topic: buckets, alerts, status, dlq or deliveries_dlq.
    key, value, headers
        Of the record.
    """

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[Header, ...] = ()
