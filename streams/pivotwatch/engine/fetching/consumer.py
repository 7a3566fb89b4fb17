"""Fetch batching: an agent receives a chunk of records where Faust delivers one record.

Faust costs about 100 µs per message. So the records of a fetch travel as one message whose value is a
`Chunk`, for the topics that ask for it. Changelogs and all other topics are delivered unchanged.

Faust's own record of acknowledged offsets is not used for these topics. It books the offsets inside a chunk
as a gap, and a gap counts as acknowledged as soon as a higher offset is: a crash between two chunks would
lose the first one. Here one number per partition is committed, and only the checkpoint sets it
(`FetchConsumer.done`).

Faust drops messages around a rebalance, and fetches before it seeks. So seeks are numbered, nothing is
fetched from a chunked partition before the seek of its assignment, and a chunk carries the number of the
seek and the offset after which it was read. With these, the reader discards chunks of earlier seeks and
distinguishes a lost chunk from a gap in the topic.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, cast

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from pivotwatch.base.errors import WrongUse
from pivotwatch.engine.fetching.chunks import Chunk, ChunkScheduler
from pivotwatch.engine.fetching.leader_epochs import LeaderEpochs
from pivotwatch.engine.fetching.raw_batches import Results
from pivotwatch.engine.fetching.static_membership import NamedMember

FETCH_WAIT_MS = 250
"""How long the broker waits with the answer to a fetch that finds nothing."""

ASK_SECONDS = 10.0
HELD_SECONDS = 0.05

Resume = Callable[[Mapping[TP, int | None]], Awaitable[Mapping[TP, int]]]
"""Returns the offsets to continue at, given the offsets that the group has committed."""


class Position(NamedTuple):
    """How far a partition is fetched. All values are of one moment.

    Attributes
    ----------
    next
        The next offset to fetch. Transaction markers before it are skipped already.
    end
        The end of the partition for readers of committed records.
    last
        The offset of the last record fetched (``next - 1`` at the earliest).
    at
        When the broker last answered for this partition (`time.monotonic`).
    hidden
        Whether the partition holds records after ``end``. An open transaction hides everything after its
        beginning from readers of committed records, also records of other producers.
    """

    next: int
    end: int
    last: int
    at: float
    hidden: bool = False


class _Fetched(dict[TP, list[Any]]):
    """The result of one fetch, with the positions of the same moment."""

    def __init__(
        self, records: Mapping[TP, list[Any]], positions: Mapping[TP, tuple[int, int, float, bool]]
    ) -> None:
        super().__init__(records)
        self.positions = positions


class FetchThread(driver.AIOKafkaConsumerThread):
    """The thread of the consumer: reads committed records only and reports positions.

    Attributes
    ----------
    results
        Fetched records that were not requested yet.
    """

    transport: FetchTransport
    results: Results

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer[bytes, bytes]:
        consumer = super()._create_worker_consumer(transport)
        # Faust ties the first to exactly_once and sets the second to 1.5 s, during which the broker answers
        # nothing else on this connection. aiokafka reads both when it starts.
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Connect, and watch the answers of the group."""
        await super().on_start()
        # Nothing is fetched before there is a subscription.
        self.results = Results(self.transport.chunked, self.transport.epochs)
        self._ensure_consumer()._fetcher._records = self.results
        self._ensure_consumer().commit = self._commit_with_text
        if self.app.conf.consumer_group_instance_id is not None:
            coordinator = self._ensure_consumer()._coordinator
            NamedMember(coordinator, self.app.conf.broker_session_timeout, self.transport.lost_name)

    async def _commit_with_text(self, offsets: Mapping[Any, OffsetAndMetadata]) -> None:
        """Commit offsets with the text that belongs to them, where Faust commits none."""
        described = {
            tp: OffsetAndMetadata(given.offset, self.transport.commit_text(TP(*tp), given.offset))
            for tp, given in offsets.items()
        }
        await AIOKafkaConsumer.commit(self._ensure_consumer(), described)

    def leave(self) -> None:
        """Leave the group when the consumer stops, although it has a name."""
        self._ensure_consumer()._coordinator._group_instance_id = None

    async def is_member(self) -> bool:
        """Ask the coordinator of the group now, without waiting behind fetches."""
        if self.thread_loop.is_closed():
            return False  # This worker is ending.
        asked = asyncio.run_coroutine_threadsafe(self._ask_coordinator(), self.thread_loop)
        try:
            # Not asyncio.wait_for: before Python 3.12 it loses a cancellation that arrives with the answer,
            # and a cancelled task would continue.
            async with asyncio.timeout(ASK_SECONDS):
                return await asyncio.wrap_future(asked)
        except (TimeoutError, KafkaError):
            return False

    async def _ask_coordinator(self) -> bool:
        member: bool = await self._ensure_consumer()._coordinator._do_heartbeat()
        return member

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> _Fetched:
        self.results.poll.begin()
        records = await super()._fetch_records(consumer, *args, **kwargs)
        now, now_ms = time.monotonic(), time.time() * 1000
        positions = {}
        assignment = consumer._subscription.subscription.assignment
        for tp in assignment.tps if assignment else ():
            state = assignment.state_value(tp)
            if tp.topic in self.transport.chunked and state.has_valid_position and state.timestamp:
                at = now - max(0.0, now_ms - state.timestamp) / 1000
                positions[TP(*tp)] = (state.position, state.lso, at, state.highwater > state.lso)
        return _Fetched(records, positions)


