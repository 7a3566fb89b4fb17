"""What a role does: the part of a worker that differs from role to role.

`pivotwatch.engine.worker.Shell` does everything else.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pivotwatch.config.config import Config
from pivotwatch.engine.changelog import PartitionLog
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.fetching.consumer import FetchConsumer, Position
from pivotwatch.engine.health import Key
from pivotwatch.engine.metrics import Metrics, Worker
from pivotwatch.engine.producer import AppProducer
from pivotwatch.engine.types import TP


class LivePartition:
    """A partition of the input that this worker owns, from its assignment to the end of the assignment.

    Parameters
    ----------
    tp
        Which partition.
    offset
        The next offset to process.

    Attributes
    ----------
    begun
        Whether it is known where to read on. What comes before was fetched from elsewhere.
    ended
        Whether the assignment has ended.
    saved_at
        When its offset was last made durable (`time.monotonic`).
    """

    def __init__(self, tp: TP, offset: int = 0) -> None:
        self.tp = tp
        self.offset = offset
        self.begun = False
        self.ended = False
        self.saved_at = time.monotonic()

    @property
    def counters(self) -> Mapping[str, int]:
        """What the partition has counted, for metrics."""
        return {}

    def end(self) -> None:
        """Process and save nothing more."""
        self.ended = True


L = TypeVar("L", bound=LivePartition)


class Host(Protocol[L]):
    """What a task uses of the shell that runs it.

    Attributes
    ----------
    app, config, producer
        The Faust app, the configuration, and the producer of the app.
    live
        The partitions of this worker.
    until_end
        Where every partition ends in a finite run, None for a live one.
    reset
        Partitions whose state is to be forgotten; what the group has committed does not count for them.
    metrics
        What `RoleTask.make_metrics` made.
    """

    app: Any
    config: Config
    producer: AppProducer
    live: dict[TP, L]
    until_end: Mapping[TP, int] | None
    reset: set[TP]
    metrics: Metrics

    @property
    def consumer(self) -> FetchConsumer:
        """The consumer of the app."""

    def changelog(self, tp: TP) -> PartitionLog:
        """The changelog of a partition."""

    def acknowledger(self, tp: TP) -> Callable[[int], None]:
        """What lets the group commit an offset, in this assignment alone."""

    def is_current(self, chunk: Chunk) -> bool:
        """Whether a chunk was read after the last seek."""

    def position(self, tp: TP) -> Position | None:
        """How far a live partition is fetched, once everything fetched is processed."""

    def has_reached_end(self, tp: TP) -> bool:
        """Whether everything before the end of a finite run is processed."""

    def fail(self, error: BaseException) -> None:
        """End the process; nothing more is processed, sent or committed by this worker."""


class RoleTask(Generic[L]):
    """What one role does in one process. Every method runs in the event loop of the worker.

    A role without partitions leaves `load`, `place`, `take` and `is_done` out.

    Attributes
    ----------
    role
        Name of the role.
    host
        The shell that runs this task; set before anything is called.
    """

    role: ClassVar[str]
    host: Host[L]

    def make_metrics(self, worker: Worker) -> Metrics:
        """Make the metrics of the worker."""
        return Metrics(self.role, worker)

    def label(self, tp: TP) -> str:
        """The name of a partition in metrics and health."""
        return str(tp.partition)

    def background(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """Coroutines that run until the process ends."""
        return ()

    async def load(self, tp: TP, stored: Mapping[bytes, bytes]) -> L:
        """Make a live partition from what its changelog holds (nothing for a role without state)."""
        raise NotImplementedError

    async def started(self, live: L) -> None:
        """Called when a loaded partition is in place, before its first chunk."""

    def place(self, live: L, earliest: int, end: int, committed: int | None) -> None:
        """Set the offset of a partition from which nothing was read yet.

        Parameters
        ----------
        live
            The partition.
        earliest, end
            The first offset that the topic still holds, and the one behind its last.
        committed
            What the group has committed, None when it has committed nothing.
        """
        raise NotImplementedError

    def placed(self) -> None:
        """Called when every partition of the worker has an offset; they are read from there on."""

    async def take(self, live: L, chunk: Chunk) -> None:
        """Take a chunk; whoever has processed it clears it, so that nobody keeps its values."""
        raise NotImplementedError

    async def upkeep(self) -> None:
        """Called several times a second."""

    def dropped(self) -> None:
        """Called when the assignment has ended; no partition is live any more."""

    def cancel(self) -> None:
        """Break off what is under way: the agent has ended."""

    def is_done(self, live: L) -> bool:
        """Whether a finite run is over for a partition."""
        raise NotImplementedError

    async def save(self) -> None:
        """Make everything durable that was processed; the group commits afterwards."""

    async def stop(self) -> None:
        """Take nothing more, and make durable what there is; the group commits afterwards."""

    async def stopped(self) -> None:
        """Called after the last commit."""

    def is_waiting(self, live: L) -> bool:
        """Whether a partition stands still on purpose, and so is not stalled."""
        return False

    def progress(self) -> Mapping[Key, int]:
        """How far work is that is no partition of the input, for `pivotwatch.engine.health.Health`."""
        return {}

    def due(self) -> Mapping[Key, int]:
        """How far the named parts of `progress` should be; where partitions end is asked of the broker."""
        return {}

    def is_ready(self) -> bool:
        """Whether everything beside the partitions is ready."""
        return True
