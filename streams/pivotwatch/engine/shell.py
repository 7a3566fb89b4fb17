"""The shell of every role: it owns the partitions of a worker while they are assigned, and ends the process.

`Shell.run` is on the hot path: it passes each chunk to the task of the role. Everything else happens at an
assignment (`drop`, `load`, `resume`) or ten times a second (`tend`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

from pivotwatch.base.errors import Fault, WrongUse
from pivotwatch.config.config import Config
from pivotwatch.engine.changelog import PartitionLog
from pivotwatch.engine.checkpoint import delete
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.fetching.consumer import FetchConsumer, Position
from pivotwatch.engine.health import JOINING, Health, Key
from pivotwatch.engine.log_check import LogCheck, Positions, committed_positions, committed_text
from pivotwatch.engine.log_position import LogChanged, LogPosition, TopicReplaced
from pivotwatch.engine.producer import AppProducer
from pivotwatch.engine.role_task import L, RoleTask
from pivotwatch.engine.types import TP

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1
UNASSIGNED_SECONDS = 5.0
"""A finite run is over for a worker without partitions after this time."""
CLOSE_SECONDS = 5.0
END_TRIES, END_SECONDS = 5, 0.5
"""The end of a partition that ends before its state is asked for so often again, after so many seconds."""


class Shell(Generic[L]):
    """Runs the task of one role in one process.

    Parameters
    ----------
    app
        The Faust app of the role.
    config
        The configuration.
    task
        The task of the role.
    sources
        The topics that the role consumes.
    state_partitions
        Number of partitions of the changelog; None for a role without state.
    until_end
        The end of every partition in a finite run; None for a live run.
    reset_state
        Whether to discard the stored state.

    Attributes
    ----------
    live
        The partitions of this worker.
    reset
        Partitions whose state is not discarded yet.
    metrics, health
        Metrics and health of the worker.
    over
        Whether a finite run has ended for this worker.
    stop
        Ends the process with exit status 0; `pivotwatch.engine.runtime.run_app` sets it.
    """

    stop: Callable[[], None]

    def __init__(
        self,
        app: Any,
        config: Config,
        task: RoleTask[L],
        *,
        sources: Sequence[str] = (),
        state_partitions: int | None = None,
        until_end: Mapping[TP, int] | None = None,
        reset_state: bool = False,
    ) -> None:
        self.app = app
        self.config = config
        self.task = task
        self.sources = sources
        self.until_end = until_end
        self.live: dict[TP, L] = {}
        self.over = False
        self.reset = {TP(sources[0], p) for p in range(state_partitions or 0)} if reset_state else set[TP]()
        self.producer = AppProducer(app)
        self._state_partitions = state_partitions
        self._assignment = object()
        self._unassigned_since = time.monotonic()
        task.host = self
        self.metrics = task.make_metrics(self)
        self.health = Health(self, config.stalled_after.total_seconds())
        # Without partitions, too: of a topic that was deleted a group gives out none, even when it is back.
        self._sources: Positions = {TP(source, 0): LogPosition() for source in sources}
        self.logs = LogCheck(config, self._read_logs, task.remedy)

    @property
    def consumer(self) -> FetchConsumer:
        """The consumer of the app."""
        consumer: FetchConsumer = self.app.consumer
        return consumer

    def label(self, tp: TP) -> str:
        """The name of a partition in metrics and health."""
        return self.task.label(tp)

    def is_current(self, chunk: Chunk) -> bool:
        """Whether a chunk was read after the last seek. An older chunk is read again."""
        return chunk.seek == self.consumer.scheduler.seeks

    async def run(self, stream: Any) -> None:
        """The agent: pass every chunk to the task."""
        try:
            async for event in stream.noack().events():
                live, chunk = self.live.get(event.message.tp), event.value
                if live is not None and self.is_current(chunk):
                    self._note(live, chunk)
                    await self.task.take(live, chunk)
                else:
                    chunk.clear()
        finally:
            self.task.cancel()

    def _note(self, live: L, chunk: Chunk) -> None:
        """Note in which log a chunk was read; one that may be another is compared at once."""
        if chunk and live.read(chunk):
            self.logs.soon()

    def _read_logs(self) -> list[Positions]:
        return [self._sources, *(live.logs for live in self.live.values()), *self.task.followed()]

    # An assignment.

    def drop(self) -> None:
        """Drop every live partition without saving it: the assignment has ended."""
        self._assignment = object()
        self.metrics.dropped(self.live.values())
        for live in self.live.values():
            live.end()
        self.live.clear()
        self.task.dropped()
        self.logs.soon()

    async def load(self, partitions: Mapping[int, Mapping[bytes, bytes]]) -> None:
        """Create the live partitions of an assignment from their changelogs.

        Raises
        ------
        LogChanged
            When a topic is not the one that the state was made from.
        """
        generation, assignment = self.app.consumer_generation_id, self._assignment
        for partition, stored in sorted(partitions.items()):
            if assignment is not self._assignment:
                return  # The assignment ended while a partition started; the generation may be the same.
            begun, tp = time.monotonic(), TP(self.sources[0], partition)
            if tp in self.reset:
                logger.warning("partition %d: discarding its state", partition)
                await delete(self.changelog(tp), stored)
                stored = {}
            live = await self.task.load(tp, stored)
            await self.logs.check(live.logs)
            if generation != self.app.consumer_generation_id or assignment is not self._assignment:
                return  # A new assignment came meanwhile; the next call loads.
            self.live[tp] = live
            await self.task.started(live)
            logger.info(
                "partition %d: at offset %d, state loaded in %.2f s",
                partition,
                live.offset,
                time.monotonic() - begun,
            )

    async def resume(self, committed: Mapping[TP, int | None]) -> dict[TP, int]:
        """The offsets to continue at; called after `load`, and again whenever Faust seeks.

        Raises
        ------
        WrongUse
            When the input has more partitions than before: accounts moved to other partitions.
        """
        kept = self._state_partitions
        if kept is not None and any(tp.partition >= kept for tp in committed):
            raise WrongUse(
                f"{self.sources[0]} has more than the {kept} partitions that this worker started with; "
                "infra/README.md says how to continue with more"
            )
        if kept is None:
            for tp in committed:
                if tp not in self.live:
                    self.live[tp] = await self.task.load(tp, {})
        tps = {tp: self.live[tp] for tp in committed if tp in self.live}
        earliest = await self.consumer.earliest_offsets(*tps) if tps else {}
        ends = await self._ends(tps)
        replaced = await self._compare_committed(committed, ends)
        for tp, live in tps.items():
            if not live.begun:
                if ends[tp] < live.offset:
                    await self.compare(live)
                self.task.place(live, earliest[tp], ends[tp], None if tp in replaced else committed[tp])
                live.begun = True
        self.task.placed()
        return {tp: live.offset for tp, live in tps.items()}

    async def _ends(self, tps: Mapping[TP, L]) -> Mapping[TP, int]:
        """Where partitions end. A leader that just started may say less than it holds: it is asked again."""
        ends: Mapping[TP, int] = await self.consumer.highwaters(*tps) if tps else {}
        for _ in range(END_TRIES):
            if all(ends[tp] >= live.offset for tp, live in tps.items()):
                break
            await asyncio.sleep(END_SECONDS)
            ends = await self.consumer.highwaters(*tps)
        return ends

    async def _compare_committed(self, committed: Mapping[TP, int | None], ends: Mapping[TP, int]) -> set[TP]:
        """Compare what the group has committed with the logs, for a role whose state does not say.

        Returns
        -------
        replaced
            The partitions that are read from the beginning of a new topic.
        """
        replaced: set[TP] = set()
        new = {tp: live for tp, live in self.live.items() if tp in ends and not live.begun}
        if new and self.task.positions_from_group:
            known = await committed_positions(self.config, self.config.app_id(self.task.role))
            for tp, live in new.items():
                position = known.get(tp, LogPosition())
                read_until = committed.get(tp) or 0
                if read_until > ends[tp]:
                    position = position.behind(read_until)
                live.logs[tp] = position
                try:
                    await self.logs.check({tp: position})
                except TopicReplaced:
                    if not self.task.may_repeat:
                        raise
                    logger.warning("%s: the topic was created again; reading it from its beginning", tp.topic)
                    live.logs[tp] = LogPosition()
                    replaced.add(tp)
            await self.logs.check(*(live.logs for live in new.values()))
        return replaced

    def commit_text(self, tp: TP, offset: int) -> str:
        """What the group keeps with a committed offset: the log that was read."""
        live = self.live.get(tp)
        return committed_text(live.logs[tp].before(offset)) if live is not None else ""

    async def compare(self, live: L) -> None:
        """Compare what was read of a partition with the log of now; its message says more than a refusal.

        Raises
        ------
        LogChanged
            When records that were read are no longer in the log.
        """
        await self.logs.check(live.logs)

    def changelog(self, tp: TP) -> PartitionLog:
        """The changelog of a partition."""
        return PartitionLog(self.producer, self.app.tables["state"].changelog_topic_name, tp.partition)

    def acknowledger(self, tp: TP) -> Callable[[int], None]:
        """A function that lets the group commit an offset; it acts in this assignment only."""
        assignment = self._assignment

        def acknowledge(offset: int) -> None:
            self.reset.discard(tp)  # From now on this worker has a state.
            if assignment is self._assignment:
                self.consumer.done(tp, offset)

        return acknowledge

    # Progress.

    def position(self, tp: TP) -> Position | None:
        """How far a partition is fetched; None until everything fetched is processed."""
        position = self.consumer.positions.get(tp)
        return position if position and self.live[tp].offset > position.last else None

    def has_reached_end(self, tp: TP) -> bool:
        """Whether everything before the end of a finite run is processed.

        Transaction markers may follow the last record.
        """
        end, position = (self.until_end or {}).get(tp, 0), self.position(tp)
        return self.live[tp].offset >= end or (position is not None and position.next >= end)

    def end_of(self, tp: TP) -> int | None:
        """The end of a partition of the input; None before the first fetch."""
        position = self.consumer.positions.get(tp)
        return position.end if position else None

    def progress(self) -> dict[Key, int]:
        """Progress of each partition for `Health`; without partitions, the progress of recovery."""
        found: dict[Key, int] = dict(self.task.progress())
        for tp, live in self.live.items():
            if not self.task.is_waiting(live):
                position = self.position(tp)
                found[tp] = max(live.offset, position.next if position else 0)
        if self.sources and not self.live and not self.app.unassigned:
            found[JOINING] = 0 if self._state_partitions is None else self.app.tables["state"].records_read
        return found

    def due(self) -> Mapping[Key, int]:
        """How far each named part of the work should be, for `Health`."""
        return self.task.due()

    def held(self) -> str:
        """Why the work is held until a person acts; empty when it is not."""
        return self.task.held()

    def is_ready(self) -> bool:
        """Whether every partition of this worker has its state and is read."""
        if not self.task.is_ready():
            return False
        if not self.sources:
            return True
        if self.app.rebalancing:
            return False
        return all(live.begun for live in self.live.values()) if self.live else bool(self.app.unassigned)

    async def watch(self) -> None:
        """Watch the progress of this worker until the process ends."""
        await self.health.watch(self.config)

    async def watch_logs(self) -> None:
        """Compare what was read with the logs of Kafka until the process ends."""
        try:
            await self.logs.watch()
        except Exception as error:
            if self.sources and isinstance(error, LogChanged):
                self.consumer.leave()
            self.fail(error)

    # The end.

    async def tend(self) -> None:
        """Let the task tend its partitions until the process ends or the finite run is over."""
        try:
            while not await self._finish():
                await asyncio.sleep(TICK_SECONDS)
                await self.task.upkeep()
        except Exception as error:
            self.fail(error)

    async def close(self) -> None:
        """Accept nothing more; save and commit, unless that takes too long."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.task.stop()
                if self.sources:
                    await self.consumer.commit_done()
        except TimeoutError:
            logger.warning("the last commit took too long; the one before it counts")
        await self.task.stopped()

    def fail(self, error: BaseException) -> None:
        """End the process. The worker processes, sends and commits nothing more."""
        logger.error("this worker ends: %s", error, exc_info=None if isinstance(error, Fault) else error)
        self.drop()
        self._crash = asyncio.ensure_future(self.app.crash(error))

    async def _finish(self) -> bool:
        """Save, commit and end this worker when the finite run is over for it."""
        if not self._is_over():
            return False
        await self.task.save()
        await self.consumer.commit_done()
        if not self._is_over():
            return False  # A rebalance came meanwhile.
        self.over = True
        self.stop()
        return True

    def _is_over(self) -> bool:
        """Whether a finite run is over for every partition of this worker."""
        if self.until_end is None or self.app.rebalancing:
            return False
        if self.live or not self.app.unassigned:
            self._unassigned_since = time.monotonic()
            return bool(self.live) and all(map(self.task.is_done, self.live.values()))
        return time.monotonic() - self._unassigned_since > UNASSIGNED_SECONDS
