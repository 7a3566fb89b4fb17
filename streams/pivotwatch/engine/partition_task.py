"""A live partition with an operator: its offset, its decisions, and its checkpoints."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.engine.checkpoint import Checkpoints
from pivotwatch.engine.checkpoint_format import FINAL, UNDECIDED, Snapshot, StateRefused
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.log_position import LogPosition
from pivotwatch.engine.operator import Counted, Operator
from pivotwatch.engine.producer import OutputSender
from pivotwatch.engine.role_task import LivePartition
from pivotwatch.engine.types import TP

O = TypeVar("O", bound=Operator)  # noqa: E741
T = TypeVar("T")

RETRY_SECONDS = 0.1


class MissingRecords(Exception):
    """Records were fetched but did not reach the operator."""


class PartitionTask(LivePartition, Generic[O]):
    """Runs one operator on one partition, and saves its state.

    Only the worker's thread calls the operator, for a caller that holds `lock`. So processing and saving
    exclude each other, a snapshot is one moment, and the event loop continues meanwhile. When a call raises
    or its task is cancelled, the partition ends: it processes and saves nothing more, and the last checkpoint
    counts. Outputs that the operator returns after the end of the assignment are dropped.

    Parameters
    ----------
    operator
        A new operator.
    tp
        The partition.
    thread
        The worker's thread.
    checkpoints, output_sender
        Write its state and send its outputs.
    snapshot
        The state to continue; None for a new one. `restore` passes it to the operator.
    is_ours
        Asks the group whether the assignment is still in force; False when no answer comes.
    limit
        The end of a finite run: records at and after this offset are not processed.

    Attributes
    ----------
    decision, pending
        The latest decision, and whether the loaded state does not include it yet.
    controls, fence
        As in `Snapshot`.
    events
        Number of records processed since the last checkpoint.
    cost
        CPU seconds of the worker's thread for the last checkpoint.
    timed
        Called with the duration of each checkpoint in seconds.
    """

    def __init__(
        self,
        operator: O,
        *,
        tp: TP,
        thread: Executor,
        checkpoints: Checkpoints,
        output_sender: OutputSender,
        snapshot: Snapshot | None,
        is_ours: Callable[[], Awaitable[bool]],
        limit: int | None = None,
    ) -> None:
        super().__init__(tp, snapshot.offset if snapshot else 0)
        self.operator = operator
        self.decision = snapshot.decision if snapshot else UNDECIDED
        self.limit = limit
        self.lock = asyncio.Lock()
        self.events = 0
        self.cost = 0.0
        self.changed = False
        self.is_new = snapshot is None
        self.pending = snapshot is not None and snapshot.pending
        self.timed: Callable[[float], None] = lambda seconds: None
        self.controls: dict[str, int] = dict(snapshot.controls) if snapshot else {}
        self.fence = snapshot.fence if snapshot else 0
        self.logs = self._known_logs(snapshot)
        self._thread = thread
        self._checkpoints = checkpoints
        self._output_sender = output_sender
        self._is_ours = is_ours
        self._counters: Mapping[str, int] = {}

    def read_topics(self) -> Sequence[TP]:
        """The partitions that the state depends on."""
        return [self.tp]

    def _known_logs(self, snapshot: Snapshot | None) -> dict[TP, LogPosition]:
        known = snapshot.logs if snapshot else {}
        return {tp: known.get(tp.topic, LogPosition()) for tp in self.read_topics()}

    async def restore(self, snapshot: Snapshot) -> None:
        """Load a snapshot into the operator.

        Raises
        ------
        StateRefused
            When the snapshot cannot be read.
        """
        try:
            async with self.lock:
                await self.call(lambda: self.load(snapshot))
        except StateRefused:
            raise
        except Exception as error:
            raise self._refused(f"the state cannot be read: {error!r}") from error

    def load(self, snapshot: Snapshot) -> None:
        """Restore the operator. Runs in the worker's thread."""
        self.operator.restore(snapshot.meta, snapshot.shards)

    async def call(self, act: Callable[[], T]) -> T:
        """Run a function that uses the operator in the worker's thread. The caller holds the lock."""

        def act_and_publish() -> T:
            result = act()
            self.publish()
            return result

        return await asyncio.get_running_loop().run_in_executor(self._thread, act_and_publish)

    def publish(self) -> None:
        """Publish what may be read of the operator without the lock. Runs in the worker's thread."""
        operator: object = self.operator
        if isinstance(operator, Counted):
            self._counters = operator.counters()

    @property
    def counters(self) -> Mapping[str, int]:
        """The counters of the operator after its last call; empty when it has none."""
        return self._counters

    def begin(self, earliest: int, end: int, committed: int | None) -> None:
        """Set the offset to continue at.

        Parameters
        ----------
        earliest, end
            The first offset that the topic still holds, and the one after its last.
        committed
            The offset that the group has committed; None when the state is reset.

        Raises
        ------
        StateRefused
            When records between the state and the topic are missing.
        """
        if self.is_new:
            if committed:
                raise self._refused(
                    f"the group has committed offset {committed}, but there is no state: "
                    "the changelog was lost"
                )
            self.offset = earliest
        self.check_topic(self.offset, earliest, end)
        self.begun = True

    def check_topic(self, offset: int, earliest: int, end: int) -> None:
        """Raise `StateRefused` when the topic no longer holds an offset, or does not hold it yet."""
        if earliest > offset:
            raise self._refused(
                f"the state ends before offset {offset}, but the topic only holds offsets from {earliest} "
                "on: retention deleted the records in between before they were read"
            )
        if end < offset:
            raise self._refused(
                f"the state ends before offset {offset}, but the topic ends before {end}: "
                "it is not the topic that was read"
            )

    def _refused(self, why: str) -> StateRefused:
        again = "start with --reset-state to count again from what the topic holds"
        return StateRefused(f"partition {self.tp.partition}: {why}; {again}")

    async def take(self, chunk: Chunk) -> None:
        """Process a chunk. Afterwards the chunk is empty, so that nothing keeps its values."""
        async with self.lock:
            if chunk and self.begun and not self.ended and not self.finished:
                records = self._unseen(chunk)
                if records:
                    if not await self.before(records[-1].offset + 1):
                        return
                    await self.apply(lambda: self.operator.process(records))
                    self.events += len(records)
                if self.limit is not None and chunk[-1].offset >= self.limit:
                    self.offset = self.limit
                else:
                    self.offset = max(self.offset, chunk[-1].offset + 1)
            chunk.clear()

    async def before(self, until: int) -> bool:
        """Whether records before an offset may be processed. The caller holds the lock."""
        return True

    @property
    def finished(self) -> bool:
        """Whether the partition has reached its end in a finite run."""
        return self.decision == FINAL or (self.limit is not None and self.offset >= self.limit)

    async def apply(self, act: Callable[[], list[Output]]) -> None:
        """Run a function of the operator, and send its outputs. The caller holds the lock."""
        try:
            outputs = await self.call(act)
            if not self.ended:
                self.changed = True
                await self._output_sender.send(outputs)
        except BaseException:
            # The operator may be ahead of its offset, or an output was not sent: this must not be saved.
            self.ended = True
            raise

    async def checkpoint(self) -> None:
        """Save the state if it changed."""
        async with self.lock:
            await self._save_changes()

    async def decide(
        self, choose: Callable[[], Awaitable[int | None]], act: Callable[[int], list[Output]]
    ) -> None:
        """Write a decision into the manifest, and only then let it take effect.

        Parameters
        ----------
        choose
            Returns the decision, if one is due. Called while nothing is processed, and again once the
            state is saved, because records may have arrived meanwhile.
        act
            Lets the operator carry out the decision.
        """
        async with self.lock:
            if await self._due(choose) is None:
                return
            await self._save_changes()
            # If the assignment has ended meanwhile, the last manifest belongs to an older state.
            decision = await self._due(choose)
            if decision is None:
                return
            await self._checkpoints.decide(decision=decision, pending=True)
            if await self.confirmed():
                self.decision = decision
                await self.apply(lambda: act(decision))

    async def _due(self, choose: Callable[[], Awaitable[int | None]]) -> int | None:
        """The decision, if a new one is due."""
        decision = None if self.ended else await choose()
        return decision if decision is not None and decision > self.decision and not self.ended else None

    async def confirmed(self) -> bool:
        """Whether the decision in the manifest may take effect.

        It may if the assignment was still in force *after* the broker had the manifest: the next owner then
        reads this manifest and repeats the decision. A worker that wakes up after its session writes a
        manifest that nobody reads, and does not continue. Waits while the group does not answer; False when
        the assignment has ended.
        """
        while not self.ended:
            if await self._is_ours():
                return True
            await asyncio.sleep(RETRY_SECONDS)
        return False

    async def _save_changes(self) -> None:
        if self.changed or not self._checkpoints.begun:
            await self.save()

    async def save(self) -> None:
        """Write a checkpoint. The caller holds the lock."""
        if not self.ended:
            await self._save()

    async def _save(self) -> None:
        begun = time.monotonic()
        try:
            snapshot, cost = await self.call(self._snapshot)
        except BaseException:
            self.ended = True
            raise
        if self.ended:
            return  # The assignment ended meanwhile.
        self.cost = cost
        self.changed = False
        self.events = 0
        try:
            await self._checkpoints.save(snapshot, self._output_sender.pending)
        except BaseException:
            # The operator considers these shards saved: the next manifest would name older ones.
            self.ended = True
            raise
        self.saved_at = time.monotonic()
        self.timed(self.saved_at - begun)

    def _snapshot(self) -> tuple[Snapshot, float]:
        """The current state, and the CPU seconds to make it. Runs in the worker's thread."""
        begun = time.thread_time()
        meta = self.operator.meta()
        shards = self.operator.snapshot(full=not self._checkpoints.begun)
        snapshot = Snapshot(
            offset=self.offset,
            meta=meta,
            shards=shards,
            pins=self.pins(),
            decision=self.decision,
            controls=dict(self.controls),
            fence=self.fence,
            logs={
                tp.topic: position.before(self.offset) if tp == self.tp else position
                for tp, position in self.logs.items()
                if position != LogPosition()
            },
        )
        return snapshot, time.thread_time() - begun

    def pins(self) -> bytes:
        """The pins of the operator. Runs in the worker's thread."""
        return b""

    def _unseen(self, chunk: Chunk) -> Sequence[InputRecord]:
        """The records of a chunk that the state does not include yet.

        Raises
        ------
        MissingRecords
            When the chunk does not continue at the offset of the state.
        """
        if chunk.after >= self.offset:
            raise MissingRecords(
                f"partition {self.tp.partition}: the operator stands at offset {self.offset}, "
                f"but the next chunk was read after offset {chunk.after}"
            )
        end = chunk[-1].offset + 1 if self.limit is None else self.limit
        if chunk[0].offset >= self.offset and chunk[-1].offset < end:
            return chunk
        return [record for record in chunk if self.offset <= record.offset < end]
