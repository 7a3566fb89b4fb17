"""Chunks: what the scheduler passes on, and what a live partition accepts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.engine.checkpoint_format import Snapshot, StateRefused
from pivotwatch.engine.fetching.chunks import Chunk, ChunkScheduler
from pivotwatch.engine.fetching.consumer import FetchThread
from pivotwatch.engine.fetching.raw_batches import Results
from pivotwatch.engine.partition_task import MissingRecords
from tests.engine.rig import REQUESTS, live_partition

OTHER = TP("changelog", 0)


def record(offset: int, tp: TP = REQUESTS) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(
        topic=tp.topic,
        partition=tp.partition,
        offset=offset,
        timestamp=1_000,
        timestamp_type=0,
        key=None,
        value=b"%d" % offset,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=1,
        headers=(),
    )


def scheduler(size: int = 3, begin: int = 0) -> ChunkScheduler:
    made = ChunkScheduler(frozenset({"requests"}))
    made.size = size  # type: ignore[misc]
    made.seeks = 1
    made.last[REQUESTS] = begin - 1
    return made


def test_only_chunked_topics_are_delivered_in_chunks() -> None:
    fetched = {REQUESTS: [record(n) for n in range(7)], OTHER: [record(n, OTHER) for n in range(2)]}
    handed = list(scheduler().iterate(fetched))
    chunks = [value for tp, value in handed if tp == REQUESTS]
    assert [[r.offset for r in chunk] for chunk in chunks] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [chunk.after for chunk in chunks] == [-1, 2, 5]
    assert [value.offset for tp, value in handed if tp == OTHER] == [0, 1]
    assert all(isinstance(value, ConsumerRecord) for tp, value in handed if tp == OTHER)


class Recording:
    """An operator that records the offsets of its input."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def process(self, records: Sequence[InputRecord]) -> list[Output]:
        self.seen += [record.offset for record in records]
        if 666 in self.seen:
            raise RuntimeError("broken")
        return []

    def meta(self) -> bytes:
        return b""

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        return {}

    def restore(self, meta: bytes, shards: Mapping[int, bytes]) -> None: ...


def live(limit: int | None = None, snapshot: Snapshot | None = None) -> Any:
    return live_partition(Recording(), snapshot=snapshot, limit=limit)


def feed(partition: Any, chunks: Iterator[Chunk] | list[Chunk]) -> None:
    async def run() -> None:
        for chunk in chunks:
            await partition.take(chunk)

    asyncio.run(run())


@given(
    st.sets(st.integers(0, 60), min_size=1),
    st.lists(st.integers(1, 9), min_size=1),
    st.integers(1, 5),
    st.integers(0, 70),
)
def test_every_record_is_processed_once_and_in_order(
    offsets: set[int], fetches: list[int], size: int, begin: int
) -> None:
    """Gaps of the topic, any sizes of fetches and chunks, and any restored state give the same."""
    plan, left = scheduler(size, begin=0), sorted(offsets)
    partition = live(snapshot=Snapshot(begin, b"", {}))
    partition.begin(earliest=0, end=99, committed=None)
    while left:
        for count in fetches:
            fetched, left = left[:count], left[count:]
            feed(partition, [chunk for _, chunk in plan.iterate({REQUESTS: [record(n) for n in fetched]})])
    assert partition.operator.seen == [n for n in sorted(offsets) if n >= begin]
    assert partition.offset == max(begin, max(offsets) + 1)


def test_a_lost_chunk_is_noticed() -> None:
    plan = scheduler(size=2)
    chunks = [chunk for _, chunk in plan.iterate({REQUESTS: [record(n) for n in range(6)]})]
    partition = live()
    partition.begin(earliest=0, end=99, committed=None)
    feed(partition, chunks[:1])
    with pytest.raises(MissingRecords, match="stands at offset 2"):
        feed(partition, chunks[2:])


