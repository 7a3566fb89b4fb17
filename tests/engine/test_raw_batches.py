"""Records of raw batches equal those of aiokafka, for batches of every kind."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import struct
import weakref
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from faust.transport.drivers import aiokafka as driver
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.contracts.records import Unreadable
from pivotwatch.engine.fetching.consumer import FetchThread
from pivotwatch.engine.fetching.leader_epochs import LeaderEpochs
from pivotwatch.engine.fetching.raw_batches import PIECE, POLL_BYTES, Batches, Results
from pivotwatch.engine.fetching.unpacking import MAX_BATCH_BYTES, UNPACKED

TP = TopicPartition("requests", 0)
OTHER = TopicPartition("changelog", 0)
CODECS = range(5)
"""None, gzip, snappy, lz4, zstd."""
CONTROL = 0x20
ABORT, COMMIT = 0, 1

Record = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


@dataclasses.dataclass(frozen=True)
class Batch:
    """A batch as it is stored in the log.

    ``skips`` are the offsets before each record that were compacted away, ``behind`` those at the end.
    A producer is transactional when it has a number; ``control`` makes the batch a marker.
    """

    records: Sequence[Record]
    skips: Sequence[int] = ()
    behind: int = 0
    producer: int = -1
    codec: int = 0
    control: int | None = None

    def at(self, base: int) -> tuple[bytes, int]:
        """The bytes of the batch, and the next offset."""
        codec = self.codec if self.records else 0  # Compaction leaves empty batches like this one.
        builder = DefaultRecordBatchBuilder(2, codec, self.producer >= 0, self.producer, 0, 0, 1 << 28)
        delta = -1
        for number, (key, value, headers) in enumerate(self.records):
            delta += 1 + (self.skips[number] if number < len(self.skips) else 0)
            builder.append(delta, 1_000 + number, key, value, headers)
        last = max(delta + self.behind, 0)
        data = bytearray(builder.build())
        struct.pack_into(">q", data, 0, base)
        struct.pack_into(">i", data, 23, last)
        if self.control is not None:
            data[22] |= CONTROL
        struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
        return bytes(data), base + last + 1


def marker(producer: int, kind: int) -> Batch:
    """A marker that ends a transaction."""
    return Batch([(struct.pack(">hh", 0, kind), b"\0\0\0\0\0\0", [])], producer=producer, control=kind)


class Log:
    """Consecutive batches, and the answer of a broker to a fetch."""

    def __init__(self, *batches: Batch) -> None:
        self.parts: list[tuple[bytes, int]] = []
        self.aborted: list[tuple[int, int, int]] = []
        self.end = 0
        begun: dict[int, int] = {}
        for batch in batches:
            if batch.control is None:
                begun.setdefault(batch.producer, self.end)
            elif (first := begun.pop(batch.producer, None)) is not None and batch.control == ABORT:
                self.aborted.append((batch.producer, first, self.end))
            data, self.end = batch.at(self.end)
            self.parts.append((data, self.end))

    def fetched(self, begin: int = 0) -> PartitionRecords:
        """The answer as aiokafka gets it: complete batches; the first may begin before the offset."""
        data = b"".join(data for data, end in self.parts if end > begin)
        aborted = [(producer, first) for producer, first, marker in self.aborted if marker >= begin]
        args = (aborted, begin, None, None, True, READ_COMMITTED)
        return PartitionRecords(TP, MemoryRecords(data), *args)


def fields_of(records: Sequence[Any]) -> list[tuple[Any, ...]]:
    """All fields of records."""
    return [(r.offset, r.timestamp, r.timestamp_type, r.key, r.value, tuple(r.headers)) for r in records]


some_bytes = st.none() | st.binary(max_size=40)
some_headers = st.lists(st.tuples(st.sampled_from(["", "trace", "ü"]), some_bytes), max_size=2)
some_records = st.lists(st.tuples(some_bytes, some_bytes, some_headers), max_size=6)
data_batches = st.builds(
    Batch,
    records=some_records,
    skips=st.lists(st.integers(0, 3), max_size=6),
    behind=st.integers(0, 3),
    producer=st.integers(-1, 2),
    codec=st.sampled_from(CODECS),
)
some_batches = st.lists(
    data_batches | st.builds(marker, st.integers(0, 2), st.sampled_from([ABORT, COMMIT])), max_size=8
)


@pytest.mark.slow
@given(some_batches, st.integers(0, 20), st.lists(st.integers(1, 7), min_size=1))
def test_the_records_equal_those_of_aiokafka(batches: list[Batch], begin: int, sizes: list[int]) -> None:
    """Transactions, markers, gaps, compression, headers, tombstones; from any offset, in any parts."""
    log = Log(*batches)
    theirs = log.fetched(begin)
    expected = fields_of(list(theirs))
    ours, found = Batches(log.fetched(begin)), list[tuple[Any, ...]]()
    while not ours.is_empty:
        for size in sizes:
            part = fields_of(ours.take(size))
            assert len(part) <= size
            found += part
            # A reader that continues from here misses nothing and repeats nothing.
            assert fields_of(list(log.fetched(ours.next_fetch_offset))) == expected[len(found) :]
    assert found == expected
    assert ours.take(1) == []
    assert ours.next_fetch_offset == theirs.next_fetch_offset


def three() -> Batch:
    return Batch([(b"k", b"%d" % n, []) for n in range(3)])


def held(*batches: Batch) -> tuple[Results, Any, Any]:
    """Fetch results with an answer, their records, and the state of the partition."""

    async def subscribed() -> Any:  # aiokafka needs a running event loop.
        subscription = SubscriptionState()
        subscription.assign_from_user({TP, OTHER})
        return subscription

    subscription = asyncio.run(subscribed())
    assignment = subscription.subscription.assignment
    state = assignment.state_value(TP)
    state.seek(0)
    results = Results({"requests"})
    records = Log(*batches).fetched()
    result = FetchResult(TP, partition_records=records, assignment=assignment, backoff=0)
    results[TP] = result
    return results, result, state


def test_only_chunked_topics_are_read_by_batches() -> None:
    results, result, _ = held(three())
    assert type(results[TP]) is FetchResult, "aiokafka checks for exactly this type"
    plain = FetchResult(OTHER, partition_records=Log().fetched(), assignment=None, backoff=0)
    results[OTHER] = plain
    assert isinstance(result._partition_records, Batches)
    assert type(plain._partition_records) is PartitionRecords
    assert "getall" not in vars(plain)


def test_the_position_follows_the_returned_records() -> None:
    _, result, state = held(three(), three(), marker(1, COMMIT))
    assert [r.offset for r in result.getall(4)] == [0, 1, 2, 3]
    assert (state.position, result.has_more()) == (4, True)
    assert [r.offset for r in result.getall(9)] == [4, 5]
    assert (state.position, result.has_more()) == (7, False), "the position includes the marker"
    assert result.getall(9) == []


def test_all_records_can_be_read_at_once() -> None:
    _, result, state = held(three(), three())
    assert len(result.getall()) == 6
    assert (state.position, result.has_more()) == (6, False)


@pytest.mark.parametrize("happens", ["seek", "pause"])
def test_records_fetched_before_a_seek_or_a_pause_are_dropped(happens: str) -> None:
    _, result, state = held(three(), three())
    result.getall(2)
    if happens == "seek":
        state.seek(0)
    else:

        async def pause() -> None:
            state.pause()

        asyncio.run(pause())
    assert (result.getall(9), result.has_more()) == ([], False)
    assert state.position == (0 if happens == "seek" else 2)


def test_a_batch_with_a_wrong_checksum_is_never_skipped() -> None:
    _, result, state = held(three())
    bad = bytearray(three().at(3)[0])
    bad[-2] ^= 1
    data = three().at(0)[0] + bytes(bad) + three().at(6)[0]
    result._partition_records._records = MemoryRecords(data)
    assert len(result.getall(3)) == 3
    for _ in range(2):
        if result.has_more():
            with pytest.raises(CorruptRecordException, match="requests"):
                result.getall(9)
        assert (result.getall(9), result.has_more(), state.position) == ([], False, 3)


def test_unused_batches_are_freed_at_once() -> None:
    results, result, _ = held(three())
    theirs = Log(three(), three()).fetched()
    results[TP] = FetchResult(TP, partition_records=theirs, assignment=result._assignment, backoff=0)
    results[TP].getall(2)
    gone = [weakref.ref(theirs), weakref.ref(results[TP]._partition_records)]
    gc.disable()
    try:
        del results[TP], theirs
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()


def test_the_consumer_of_a_worker_reads_raw_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connected(self: Any) -> None: ...

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_start", connected)
    thread = FetchThread.__new__(FetchThread)
    thread.transport = SimpleNamespace(chunked={"requests"}, epochs=LeaderEpochs())  # type: ignore[assignment]
    thread.app = SimpleNamespace(conf=SimpleNamespace(consumer_group_instance_id=None))  # type: ignore[assignment]
    fetcher = SimpleNamespace(_records={})
    thread._consumer = SimpleNamespace(_fetcher=fetcher)
    asyncio.run(thread.on_start())
    assert isinstance(fetcher._records, Results)


@pytest.mark.parametrize("codec", CODECS[1:])
def test_a_batch_that_becomes_too_large_leaves_one_record_that_says_so(codec: int) -> None:
    bomb = Batch([(b"k", bytes(MAX_BATCH_BYTES), []), (b"k", b"behind", [])], codec=codec)
    log = Log(Batch([(b"a", b"before", [])]), bomb, Batch([(b"b", b"after", [])]))
    records = take_all(Batches(log.fetched()))
    assert [(record.offset, record.key) for record in records] == [(0, b"a"), (2, None), (3, b"b")]
    assert isinstance(records[1].value, Unreadable)
    assert b"offsets 1 to 2 are left out" in records[1].value
    assert b"more than 32 MiB" in records[1].value


@pytest.mark.parametrize("codec", CODECS[1:])
def test_a_batch_whose_compression_is_damaged_leaves_one_record_that_says_so(codec: int) -> None:
    log = Log(Batch([(b"k", b"v" * 500, [])], codec=codec), Batch([(b"b", b"after", [])]))
    data, end = log.parts[0]
    damaged = bytearray(data)
    damaged[61:70] = bytes(9)
    struct.pack_into(">I", damaged, 17, calc_crc32c(bytes(damaged[21:])))
    log.parts[0] = bytes(damaged), end
    records = take_all(Batches(log.fetched()))
    assert isinstance(records[0].value, Unreadable)
    assert [record.offset for record in records] == [0, 1]


def test_a_record_that_cannot_be_read_takes_what_follows_in_its_batch_along() -> None:
    log = Log(Batch([(b"a", b"1", []), (b"b", b"2", [("name", b"x")]), (b"c", b"3", [])]))
    data, end = log.parts[0]
    damaged = bytearray(data.replace(b"name", b"n\xffme"))
    struct.pack_into(">I", damaged, 17, calc_crc32c(bytes(damaged[21:])))
    log.parts[0] = bytes(damaged), end
    records = take_all(Batches(log.fetched()))
    assert [(record.offset, record.key) for record in records] == [(0, b"a"), (2, None)]
    assert b"offsets 1 to 2" in (records[1].value or b"")


def test_a_poll_ends_when_it_has_unpacked_enough() -> None:
    log = Log(*[Batch([(b"k", bytes(POLL_BYTES), [])], codec=4) for _ in range(5)])
    batches = Batches(log.fetched())
    for count in (1, 1, 1, 1, 1, 0):
        assert len(batches.take(20_000, UNPACKED.total + POLL_BYTES)) == count
    assert batches.is_empty


def take_all(batches: Batches) -> list[Any]:
    """Everything that batches hold."""
    found: list[Any] = []
    while part := batches.take(20_000):
        found += part
    return found


@pytest.mark.parametrize("most", [1, PIECE, 3 * PIECE])
@pytest.mark.parametrize("count", [PIECE - 1, PIECE, 2 * PIECE, 2 * PIECE + 1])
def test_a_batch_of_many_records_is_read_in_pieces(most: int, count: int) -> None:
    records = [(b"%d" % n, b"v", []) for n in range(count)]
    log = Log(Batch(records, codec=4, behind=2), Batch([(b"last", b"v", [])]))
    batches, found = Batches(log.fetched()), list[Any]()
    while part := batches.take(most):
        assert len(part) <= most
        found += part
    assert [record.key for record in found] == [*(key for key, _, _ in records), b"last"]
    assert batches.next_fetch_offset == log.end
