"""The records that pass between a step and what drives it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol


class InputRecord(Protocol):
    """One Kafka record, as aiokafka delivers it; ``replay`` makes its own."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int | None:
        """The record's own timestamp in epoch milliseconds; None switches the future check off."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """An `InputRecord` that did not come from Kafka (a line of a file, a test)."""

    value: bytes | None
    offset: int = 0
    timestamp: int | None = None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Output:
    """A record to be sent. ``topic`` is the logical name: buckets, alerts, status, dlq."""

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
