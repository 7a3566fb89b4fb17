"""Fetch batching: the agent receives a chunk of records where Faust delivers one.

Faust costs about 100 µs a message, so it hands on few: for the topics that ask for it, the
records of a partition's fetch travel as one message whose value is a `Chunk`. Changelogs and
every other topic pass as they came.

Faust's own book of acknowledged offsets is not used for these topics. It books the offsets
inside a chunk as a gap, and a gap counts as acknowledged as soon as a higher offset is: a
crash between two chunks would lose the first one. Here one number per partition is
committed, and only the checkpoint sets it (`FetchConsumer.done`).

A chunk says after which offset it was read. Whoever takes it can tell a chunk that was lost
on the way (a rebalance drops queued messages) from a hole in the topic itself.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP, ConsumerMessage

CHUNK_RECORDS = 5_000
"""Long enough that Faust's share is small, short enough that heartbeats are answered."""

Resume = Callable[[Mapping[TP, int | None]], Awaitable[Mapping[TP, int]]]
"""Given what the group has committed: where to read on, for the partitions that have a state."""


class Chunk(list[ConsumerRecord[bytes, bytes]]):
    """Records of one partition, in the order of their offsets.

    Attributes
    ----------
    after
        The offset of the record that was read before this chunk; between it and the first
        record of the chunk the partition held nothing.
    """

    __slots__ = ("after",)

    def __init__(self, records: Iterable[ConsumerRecord[bytes, bytes]], after: int) -> None:
        super().__init__(records)
        self.after = after


class Position(NamedTuple):
    """How far a partition has been fetched, all read at one moment.

    Attributes
    ----------
    next
        The offset that will be fetched next; transaction markers are behind it.
    end
        The end of the partition for readers of committed records.
    last
        The offset of the last record fetched (``next - 1`` at the earliest).
    at
        When the broker last answered for this partition (`time.monotonic`).
    """

    next: int
    end: int
    last: int
    at: float


class ChunkScheduler(DefaultSchedulingStrategy):
    """Orders what was fetched: round robin over topics and partitions, chunk by chunk."""

    def __init__(self, chunked: frozenset[str], size: int = CHUNK_RECORDS) -> None:
        self.chunked = chunked
        self.size = size
        self.last: dict[TP, int] = {}

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """Iterate over records, those of chunked topics as `Chunk`."""
        cut = {
            tp: self._chunks(tp, fetched) if tp.topic in self.chunked else fetched
            for tp, fetched in records.items()
        }
        return super().iterate(cut)

    def seek(self, tp: TP, offset: int) -> None:
        """Note that the partition is read from ``offset`` on."""
        self.last[tp] = offset - 1

    def _chunks(self, tp: TP, records: list[Any]) -> list[Chunk]:
        chunks = []
        after = self.last.get(tp, records[0].offset - 1 if records else -1)
        for start in range(0, len(records), self.size):
            chunk = Chunk(records[start : start + self.size], after)
            after = chunk[-1].offset
            chunks.append(chunk)
        self.last[tp] = after
        return chunks


class _Fetched(dict[TP, list[Any]]):
    """What one fetch returned, with the positions of the same moment."""

    positions: dict[TP, tuple[int, int, float]]


class FetchThread(driver.AIOKafkaConsumerThread):
    """The consumer's thread: reads committed records only and reports positions."""

    transport: FetchTransport

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer[bytes, bytes]:
        consumer = super()._create_worker_consumer(transport)
        # Faust ties this to exactly_once; aiokafka reads it when the consumer starts.
        consumer._isolation_level = "read_committed"
        return consumer

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> _Fetched:
        fetched = _Fetched(await super()._fetch_records(consumer, *args, **kwargs))
        now, now_ms = time.monotonic(), time.time() * 1000
        fetched.positions = {}
        assignment = consumer._subscription.subscription.assignment
        for tp in assignment.tps:
            state = assignment.state_value(tp)
            if tp.topic in self.transport.chunked and state.has_valid_position and state.timestamp:
                at = now - max(0.0, now_ms - state.timestamp) / 1000
                fetched.positions[TP(*tp)] = (state.position, state.lso, at)
        return fetched


class FetchConsumer(driver.Consumer):
    """Faust's consumer for chunked topics.

    Attributes
    ----------
    positions
        The latest `Position` of each chunked partition, none right after a seek.
    """

    transport: FetchTransport
    scheduler: ChunkScheduler

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scheduler = ChunkScheduler(self.transport.chunked)
        self.positions: dict[TP, Position] = {}
        self._done: dict[TP, int] = {}

    def done(self, tp: TP, offset: int) -> None:
        """Everything before ``offset`` is in a checkpoint: the next commit may say so."""
        self._done[tp] = offset

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        offsets: dict[TP, int] = super()._filter_committable_offsets(
            tp for tp in tps if tp.topic not in self.transport.chunked
        )
        offsets.update((tp, done) for tp, done in self._done.items() if self._should_commit(tp, done))
        return offsets

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic not in self.transport.chunked:
            await super()._add_gap(tp, offset_from, offset_to)

    async def perform_seek(self) -> None:
        """Read on where the state says, whatever the group has committed."""
        await super().perform_seek()
        committed = {
            tp: self._committed_offset[tp] for tp in self.assignment() if tp.topic in self.transport.chunked
        }
        self.positions.clear()
        self.scheduler.last.clear()
        resume = dict(await self.transport.resume(committed))
        if resume:
            await self.seek_wait(resume)
        for tp, offset in resume.items():
            self.scheduler.seek(tp, offset)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what belongs to the ended assignment."""
        self._done.clear()
        self.positions.clear()
        await super().on_partitions_revoked(revoked)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, list[Any]]:
        fetched: Mapping[TP, list[Any]] = await super()._getmany(active_partitions, timeout)
        for tp, (position, end, at) in getattr(fetched, "positions", {}).items():
            records = fetched.get(tp)
            last = records[-1].offset if records else self.scheduler.last.get(tp, position - 1)
            self.positions[tp] = Position(position, end, last, at)
        return fetched

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
            value=record,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=TP(*tp),
            generation_id=self.app.consumer_generation_id,
        )

    def _new_consumer_thread(self) -> FetchThread:
        return FetchThread(self, loop=self.loop, beacon=self.beacon)


class FetchProducer(driver.Producer):
    """A producer whose retries neither repeat nor reorder what it sends."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class FetchTransport(driver.Transport):
    """Puts the classes above in the place of Faust's.

    Parameters
    ----------
    urls, app
        As Faust's transport takes them.
    chunked
        Names of the topics that are delivered in chunks.
    resume
        Asked after every assignment, once the tables are recovered.
    """

    Consumer: ClassVar[type[Any]] = FetchConsumer
    Producer: ClassVar[type[Any]] = FetchProducer

    def __init__(self, urls: list[Any], app: Any, *, chunked: Iterable[str], resume: Resume) -> None:
        super().__init__(urls, app)
        self.chunked = frozenset(chunked)
        self.resume = resume