class FetchConsumer(driver.Consumer):
    """Faust's consumer for chunked topics.

    Attributes
    ----------
    positions
        The latest `Position` of each chunked partition, none right after a seek.
    held
        Chunked partitions from which nothing is fetched for now. `ChunkQueues` sets it.
    """

    transport: FetchTransport
    scheduler: ChunkScheduler

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scheduler = ChunkScheduler(self.transport.chunked, self.transport.epochs)
        self.positions: dict[TP, Position] = {}
        self._done: dict[TP, int] = {}
        self._confirmed: dict[TP, int] = {}
        self.held: frozenset[TP] = frozenset()
        self._fetching = asyncio.Lock()

    def done(self, tp: TP, offset: int) -> None:
        """Let the next commit include ``offset``: everything before it is in a checkpoint."""
        self._done[tp] = offset

    async def is_member(self) -> bool:
        """Whether the assignment is still in force, as the coordinator of the group answers now.

        A worker that was stopped for longer than its session learns here that it may have lost its
        partitions, before the group reports it. False also when no answer comes.
        """
        return await cast(FetchThread, self._thread).is_member()

    def leave(self) -> None:
        """Leave the group at the end of the process.

        A named member that comes back gets its earlier assignment, which may lack a topic that exists again.
        """
        cast(FetchThread, self._thread).leave()

    async def commit_done(self) -> None:
        """Wait until the group has committed every offset of `done`, or the assignment has ended."""
        while any(self._confirmed.get(tp) != done for tp, done in self._done.items()):
            await self.commit()  # Does nothing while another commit runs.
            await asyncio.sleep(0.01)

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        offsets: dict[TP, int] = super()._filter_committable_offsets(
            tp for tp in tps if not self._is_chunked(tp)
        )
        offsets.update((tp, done) for tp, done in self._done.items() if self._confirmed.get(tp) != done)
        return offsets

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        # Faust also books failed commits; here only successful ones count.
        committed: bool = await super()._commit(offsets)
        if committed:
            self._confirmed.update(offsets)
        return committed

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if not self._is_chunked(tp):
            await super()._add_gap(tp, offset_from, offset_to)

    async def perform_seek(self) -> None:
        """Continue at the offset of the state, whatever the group has committed."""
        last = self.scheduler.last
        last.clear()  # From now on the result of a running fetch is discarded.
        async with self._fetching:
            self.scheduler.seeks += 1
            self.positions.clear()
            await super().perform_seek()
            resume = await self.transport.resume(
                {tp: self._committed_offset[tp] for tp in self.assignment() if self._is_chunked(tp)}
            )
            self.held = frozenset()  # Queued chunks are read again, so no queue is full.
            if resume:
                await self.seek_wait(resume)
            last.update((tp, offset - 1) for tp, offset in resume.items())

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Drop everything of the ended assignment."""
        self._done.clear()
        self._confirmed.clear()
        self.positions.clear()
        self.scheduler.last.clear()
        self.transport.revoked()
        await super().on_partitions_revoked(revoked)

    async def _getmany(self, *args: Any, **kwargs: Any) -> Mapping[TP, list[Any]]:
        last = self.scheduler.last
        async with self._fetching:
            # Partitions without an offset yet would be read from anywhere.
            kwargs["active_partitions"] = {
                tp
                for tp in kwargs["active_partitions"]
                if not self._is_chunked(tp) or (tp in last and tp not in self.held)
            }
            if self.held:  # Their queues may have room again soon.
                kwargs["timeout"] = min(kwargs["timeout"], HELD_SECONDS)
            if not kwargs["active_partitions"]:
                await asyncio.sleep(0.05)
                return {}
            fetched = cast(_Fetched, await super()._getmany(*args, **kwargs))
        fetched = _Fetched(fetched, positions=getattr(fetched, "positions", {}))
        for tp in [tp for tp in fetched if self._is_chunked(tp) and tp not in last]:
            del fetched[tp]
        for tp, (position, end, at, hidden) in fetched.positions.items():
            if tp in last:
                records = fetched.get(tp)
                offset = records[-1].offset if records else last[tp]
                self.positions[tp] = Position(position, end, offset, at, hidden)
        return fetched

    def _is_chunked(self, tp: TP) -> bool:
        return tp.topic in self.transport.chunked

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if not isinstance(record, Chunk):
            return super()._to_message(tp, record)
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record[-1].offset,
            timestamp=record[-1].timestamp / 1000,
            timestamp_type=record[-1].timestamp_type,
            headers=None,
            key=None,
            value=cast(Any, record),
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=TP(*tp),
            generation_id=self.app.consumer_generation_id,
        )

    def _new_consumer_thread(self) -> FetchThread:
        return FetchThread(self, loop=self.loop, beacon=self.beacon)


class FetchProducer(driver.Producer):
    """A producer whose retries neither repeat nor reorder records."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class FetchTransport(driver.Transport):
    """Lets Faust use the classes above.

    Parameters
    ----------
    urls, app
        Parameters of Faust's transport.
    chunked
        Names of the topics that are delivered in chunks.
    resume
        Called after every assignment, once the tables are recovered.
    revoked
        Called when an assignment ends.
    commit_text
        Gives the text that is committed with an offset of a partition; called in the thread of the consumer.

    Attributes
    ----------
    epochs
        The leader epochs of what was fetched.
    """

    Consumer: ClassVar[type[Any]] = FetchConsumer
    Producer: ClassVar[type[Any]] = FetchProducer

    def __init__(
        self,
        urls: list[Any],
        app: Any,
        *,
        chunked: Iterable[str],
        resume: Resume,
        revoked: Callable[[], None],
        commit_text: Callable[[TP, int], str] = lambda tp, offset: "",
    ) -> None:
        super().__init__(urls, app)
        self.chunked = frozenset(chunked)
        self.epochs = LeaderEpochs()
        self.resume = resume
        self.revoked = revoked
        self.commit_text = commit_text

    def lost_name(self) -> None:
        """End the process, from any thread: another worker has the same name."""
        name = self.app.conf.consumer_group_instance_id
        error = WrongUse(f"another worker was started as --instance {name}; this one ends")

        def end() -> None:
            self.revoked()
            self._crash = asyncio.ensure_future(self.app.crash(error))

        self.app.loop.call_soon_threadsafe(end)
