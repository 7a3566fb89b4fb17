"""The interface between an operator and the worker that runs it.

An operator is a plain class without Faust, Kafka, clocks or files. A worker (or ``replay``) gives it records
in the order of their offsets, sends the outputs, and stores the state. One instance serves one partition.

Rules of every operator:

* Outputs depend on the records alone: not on how they were cut into chunks, not on the clock, not on
  snapshots and restarts in between.
* ``snapshot`` returns only the shards that changed since the last call. All shards together with the
  ``meta`` of the same moment are the whole state.
* An exception is a fault of the program: the worker ends, and acknowledges nothing more. Bad input never
  raises; it becomes a dead letter.
* One thread at a time uses it, so it need not be thread-safe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from pivotwatch.contracts.records import InputRecord, Output


class Operator(Protocol):
    """An operator with state, which processes one partition."""

    def process(self, records: Sequence[InputRecord]) -> list[Output]:
        """Process records in the order of their offsets; return the records to send, in order."""

    def meta(self) -> bytes:
        """The small part of the state that the manifest holds (watermark, counters)."""

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        """Shard number to state, of the shards that changed since the last call (of all when ``full``).

        Shard numbers are any non-negative integers. Their count may change: the counting operator appends
        short segments of the open buckets. An empty value removes the shard.
        """

    def restore(self, meta: bytes, shards: Mapping[int, bytes]) -> None:
        """Continue exactly where ``meta`` and ``shards`` were taken. The operator must be new."""


class IdleOperator(Operator, Protocol):
    """An operator that can complete buckets while its partition is idle."""

    def idle_due(self, closed: int) -> int | None:
        """The bucket up to which this partition, if idle, may be completed once another closed ``closed``."""

    def idle(self, bucket: int) -> list[Output]:
        """Complete every bucket up to and including ``bucket``. The decision is in the manifest already."""

    def final(self) -> list[Output]:
        """Close every open bucket and declare the partition finished."""


class ControlledOperator(Operator, Protocol):
    """An operator that also takes control records (releases, decisions of people).

    A control record takes effect at the next unscored bucket. A crash must not change which ones a bucket
    used. So the worker writes ``pins()`` into the manifest *before* it calls ``process`` with later records,
    and passes them to ``repin`` after ``restore``.
    """

    def control(self, topic: str, record: InputRecord) -> list[Output]:
        """Take a record of ``releases`` or ``decisions``; return dead letters only."""

    def pins(self) -> bytes:
        """All control records that were taken and that a snapshot does not include."""

    def repin(self, pins: bytes) -> None:
        """After ``restore``: take the pinned control records again, for the same buckets."""

    @property
    def finished(self) -> bool:
        """Whether every partition has declared its end."""


@runtime_checkable
class Counted(Protocol):
    """An operator with counters, which only metrics read."""

    def counters(self) -> Mapping[str, int]:
        """The current counters; the call changes nothing.

        ``events``, ``late`` and ``failed`` count since this object was made, without what `Operator.restore`
        brought. ``watermark_ms`` is an event time. ``held`` and ``open_incidents`` are current numbers.
        """
