"""The task of a role: the part of a worker that differs between roles.

`pivotwatch.engine.shell.Shell` does everything else.
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
from pivotwatch.engine.log_check import Positions
from pivotwatch.engine.log_position import LogPosition
from pivotwatch.engine.metrics import Metrics, Worker
from pivotwatch.engine.producer import AppProducer
from pivotwatch.engine.types import TP


class LivePartition:
    """A partition of the input that this worker owns, from assignment to revocation.

    Parameters
    ----------
    tp
        The partition.
    offset
        The next offset to process.

    Attributes
    ----------
    begun
        Whether the offset to continue at is set. Chunks that were fetched before are not processed.
    ended
        Whether the assignment has ended.
    saved_at
        When its offset was last made durable (`time.monotonic`).
    logs
        How far the partition was read and in which log; also of other topics that its state depends on.
    """

    def __init__(self, tp: TP, offset: int = 0) -> None:
        self.tp = tp
        self.offset = offset
        self.begun = False
        self.ended = False
        self.saved_at = time.monotonic()
        self.logs: dict[TP, LogPosition] = {tp: LogPosition()}
        self._seek = -1

    def read(self, chunk: Chunk) -> bool:
        """Note in which log a chunk was read; True when this log may be another one.

        So it may be under a new leader, and when the consumer went back by itself: its offset was no longer
        in the log.
        """
        known, begin, end = self.logs[self.tp], chunk[0].offset, chunk[-1].offset + 1
        first = max(begin, known.end) if chunk.seek == self._seek else begin
        self._seek = chunk.seek
        if first < end:
            self.logs[self.tp] = known.advanced(chunk.epochs, first, end)
        after = self.logs[self.tp]
        return first > begin or bool(known.read and after.read and known.read[-1][0] != after.read[-1][0])

    @property
    def counters(self) -> Mapping[str, int]:
        """Counters of the partition, for metrics."""
        return {}

    def end(self) -> None:
        """Process and save nothing more."""
        self.ended = True


L = TypeVar("L", bound=LivePartition)


class Host(Protocol[L]):
    """The interface of the shell to its task.

    Attributes
    ----------
    app, config, producer
        The Faust app, the configuration, and the producer of the app.
    live
        The partitions of this worker.
    until_end
        Where every partition ends in a finite run, None for a live one.
    reset
        Partitions whose state is reset; the offsets that the group has committed do not count for them.
    metrics
        The result of `RoleTask.make_metrics`.
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
        """A function that lets the group commit an offset; it acts in this assignment only."""

    def is_current(self, chunk: Chunk) -> bool:
        """Whether a chunk was read after the last seek."""

    async def compare(self, live: L) -> None:
        """Compare what was read of a partition with the log of now; raise `LogChanged` when it is another."""

    def position(self, tp: TP) -> Position | None:
        """How far a live partition is fetched; None until everything fetched is processed."""

    def has_reached_end(self, tp: TP) -> bool:
        """Whether everything before the end of a finite run is processed."""

    def fail(self, error: BaseException) -> None:
        """End the process. The worker processes, sends and commits nothing more."""


class RoleTask(Generic[L]):
    """The work of one role in one process. Every method runs in the event loop of the worker.

    A role without partitions does not implement `load`, `place`, `take` and `is_done`.

    Attributes
    ----------
    role
        Name of the role.
    positions_from_group
        Whether the group keeps which log was read, with the committed offsets; else the state does.
    may_repeat
        Whether a topic that was created again may be read from its beginning: what comes twice has no effect.
    host
        The shell that runs this task. The shell sets it before it calls any method.
    """

    role: ClassVar[str]
    positions_from_group: ClassVar[bool] = True
    may_repeat: ClassVar[bool] = False
    host: Host[L]

    def remedy(self, topic: str) -> str:
        """What a person does when a topic lost records that were read, or was created again."""
        config = self.host.config
        return (
            f"Stop all workers of {self.role}. Then run: kafka-consumer-groups.sh --bootstrap-server "
            f"{config.brokers} --group {config.app_id(self.role)} --topic {topic} --reset-offsets "
            f"--to-earliest --execute; pivotwatch worker --role {self.role} (with its --instance)"
        )

    def followed(self) -> Sequence[Positions]:
        """What was read of topics that belong to no partition of the worker."""
        return ()

    def make_metrics(self, worker: Worker) -> Metrics:
        """Create the metrics of the worker."""
        return Metrics(self.role, worker)

    def label(self, tp: TP) -> str:
        """The name of a partition in metrics and health."""
        return str(tp.partition)

    def background(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """Coroutines that run until the process ends."""
        return ()

    async def load(self, tp: TP, stored: Mapping[bytes, bytes]) -> L:
        """Create a live partition from its changelog (empty for a role without state)."""
        raise NotImplementedError

    async def started(self, live: L) -> None:
        """Called when a loaded partition is in place, before its first chunk."""

    def place(self, live: L, earliest: int, end: int, committed: int | None) -> None:
        """Set the offset of a partition that was not read yet.

        Parameters
        ----------
        live
            The partition.
        earliest, end
            The first offset that the topic still holds, and the one after its last.
        committed
            The offset that the group has committed; None when it has committed none.
        """
        raise NotImplementedError

    def placed(self) -> None:
        """Called when every partition of the worker has an offset, before they are read."""

    async def take(self, live: L, chunk: Chunk) -> None:
        """Take a chunk. The task clears it after processing, so that nothing keeps its values."""
        raise NotImplementedError

    async def upkeep(self) -> None:
        """Called ten times a second."""

    def dropped(self) -> None:
        """Called when the assignment has ended and no partition is live."""

    def cancel(self) -> None:
        """Cancel what is being processed. Called when the agent has ended."""

    def is_done(self, live: L) -> bool:
        """Whether a finite run is over for a partition."""
        raise NotImplementedError

    async def save(self) -> None:
        """Save everything that was processed. The group commits afterwards."""

    async def stop(self) -> None:
        """Accept nothing more, and save. The group commits afterwards."""

    async def stopped(self) -> None:
        """Called after the last commit."""

    def is_waiting(self, live: L) -> bool:
        """Whether a partition waits on purpose, so that it does not count as stalled."""
        return False

    def progress(self) -> Mapping[Key, int]:
        """Progress of work other than partitions, for `pivotwatch.engine.health.Health`."""
        return {}

    def due(self) -> Mapping[Key, int]:
        """How far each named part of `progress` should be. The broker says where partitions end."""
        return {}

    def held(self) -> str:
        """Why the work is held until a person acts; empty when it is not."""
        return ""

    def is_ready(self) -> bool:
        """Whether everything besides the partitions is ready."""
        return True