def test_nothing_is_accepted_before_the_start_or_after_the_end_of_an_assignment() -> None:
    partition = live(limit=4)
    feed(partition, [Chunk([record(0)], -1, 1)])
    assert partition.operator.seen == []
    partition.begin(earliest=0, end=99, committed=None)
    feed(
        partition,
        [Chunk([record(n) for n in range(3)], -1, 1), Chunk([record(n) for n in range(3, 9)], 2, 1)],
    )
    feed(partition, [Chunk([record(9)], 8, 1)])
    assert partition.operator.seen == [0, 1, 2, 3]
    assert partition.offset == 4
    assert partition.finished


def test_a_chunk_is_empty_afterwards() -> None:
    partition = live()
    partition.begin(earliest=0, end=99, committed=None)
    chunk = Chunk([record(0)], -1, 1)
    feed(partition, [chunk])
    assert chunk == []


def test_an_operator_that_raised_is_neither_fed_nor_saved() -> None:
    partition = live()
    partition.begin(earliest=666, end=668, committed=None)
    with pytest.raises(RuntimeError, match="broken"):
        feed(partition, [Chunk([record(666)], 665, 1)])
    feed(partition, [Chunk([record(667)], 666, 1)])
    asyncio.run(partition.checkpoint())
    assert partition.operator.seen == [666]
    assert partition.offset == 666


@pytest.mark.parametrize(
    ("snapshot", "earliest", "end", "committed", "says"),
    [
        (None, 0, 99, 10, "the changelog was lost"),
        (Snapshot(5, b"", {}), 9, 99, 5, "only holds offsets from 9 on"),
        (Snapshot(5, b"", {}), 0, 4, 5, "not the topic that was read"),
    ],
)
def test_it_never_starts_with_a_gap(
    snapshot: Snapshot | None, earliest: int, end: int, committed: int, says: str
) -> None:
    with pytest.raises(StateRefused, match=says):
        live(snapshot=snapshot).begin(earliest, end, committed)


def test_it_starts_at_the_offset_of_the_state_whatever_the_group_committed() -> None:
    for snapshot, earliest, committed, offset in (
        (Snapshot(5, b"", {}), 0, 3, 5),
        (Snapshot(5, b"", {}), 0, 9, 5),
        (None, 7, None, 7),
    ):
        partition = live(snapshot=snapshot)
        partition.begin(earliest, 99, committed)
        assert partition.begun
        assert partition.offset == offset


def test_a_chunk_splits_at_an_offset() -> None:
    head, tail = Chunk([record(n) for n in (3, 4, 7, 8)], 1, 1).split(6)
    assert ([r.offset for r in head], head.after) == ([3, 4], 1)
    assert ([r.offset for r in tail], tail.after, tail.seek) == ([7, 8], 4, 1)


@pytest.mark.parametrize(("stable", "hidden"), [(9, False), (7, True)])
def test_a_position_shows_whether_a_transaction_hides_records(
    stable: int, hidden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(self: Any, *given: Any, **options: Any) -> dict[TP, list[Any]]:
        return {}

    async def run() -> Any:
        subscription = SubscriptionState()
        subscription.assign_from_user({TopicPartition("requests", 0)})
        state = subscription.subscription.assignment.state_value(TopicPartition("requests", 0))
        state.seek(7)
        state.highwater, state.lso, state.timestamp = 9, stable, time.time() * 1000
        thread = FetchThread.__new__(FetchThread)
        thread.transport = SimpleNamespace(chunked={"requests"})  # type: ignore[assignment]
        thread.results = Results({"requests"})
        return await thread._fetch_records(SimpleNamespace(_subscription=subscription))

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", nothing)
    position, end, _, found = asyncio.run(run()).positions[REQUESTS]
    assert (position, end, found) == (7, stable, hidden)


@pytest.mark.parametrize("steps", range(12))
def test_the_membership_check_can_be_cancelled_at_any_time(steps: int) -> None:
    """Also at the moment when the answer arrives."""

    async def test() -> None:
        async def answer() -> bool:
            return True

        thread: Any = SimpleNamespace(thread_loop=asyncio.get_running_loop(), _ask_coordinator=answer)
        asking = asyncio.ensure_future(FetchThread.is_member(thread))
        for _ in range(steps):
            await asyncio.sleep(0)
        stopped = asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled() == stopped

    asyncio.run(test())
