"""The task of a role that runs operators: one per partition, with exact checkpoints."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar

from pivotwatch.contracts.records import Output
from pivotwatch.engine.checkpoint import Checkpoints, spacing
from pivotwatch.engine.checkpoint_format import Epoch, Identity, latest
from pivotwatch.engine.chunk_queues import ChunkQueues
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.gc_tuning import give_back
from pivotwatch.engine.partition_task import PartitionTask
from pivotwatch.engine.producer import OutputSender
from pivotwatch.engine.role_task import RoleTask
from pivotwatch.engine.topic_follower import TopicFollower
from pivotwatch.engine.types import TP

logger = logging.getLogger(__name__)

P = TypeVar("P", bound=PartitionTask[Any])


class OperatorTask(RoleTask[P]):
    """Runs the operators of a worker, and saves their state.

    Parameters
    ----------
    partitions
        Number of partitions of ``requests``. A state belongs to one number.
    make_operator
        Creates an operator.
    thread
        Runs the operators of this worker, one call at a time; a new thread by default.
    """

    positions_from_group = False

    def __init__(
        self, partitions: int, make_operator: Callable[..., Any], thread: Executor | None = None
    ) -> None:
        self.partitions = partitions
        self.make_operator = make_operator
        self._thread = thread or ThreadPoolExecutor(1, thread_name_prefix="operators")
        self._queues = ChunkQueues[P](self._take, self._fail, self._hold)

    @property
    def identity(self) -> Identity:
        """The identity of the states of this worker."""
        fingerprint, *earlier = self.host.config.state_fingerprints
        return Identity(self.role, self.partitions, fingerprint, tuple(earlier))

    @abstractmethod
    def new(self, tp: TP, **parts: Any) -> P:
        """Create a live partition; ``parts`` are parameters of `PartitionTask`."""

    async def tend(self, live: P) -> None:
        """Do what a partition needs besides chunks; called ten times a second."""

    async def load(self, tp: TP, stored: Mapping[bytes, bytes]) -> P:
        """Load the state that counts, or begin a new one."""
        loop, identity = asyncio.get_running_loop(), self.identity
        snapshot = await loop.run_in_executor(self._thread, latest, stored, identity)
        checkpoints = Checkpoints(
            self.host.changelog(tp),
            identity,
            Epoch(self.host.app.consumer_generation_id, uuid.uuid4().hex[:12]),
            leftovers=set(stored),
            acknowledge=self.host.acknowledger(tp),
        )
        live = self.new(
            tp,
            thread=self._thread,
            checkpoints=checkpoints,
            output_sender=OutputSender(
                self.host.producer.send, self.host.config.topic, self.host.fail, self.sent
            ),
            snapshot=snapshot,
            is_ours=self.host.consumer.is_member,
        )
        live.timed = self._saved
        if snapshot is not None:
            await live.restore(snapshot)
        return live

    def place(self, live: P, earliest: int, end: int, committed: int | None) -> None:
        """Continue where the state ends."""
        live.begin(earliest, end, None if live.tp in self.host.reset else committed)

    async def take(self, live: P, chunk: Chunk) -> None:
        """Queue a chunk for its partition."""
        self._queues.add(live, chunk)

    async def feed(self, live: P, chunk: Chunk) -> None:
        """Let a partition process a chunk."""
        await live.take(chunk)

    async def upkeep(self) -> None:
        """Tend every partition, and save each one whose checkpoint is due."""
        partitions = list(self.host.live.values())
        apart = spacing(self.host.config.checkpoint_interval.total_seconds(), [p.cost for p in partitions])
        for live in partitions:
            await self.tend(live)
            if time.monotonic() - live.saved_at >= apart:
                await live.checkpoint()

    async def follow(self, follower: TopicFollower) -> None:
        """Follow topics until cancelled. The worker ends when that fails."""
        try:
            await follower.run()
        except Exception as error:
            self.host.fail(error)

    def dropped(self) -> None:
        """Discard queued chunks. A chunk that is being processed ends with its partition."""
        self._queues.clear()

    def cancel(self) -> None:
        """Cancel what is being processed. A call in the thread runs to its end; its result is dropped."""
        self._queues.cancel()

    async def save(self) -> None:
        """Write a checkpoint of every partition."""
        for live in list(self.host.live.values()):
            await live.checkpoint()

    async def stop(self) -> None:
        """Accept no more chunks; write a checkpoint of every partition."""
        self._queues.close()
        for live in list(self.host.live.values()):
            await live.checkpoint()
            live.end()

    def sent(self, outputs: Sequence[Output]) -> None:
        """Count outputs of operators."""
        self.host.metrics.sent(outputs)

    async def _take(self, live: P, chunk: Chunk) -> None:
        """Process a chunk, and save after ``checkpoint_events`` records."""
        # A chunk that was queued before the last seek is read again after it.
        if self.host.is_current(chunk):
            await self._check_gap(live, chunk)
            await self.feed(live, chunk)
            if live.events >= self.host.config.checkpoint_events:
                await live.checkpoint()

    async def _check_gap(self, live: P, chunk: Chunk) -> None:
        """End the worker when retention deleted records before a chunk; markers leave gaps, too.

        A chunk of earlier offsets comes when the log has lost its end: aiokafka then reads from the start.
        """
        if chunk and live.begun and chunk[0].offset != chunk.after + 1:
            if chunk[0].offset <= chunk.after:
                await self.host.compare(live)
            earliest = (await self.host.consumer.earliest_offsets(live.tp))[live.tp]
            live.check_topic(chunk.after + 1, earliest, end=chunk[0].offset)

    def _hold(self, tps: frozenset[TP]) -> None:
        self.host.consumer.held = tps

    def _fail(self, error: BaseException) -> None:
        self.host.fail(error)

    def _saved(self, seconds: float) -> None:
        """Record the duration of a checkpoint, and free memory."""
        self.host.metrics.checkpoint.observe(seconds)
        self._thread.submit(give_back)
