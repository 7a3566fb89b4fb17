"""A live partition: a step with its state in memory, where it stands, and how it is saved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Generic, TypeVar

from pivotwatch.base.work import Work
from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.engine.checkpoint import Checkpoints
from pivotwatch.engine.checkpoint_format import FINAL, UNDECIDED, Snapshot, StateRefused
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.operator import Counted, SlicedOperator, Step
from pivotwatch.engine.producer import OutputSender
from pivotwatch.engine.role_task import LivePartition
from pivotwatch.engine.types import TP

S = TypeVar("S", bound=Step)
T = TypeVar("T")

RETRY_SECONDS = 0.1
SLICE_SECONDS = 0.02
"""Work in slices lets others run so often."""


class Hole(Exception):
    """Records were read but never reached the step."""


class Abandoned(Exception):
    """The assignment ended while work was left alone; nobody waits for it any more."""


class PartitionTask(LivePartition, Generic[S]):
    """Feeds one operator from one partition, and saves it.

    Processing and saving exclude each other, so that what is saved is one moment; between slices of either
    the event loop goes on. When one of them does not come to its end, because it raised or was cancelled, the
    partition takes nothing more and is never saved again: the last checkpoint counts.

    Parameters
    ----------
    operator
        New.
    tp
        Which partition.
    checkpoints, output_sender
        Where its state and its outputs go.
    snapshot
        The state to continue, or None to begin.
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
        For how many seconds the making of the last checkpoint kept everybody else waiting.
    timed
        Called with the seconds that a checkpoint took.
    pause
        Lets others run between slices.
    """

    def __init__(
        self,
        operator: S,
        *,
        tp: TP,
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
        self.pause: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)
        self.controls: dict[str, int] = dict(snapshot.controls) if snapshot else {}
        self.fence = snapshot.fence if snapshot else 0
        self._checkpoints = checkpoints
        self._outbox = output_sender
        self._is_ours = is_ours
        self._worked = 0.0
        if snapshot:
            try:
                self.restore(snapshot)
            except StateRefused:
                raise
            except Exception as error:
                raise self._refused(f"the state cannot be read: {error!r}") from error

    def restore(self, snapshot: Snapshot) -> None:
        """Bring the step to where a snapshot was taken."""
        self.operator.restore(snapshot.meta, snapshot.shards)

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
                    await self.apply(lambda: processing(self.operator, records))
                    self.events += len(records)
                if self.limit is not None and chunk[-1].offset >= self.limit:
                    self.offset = self.limit
                else:
                    self.offset = max(self.offset, chunk[-1].offset + 1)
            chunk.clear()

    async def before(self, until: int) -> bool:
        """May records up to an offset be processed? The lock is held."""
        return True

    @property
    def finished(self) -> bool:
        """Has the end been reached and declared?"""
        return self.decision == FINAL or (self.limit is not None and self.offset >= self.limit)

    async def apply(self, act: Callable[[], list[Output] | Work[list[Output]]]) -> None:
        """Let the step do something, and send what it returns. The caller holds the lock."""
        try:
            outputs = act()
            if isinstance(outputs, Generator):
                outputs = await self._in_slices(outputs)
            self.changed = True
            await self._outbox.send(outputs)
        except Abandoned:
            return
        except BaseException:
            # The step is ahead of its offset, or an output was not sent: nothing of this may be saved.
            self.ended = True
            raise

    async def _in_slices(self, work: Work[T]) -> T:
        """Do work, letting the event loop go on in between. The caller holds the lock."""
        begun, self._worked = time.monotonic(), 0.0
        while True:
            try:
                next(work)
            except StopIteration as end:
                self._worked += time.monotonic() - begun
                return end.value  # type: ignore[no-any-return]  # of the generator's type
            if (now := time.monotonic()) - begun >= SLICE_SECONDS:
                self._worked += now - begun
                await self.pause()
                if self.ended:
                    work.close()
                    raise Abandoned
                begun = time.monotonic()

    async def checkpoint(self) -> None:
        """Save the state if anything changed."""
        async with self.lock:
            await self._save_changes()

    async def decide(
        self, choose: Callable[[], int | None], act: Callable[[int], list[Output] | Work[list[Output]]]
    ) -> None:
        """Write a decision into the marker, and only then let it take effect.

        Parameters
        ----------
        choose
            The decision, if one is due; asked while nothing is being processed, and again once the state
            that it stands on is saved: meanwhile more may have come.
        act
            What the step does about it.
        """
        async with self.lock:
            if self._due(choose) is None:
                return
            await self._save_changes()
            # If the assignment has ended meanwhile, the last marker is of an older state, about which
            # nothing was decided.
            decision = self._due(choose)
            if decision is None:
                return
            await self._checkpoints.decide(decision=decision, pending=True)
            if await self.confirmed():
                self.decision = decision
                await self.apply(lambda: act(decision))

    def _due(self, choose: Callable[[], int | None]) -> int | None:
        """The decision, if there is a new one to make."""
        decision = None if self.ended else choose()
        return decision if decision is not None and decision > self.decision else None

    async def confirmed(self) -> bool:
        """May what the marker now says take effect?

        Only if the partition was still ours *after* the marker was on the broker: whoever owns
        it next then reads that marker, and repeats what we do now. A worker that comes back
        after its session has ended writes a marker that nobody reads, and gets no further. False
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
        if self.ended:
            return
        begun = time.monotonic()
        try:
            meta, shards = self.operator.meta(), await self._shards(full=not self._checkpoints.begun)
        except Abandoned:
            return
        except BaseException:
            self.ended = True
            raise
        snapshot = Snapshot(
            offset=self.offset,
            meta=meta,
            shards=shards,
            pins=self.pins(),
            decision=self.decision,
            controls=dict(self.controls),
            fence=self.fence,
        )
        self.changed = False
        self.events = 0
        try:
            await self._checkpoints.save(snapshot, self._outbox.pending)
        except BaseException:
            # The step takes these shards for saved: the next marker would name older ones.
            self.ended = True
            raise
        self.saved_at = time.monotonic()
        self.timed(self.saved_at - begun)

    async def _shards(self, *, full: bool) -> Mapping[int, bytes]:
        step: Step = self.operator
        if not isinstance(step, SlicedOperator):
            return step.snapshot(full=full)
        shards = await self._in_slices(step.saving(full=full))
        self.cost = self._worked
        return shards

    @property
    def counters(self) -> Mapping[str, int]:
        """What the operator has counted, nothing when it does not count."""
        return self.operator.counters() if isinstance(self.operator, Counted) else {}

    def pins(self) -> bytes:
        """Decisions of the step that the snapshot does not include."""
        return b""

    def _unseen(self, chunk: Chunk) -> Sequence[InputRecord]:
        """The records of a chunk that the state does not include yet."""
        if chunk.after >= self.offset:
            raise Hole(
                f"partition {self.tp.partition}: the step stands at offset {self.offset}, "
                f"but the next chunk was read after offset {chunk.after}"
            )
        end = chunk[-1].offset + 1 if self.limit is None else self.limit
        if chunk[0].offset >= self.offset and chunk[-1].offset < end:
            return chunk
        return [record for record in chunk if self.offset <= record.offset < end]


def processing(step: Step, records: Sequence[InputRecord]) -> list[Output] | Work[list[Output]]:
    """Let a step process records, in slices if it can."""
    return step.processing(records) if isinstance(step, SlicedOperator) else step.process(records)
