"""What passes between a step and the shell that drives it.

A step is a plain class without Faust, Kafka, clocks or files. A shell (a Faust agent, or
``replay``) hands it records in offset order, sends what it returns, and stores its state.
One step instance serves one partition of its input topic.

The rules that every step keeps:

* What it returns depends on the records alone: not on how they were cut into chunks, not
  on the wall clock, not on how often the step was snapshot and restored in between.
* ``snapshot`` returns only the shards that changed since the last one; all shards and the
  ``meta`` taken at the same moment together are the whole state.
* An exception out of a step is a fault of the program: the shell lets the process die
  with nothing more acknowledged. Bad input never raises, it becomes a dead letter.

What takes long (the close of a bucket, its score, a snapshot) is `Work`, done in slices: between two of them
a shell lets others run, but gives this step nothing else to do and saves nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from pivotwatch.base.work import Work
from pivotwatch.contracts.records import InputRecord, Output


@runtime_checkable
class Step(Protocol):
    """A step with state, fed by one partition."""

    def process(self, records: Sequence[InputRecord]) -> list[Output]:
        """Take records in offset order; return what is to be sent, in order."""

    def meta(self) -> bytes:
        """The small part of the state that belongs into the marker (watermark, counters, pins)."""

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        """Shard number to state, of the shards changed since the last call (all when ``full``).

        Shard numbers are any non-negative integers (no fixed count: the accounts step adds short
        segments of the open buckets behind its account shards). An empty value removes the shard.
        """

    def restore(self, meta: bytes, shards: Mapping[int, bytes]) -> None:
        """Continue exactly where ``meta`` and ``shards`` were taken. The step must be new."""


@runtime_checkable
class SlicedOperator(Protocol):
    """A step that can do its work in slices, with the same results."""

    def processing(self, records: Sequence[InputRecord]) -> Work[list[Output]]:
        """The work of `Step.process`."""

    def saving(self, *, full: bool = False) -> Work[dict[int, bytes]]:
        """The work of `Step.snapshot`."""


class IdleOperator(Step, Protocol):
    """The accounts step: it can also complete buckets when its partition has run dry."""

    def idle_due(self, now_ms: int) -> int | None:
        """The bucket up to which an idle partition may be completed at ``now_ms``, or None."""

    def idle(self, bucket: int) -> list[Output]:
        """Complete every bucket up to and including ``bucket`` (decided and in the marker before)."""

    def final(self) -> list[Output]:
        """Close every open bucket and declare the partition finished."""


@runtime_checkable
class SlicedIdleOperator(SlicedOperator, Protocol):
    """An `IdleOperator` that can do its work in slices."""

    def idling(self, bucket: int) -> Work[list[Output]]:
        """The work of `IdleOperator.idle`."""

    def ending(self) -> Work[list[Output]]:
        """The work of `IdleOperator.final`."""


class ControlledOperator(Step, Protocol):
    """The networks step: it also takes control records (releases, decisions).

    A control record takes effect at the next unscored bucket. Which ones a bucket used must
    survive a crash, so the shell writes ``pins()`` into the marker and awaits it *before* it
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
        """True once ``final`` has come from every partition."""


@runtime_checkable
class Counted(Protocol):
    """A step that can say what it has counted, for metrics only."""

    def counters(self) -> Mapping[str, int]:
        """Numbers of the present moment, changing nothing.

        ``events``, ``late`` and ``failed`` count since this object was made (what `restore` brought is
        not among them); ``watermark_ms`` is an event time; ``held`` and ``open_incidents``
        are numbers of the moment.
        """
