"""What passes between an operator and the worker that drives it.

An operator is a plain class without Faust, Kafka, clocks or files. A worker (or ``replay``) hands it
records in offset order, sends what it returns, and stores its state. One instance serves one partition
of its input topic.

The rules that every operator keeps:

* What it returns depends on the records alone: not on how they were cut into chunks, not
  on the wall clock, not on how often the operator was snapshot and restored in between.
* ``snapshot`` returns only the shards that changed since the last one; all shards and the
  ``meta`` taken at the same moment together are the whole state.
* An exception out of an operator is a fault of the program: the worker lets the process die
  with nothing more acknowledged. Bad input never raises, it becomes a dead letter.
* It is used by one thread at a time, and need not be thread-safe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from pivotwatch.contracts.records import InputRecord, Output


class Operator(Protocol):
    """An operator with state, fed by one partition."""

    def process(self, records: Sequence[InputRecord]) -> list[Output]:
        """Take records in offset order; return what is to be sent, in order."""

    def meta(self) -> bytes:
        """The small part of the state that belongs into the manifest (watermark, counters)."""

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        """Shard number to state, of the shards changed since the last call (all when ``full``).

        Shard numbers are any non-negative integers (no fixed count: the operator of accounts adds short
        segments of the open buckets behind its account shards). An empty value removes the shard.
        """

    def restore(self, meta: bytes, shards: Mapping[int, bytes]) -> None:
        """Continue exactly where ``meta`` and ``shards`` were taken. The operator must be new."""


class IdleOperator(Operator, Protocol):
    """The operator of accounts: it can also complete buckets when its partition has run dry."""

    def idle_due(self, closed: int) -> int | None:
        """The bucket up to which an idle partition may be completed, when another has closed ``closed``."""

    def idle(self, bucket: int) -> list[Output]:
        """Complete every bucket up to and including ``bucket`` (decided and in the manifest before)."""

    def final(self) -> list[Output]:
        """Close every open bucket and declare the partition finished."""


class ControlledOperator(Operator, Protocol):
    """The operator of networks: it also takes control records (releases, decisions).

    A control record takes effect at the next unscored bucket. Which ones a bucket used must
    survive a crash, so the worker writes ``pins()`` into the manifest and awaits it *before* it
    calls ``process`` with records that it has read later, and hands them back by ``repin``
    after ``restore``.
    """

    def control(self, topic: str, record: InputRecord) -> list[Output]:
        """Take a record of ``releases`` or ``decisions``; returns dead letters only."""

    def pins(self) -> bytes:
        """All control records that are taken but not yet part of the snapshot."""

    def repin(self, pins: bytes) -> None:
        """After ``restore``: take the pinned control records again, at the same buckets."""

    @property
    def finished(self) -> bool:
        """Whether ``final`` has come from every partition."""


@runtime_checkable
class Counted(Protocol):
    """An operator that can say what it has counted, for metrics only."""

    def counters(self) -> Mapping[str, int]:
        """Numbers of the present moment, changing nothing.

        ``events``, ``late`` and ``failed`` count since this object was made (what `Operator.restore`
        brought is not among them); ``watermark_ms`` is an event time; ``held`` and ``open_incidents``
        are numbers of the moment.
        """
