"""What the shells of all steps share: who owns which partition, for how long, and its upkeep.

The hot path is `Shell.run`: chunk in, into the queue of its partition, next chunk; and for each
partition `PartitionTask.take`, one chunk after another. Everything else happens at an assignment
(`drop`, `load`, `resume`) or four times a second (`tend`).
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from faust.types import TP

from pivotwatch.base.errors import WrongUse
from pivotwatch.config.config import Config
from pivotwatch.engine.changelog import PartitionLog
from pivotwatch.engine.checkpoint import Checkpoints, delete, spacing
from pivotwatch.engine.checkpoint_format import Epoch, Identity, latest
from pivotwatch.engine.chunk_queues import ChunkQueues
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.fetching.consumer import Position
from pivotwatch.engine.frame import Frame
from pivotwatch.engine.gc_tuning import give_back
from pivotwatch.engine.health import JOINING, Health
from pivotwatch.engine.metrics import Metrics
from pivotwatch.engine.partition_task import PartitionTask
from pivotwatch.engine.producer import OutputSender
from pivotwatch.engine.turns import Turns

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.25
UNASSIGNED_SECONDS = 5.0
"""A finite run is over for a worker that has had no partition for so long."""
CLOSE_SECONDS = 3.0

L = TypeVar("L", bound=PartitionTask[Any])


class Shell(Frame, Generic[L]):
    """Drives the steps of one role in one process.

    Parameters
    ----------
    app
        The Faust app of the role.
    config
        The configuration.
    source
        Name of the input topic.
    partitions
        Number of partitions of ``requests``; a state belongs to one number.
    make_operator
        Makes a new step.
    until_end
        End of every partition of ``requests`` in a finite run, None for a live one.
    reset_state
        Forget what the changelog holds, and begin with what the topic holds.

    Attributes
    ----------
    live
        The partitions of this worker.
    metrics
        What Prometheus is told.
    """

    def __init__(
        self,
        app: Any,
        config: Config,
        *,
        source: str,
        partitions: int,
        make_operator: Callable[..., Any],
        until_end: Mapping[int, int] | None = None,
        reset_state: bool = False,
    ) -> None:
        super().__init__(app, config)
        self.source = source
        self.partitions = partitions
        self.make_operator = make_operator
        self.until_end = until_end
        self.live: dict[int, L] = {}
        self.metrics = Metrics(self.role, self)
        self.health = Health(self, config.stalled_after.total_seconds())
        self._turns = Turns()
        self._queues = ChunkQueues[L](self._take, self._turns.wait, self.fail, self._hold)
        self._unassigned_since = time.monotonic()
        self._assignment = object()
        self._reset = set(range(partitions)) if reset_state else set[int]()

    @property
    def identity(self) -> Identity:
        """What a state of this worker is made with."""
        fingerprint, *earlier = self.config.state_fingerprints
        return Identity(self.role, self.partitions, fingerprint, tuple(earlier))

    @abstractmethod
    def new(self, partition: int, **parts: Any) -> L:
        """Make a live partition; ``parts`` as `LivePartition` takes them."""

    @abstractmethod
    async def upkeep(self, live: L) -> None:
        """What a partition needs beside chunks, several times a second."""

    @abstractmethod
    def done(self, live: L) -> bool:
        """Is the finite run over for this partition?"""

    async def started(self, live: L) -> None:
        """Called when a partition is in place, before its first chunk."""

    async def run(self, stream: Any) -> None:
        """The agent: hand chunks on to the live partitions; none of them waits for another."""
        try:
            async for event in stream.noack().events():
                live = self.live.get(event.message.partition)
                if live is not None:
                    self._queues.add(live, event.value)
        finally:
            self._queues.cancel()

    async def _take(self, live: L, chunk: Chunk) -> None:
        """Feed a live partition, and save it when it had much."""
        # A chunk that was queued before the last seek is read again after it.
        if chunk.seek == self.consumer.scheduler.seeks:
            await self._check_gap(live, chunk)
            await self.feed(live, chunk)
            if live.events >= self.config.checkpoint_events:
                await live.checkpoint()

    def _hold(self, partitions: frozenset[int]) -> None:
        self.consumer.held = frozenset(TP(self.source, partition) for partition in partitions)

    async def _check_gap(self, live: L, chunk: Chunk) -> None:
        """Offsets that a chunk leaves out were transaction markers, or records that are gone."""
        if chunk and live.begun and chunk[0].offset != chunk.after + 1:
            tp = TP(self.source, live.partition)
            earliest = (await self.consumer.earliest_offsets(tp))[tp]
            live.check_topic(chunk.after + 1, earliest, end=chunk[0].offset)

    async def feed(self, live: L, chunk: Chunk) -> None:
        """Give a chunk to its partition."""
        await live.take(chunk)

    def drop(self) -> None:
        """Forget every live partition, without a checkpoint: the assignment has ended."""
        self.metrics.dropped(self.live.values())
        self._queues.clear()
        for live in self.live.values():
            live.end()
        self.live.clear()
        self._assignment = object()

    async def load(self, partitions: Mapping[int, Mapping[bytes, bytes]]) -> None:
        """Bring the assigned partitions to life."""
        generation, assignment = self.app.consumer_generation_id, self._assignment
        for partition, stored in sorted(partitions.items()):
            if assignment is not self._assignment:
                return  # It has ended while a partition was started, be it in the same generation.
            begun = time.monotonic()
            log = PartitionLog(self.app, self.app.tables["state"].changelog_topic_name, partition)
            if partition in self._reset:
                logger.warning("partition %d: forgetting its state", partition)
                await delete(log, stored)
                stored = {}
            snapshot = latest(stored, self.identity)
            checkpoints = Checkpoints(
                log,
                self.identity,
                Epoch(generation, uuid.uuid4().hex[:12]),
                leftovers=set(stored),
                acknowledge=self._acknowledge(partition),
            )
            output_sender = OutputSender(self.app.producer, self.config.topic, self.fail, self.metrics.sent)  # type: ignore[arg-type]
            live = self.new(
                partition,
                generation=generation,
                checkpoints=checkpoints,
                output_sender=output_sender,
                snapshot=snapshot,
                is_ours=self.consumer.is_member,
            )
            if generation != self.app.consumer_generation_id or assignment is not self._assignment:
                return  # Assigned anew meanwhile; the next call loads.
            live.timed = self._saved
            live.pause = self._turns.wait
            self.live[partition] = live
            await self.started(live)
            logger.info(
                "partition %d: at offset %d, state loaded in %.2f s",
                partition,
                live.offset,
                time.monotonic() - begun,
            )

    async def resume(self, committed: Mapping[TP, int | None]) -> dict[TP, int]:
        """Where to read on; called after `load`, and again whenever Faust seeks.

        Raises
        ------
        WrongUse
            When the input was given more partitions meanwhile: nobody has a state for them, and keys moved.
        """
        kept = self.app.tables["state"].partitions
        if any(tp.partition >= kept for tp in committed):
            raise WrongUse(
                f"{self.source} was given more than the {kept} partitions that this worker started with; "
                "infra/README.md says how to go on with more"
            )
        tps = {tp: self.live[tp.partition] for tp in committed if tp.partition in self.live}
        earliest = await self.consumer.earliest_offsets(*tps) if tps else {}
        ends = await self.consumer.highwaters(*tps) if tps else {}
        offsets = {}
        for tp, live in tps.items():
            known = None if live.partition in self._reset else committed[tp]
            offsets[tp] = live.begin(earliest[tp], ends[tp], known) if not live.begun else live.offset
        return offsets

    def _saved(self, seconds: float) -> None:
        """Note a checkpoint; what it and the buckets before it took is free now."""
        self.metrics.checkpoint.observe(seconds)
        give_back()

    async def tend(self) -> None:
        """Look after the live partitions until the process ends, or the finite run is over."""
        interval = self.config.checkpoint_interval.total_seconds()
        try:
            while not await self._finish():
                await asyncio.sleep(TICK_SECONDS)
                apart = spacing(interval, [live.cost for live in self.live.values()])
                for live in list(self.live.values()):
                    await self.upkeep(live)
                    if time.monotonic() - live.saved_at >= apart:
                        await live.checkpoint()
        except Exception as error:
            self.fail(error)

    def progress(self) -> dict[int, int]:
        """How far each partition is, for `Health`; while there is none, how much of their state is read."""
        if not self.live:
            return {} if self.app.unassigned else {JOINING: self.app.tables["state"].records_read}
        positions = {number: self.position(live) for number, live in self.live.items()}
        return {
            number: max(live.offset, position.next if (position := positions[number]) else 0)
            for number, live in self.live.items()
        }

    def is_ready(self) -> bool:
        """Has every partition of this worker its state, and is it being fed?"""
        if self.app.rebalancing:
            return False
        return all(live.begun for live in self.live.values()) if self.live else bool(self.app.unassigned)

    async def watch(self) -> None:
        """Judge the own progress until the process ends."""
        await self.health.watch(self.config, self.source)

    async def close(self) -> None:
        """Take nothing more; save and commit what there is, unless that takes long."""
        self._queues.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                for live in list(self.live.values()):
                    await live.checkpoint()
                    live.end()
                await self.consumer.commit_done()
        except TimeoutError:
            logger.warning("the last checkpoint took too long; the one before it counts")

    def position(self, live: L) -> Position | None:
        """How far the partition is fetched, once everything fetched is processed."""
        position = self.consumer.positions.get(TP(self.source, live.partition))
        return position if position and live.offset > position.last else None

    def end_of(self, partition: int) -> int | None:
        """The end of a partition of the input, once something was fetched from it."""
        position = self.consumer.positions.get(TP(self.source, partition))
        return position.end if position else None

    async def _finish(self) -> bool:
        """Save, commit and end this worker when the finite run is over for it."""
        if not self._over():
            return False
        for live in list(self.live.values()):
            await live.checkpoint()
        await self.consumer.commit_done()
        if not self._over():
            return False  # There was a rebalance meanwhile.
        self.over = True
        self.stop()
        return True

    def _over(self) -> bool:
        """Is a finite run over for every partition of this worker?"""
        if self.until_end is None or self.app.rebalancing:
            return False
        if self.live or not self.app.unassigned:
            self._unassigned_since = time.monotonic()
            return bool(self.live) and all(self.done(live) for live in self.live.values())
        return time.monotonic() - self._unassigned_since > UNASSIGNED_SECONDS

    def _acknowledge(self, partition: int) -> Callable[[int], None]:
        assignment = self._assignment

        def acknowledge(offset: int) -> None:
            self._reset.discard(partition)  # From here on there is a state of our own.
            if assignment is self._assignment:  # Else the partition may be another's, who is further.
                self.consumer.done(TP(self.source, partition), offset)

        return acknowledge
