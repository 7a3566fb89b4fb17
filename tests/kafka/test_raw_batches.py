"""Reading raw batches from a real broker gives the same records as aiokafka, with every compression."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.record.default_records import DefaultRecord

from pivotwatch.config.config import load
from pivotwatch.engine.fetching.raw_batches import Results
from pivotwatch.engine.kafka import sync_client
from tests.kafka.conftest import MakeTopic

DEADLINE = 60.0
CODECS = (None, "gzip", "snappy", "lz4", "zstd")


async def fill(broker: str, topic: str, prefix: str) -> None:
    """Produce batches of every kind: compressed, aborted, committed, with headers and tombstones."""
    for codec in CODECS:
        async with AIOKafkaProducer(bootstrap_servers=broker, compression_type=codec) as producer:
            sent = [
                await producer.send(
                    topic,
                    None if n % 7 == 0 else b"%d" % n * 50,
                    key=b"k%d" % n,
                    headers=[("n", b"%d" % n), ("none", None)] if n % 5 == 0 else None,
                )
                for n in range(60)
            ]
            await asyncio.gather(*sent)
        async with AIOKafkaProducer(
            bootstrap_servers=broker, transactional_id=f"{prefix}tx", compression_type=codec
        ) as producer:
            for end in (producer.abort_transaction, producer.commit_transaction):
                await producer.begin_transaction()
                await asyncio.gather(*[await producer.send(topic, b"in a transaction") for _ in range(20)])
                await end()


@contextlib.asynccontextmanager
async def reading(broker: str, tp: TopicPartition, *, batches: bool) -> AsyncIterator[Any]:
    """Yield a consumer of one partition, at its start."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        if batches:
            consumer._fetcher._records = Results({tp.topic})
        consumer.assign([tp])
        consumer.seek(tp, 0)
        yield consumer
    finally:
        await consumer.stop()


async def drain(consumer: Any, tp: TopicPartition, most: int) -> list[Any]:
    """Read up to the end of the partition."""
    end, found = (await consumer.end_offsets([tp]))[tp], []
    async with asyncio.timeout(DEADLINE):
        while await consumer.position(tp) < end:
            for records in (await consumer.getmany(timeout_ms=200, max_records=most)).values():
                assert len(records) <= most
                found += records
    return found


def fields_of(records: list[Any]) -> list[tuple[Any, ...]]:
    return [(r.offset, r.timestamp, r.timestamp_type, r.key, r.value, tuple(r.headers)) for r in records]


async def plain(consumer: Any, tp: TopicPartition, most: int) -> list[Any]:
    return await drain(consumer, tp, most)


async def with_pauses(consumer: Any, tp: TopicPartition, most: int) -> list[Any]:
    found = []
    for _ in range(3):
        for records in (await consumer.getmany(timeout_ms=5_000, max_records=most)).values():
            found += records
        consumer.pause(tp)
        assert await consumer.getmany(timeout_ms=50) == {}
        consumer.resume(tp)
    return found + await drain(consumer, tp, most)


async def with_seeks(consumer: Any, tp: TopicPartition, most: int) -> list[Any]:
    for offset in (31, 5, 95):
        consumer.seek(tp, offset)
        await consumer.getmany(timeout_ms=5_000, max_records=most)
    consumer.seek(tp, 0)
    return await drain(consumer, tp, most)


@pytest.mark.parametrize("way", [plain, with_pauses, with_seeks])
def test_the_records_are_the_same(
    broker: str,
    make_topic: MakeTopic,
    topic_prefix: str,
    way: Callable[[Any, TopicPartition, int], Awaitable[list[Any]]],
) -> None:
    tp = TopicPartition(make_topic("mixed"), 0)

    async def test() -> None:
        await fill(broker, tp.topic, topic_prefix)
        async with reading(broker, tp, batches=False) as consumer:
            expected = fields_of(await drain(consumer, tp, 10_000))
        assert len(expected) == 80 * len(CODECS)
        for most in (7, 10_000):
            async with reading(broker, tp, batches=True) as consumer:
                found = await way(consumer, tp, most)
            assert fields_of(found) == expected
            assert {type(record) for record in found} == {DefaultRecord}

    asyncio.run(test())


def test_the_commands_read_them_too(broker: str, make_topic: MakeTopic, topic_prefix: str) -> None:
    topic = make_topic("mixed")
    asyncio.run(fill(broker, topic, topic_prefix))
    with sync_client.consumer(load(brokers=broker), isolation_level="read_committed") as client:
        tps = sync_client.partitions_of(client, topic)
        client.assign(tps)
        client.seek_to_beginning(*tps)
        end, found = client.end_offsets(tps)[tps[0]], []
        while client.position(tps[0]) < end:
            found += [record for records in client.poll(timeout_ms=200).values() for record in records]
    assert len(found) == 80 * len(CODECS)
