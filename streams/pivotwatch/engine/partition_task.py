"""A live partition with an operator: its state in memory, where it stands, and how it is saved."""

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
from pivotwatch.engine.operator import Counted, Operator
from pivotwatch.engine.producer import OutputSender
from pivotwatch.engine.role_task import LivePartition
from pivotwatch.engine.types import TP

O = TypeVar("O", bound=Operator)  # noqa: E741
T = TypeVar("T")

RETRY_SECONDS = 0.1


class Hole(Exception):
    """Records were read but never reached the operator."""


class PartitionTask(LivePartition, Generic[O]):
    """Feeds one operator from one partition, and saves it.

    The operator is used in the worker's thread alone, and only by who holds `lock`. So processing and
    saving exclude each other, what is saved is one moment, and the event loop goes on meanwhile. When one
    of them does not come to its end, because it raised or was cancelled, the partition takes nothing more
    and is never saved again: the last checkpoint counts. What the operator returns after the assignment has
    ended is dropped.

    Parameters
    ----------
    operator
        New.
    tp
        Which partition.
    thread
        The worker's thread.
    checkpoints, output_sender
        Where its state and its outputs go.
    snapshot
        The state to continue, or None to begin; `restore` brings the operator there.
    is_ours
        Asks whether the assignment is still in force; False when that is not known.
    limit
        The end of a finite run: records at and after this offset are left alone.

    Attributes
    ----------
    decision, pending
        The latest decision, and whether the loaded state does not include it yet.
    controls, fence
        As in `Snapshot`.
    events
        Processed since the last checkpoint.
    cost
        CPU seconds that the worker's thread needed for the last checkpoint.
    timed
        Called with the seconds that a checkpoint took.
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
        self._thread = thread
        self._checkpoints = checkpoints
        self._output_sender = output_sender
        self._is_ours = is_ours
        self._counters: Mapping[str, int] = {}

    async def restore(self, snapshot: Snapshot) -> None:
        """Bring the operator to where a snapshot was taken.

        Raises
        ------
        StateRefused
            When it cannot be read.
        """
        try:
            async with self.lock:
                await self.call(lambda: self.load(snapshot))
        except StateRefused:
            raise
        except Exception as error:
            raise self._refused(f"the state cannot be read: {error!r}") from error

    def load(self, snapshot: Snapshot) -> None:
        """Restore the operator; in the worker's thread."""
        self.operator.restore(snapshot.meta, snapshot.shards)

    async def call(self, act: Callable[[], T]) -> T:
        """Do something with the operator in the worker's thread. The caller holds the lock."""

        def act_and_publish() -> T:
            result = act()
            self.publish()
            return result

        return await asyncio.get_running_loop().run_in_executor(self._thread, act_and_publish)

    def publish(self) -> None:
        """Publish what others may know of the operator without its lock; in the worker's thread."""
        operator: object = self.operator
        if isinstance(operator, Counted):
            self._counters = operator.counters()

    @property
    def counters(self) -> Mapping[str, int]:
        """What the operator had counted when it was last used, nothing when it does not count."""
        return self._counters

    def begin(self, earliest: int, end: int, committed: int | None) -> None:
        """Set where to read on; refuses to begin with a hole.

        Parameters
        ----------
        earliest, end
            The first offset that the topic still holds, and the one behind its last.
        committed
            What the group has committed, None when the state is to be forgotten.
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
        """Refuse to read on at an offset that the topic holds no more, or not yet."""
        if earliest > offset:
            raise self._refused(
                f"the state ends before offset {offset}, but the topic only holds offsets from {earliest} "
                "on: nobody read them within its retention"
            )
        if end < offset:
            raise self._refused(
                f"the state ends before offset {offset}, but the topic before {end}: "
                "it is not the topic that was read"
            )

    def _refused(self, why: str) -> StateRefused:
        again = "start with --reset-state to count anew from what the topic holds"
        return StateRefused(f"partition {self.tp.partition}: {why}; {again}")

    async def take(self, chunk: Chunk) -> None:
        """Process a chunk; afterwards the chunk is empty, so that nobody keeps its values."""
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
        """Whether records up to an offset may be processed. The lock is held."""
        return True

    @property
    def finished(self) -> bool:
        """Whether the end has been reached and declared."""
        return self.decision == FINAL or (self.limit is not None and self.offset >= self.limit)

    async def apply(self, act: Callable[[], list[Output]]) -> None:
        """Let the operator do something, and send what it returns. The caller holds the lock."""
        try:
            outputs = await self.call(act)
            if not self.ended:
                self.changed = True
                await self._output_sender.send(outputs)
        except BaseException:
            # The operator is ahead of its offset, or an output was not sent: nothing of this may be saved.
            self.ended = True
            raise

    async def checkpoint(self) -> None:
        """Save the state if anything changed."""
        async with self.lock:
            await self._save_changes()

    async def decide(
        self, choose: Callable[[], Awaitable[int | None]], act: Callable[[int], list[Output]]
    ) -> None:
        """Write a decision into the manifest, and only then let it take effect.

        Parameters
        ----------
        choose
            The decision, if one is due; asked while nothing is being processed, and again once the state
            that it stands on is saved: meanwhile more may have come.
        act
            What the operator does about it.
        """
        async with self.lock:
            if await self._due(choose) is None:
                return
            await self._save_changes()
            # If the assignment has ended meanwhile, the last manifest is of an older state, about which
            # nothing was decided.
            decision = await self._due(choose)
            if decision is None:
                return
            await self._checkpoints.decide(decision=decision, pending=True)
            if await self.confirmed():
                self.decision = decision
                await self.apply(lambda: act(decision))

    async def _due(self, choose: Callable[[], Awaitable[int | None]]) -> int | None:
        """The decision, if there is a new one to make."""
        decision = None if self.ended else await choose()
        return decision if decision is not None and decision > self.decision and not self.ended else None

    async def confirmed(self) -> bool:
        """Whether what the manifest now says may take effect.

        Only if the partition was still ours *after* the manifest was on the broker: whoever owns
        it next then reads that manifest, and repeats what we do now. A worker that comes back
        after its session has ended writes a manifest that nobody reads, and gets no further. False
        when the assignment has ended; while nobody answers, it waits.
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
            return  # Meanwhile.
        self.cost = cost
        self.changed = False
        self.events = 0
        try:
            await self._checkpoints.save(snapshot, self._output_sender.pending)
        except BaseException:
            # The operator takes these shards for saved: the next manifest would name older ones.
            self.ended = True
            raise
        self.saved_at = time.monotonic()
        self.timed(self.saved_at - begun)

    def _snapshot(self) -> tuple[Snapshot, float]:
        """The state of this moment, and the CPU seconds that it took; in the worker's thread."""
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
        )
        return snapshot, time.thread_time() - begun

    def pins(self) -> bytes:
        """Decisions of the operator that the snapshot does not include; in the worker's thread."""
        return b""

    def _unseen(self, chunk: Chunk) -> Sequence[InputRecord]:
        """The records of a chunk that the state does not include yet."""
        if chunk.after >= self.offset:
            raise Hole(
                f"partition {self.tp.partition}: the operator stands at offset {self.offset}, "
                f"but the next chunk was read after offset {chunk.after}"
            )
        end = chunk[-1].offset + 1 if self.limit is None else self.limit
        if chunk[0].offset >= self.offset and chunk[-1].offset < end:
            return chunk
        return [record for record in chunk if self.offset <= record.offset < end]
