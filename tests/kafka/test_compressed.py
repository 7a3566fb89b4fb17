"""Batches that unpack to hundreds of megabytes: the worker goes on, and its memory stays bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from tests.kafka import engine_rig
from tests.kafka.engine_rig import Rig, events, wait_for

MIB = 2**20
MOST_GROWTH = 100 * MIB


def peak(pid: int) -> int:
    """The most memory that a process has had so far, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def send_bomb(rig: Rig, codec: str, size: int) -> None:
    """Send one small batch that unpacks to ``size`` bytes."""

    async def send() -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=rig.config.brokers,
            compression_type=codec,
            max_batch_size=2 * size,
            max_request_size=2 * size,
        ) as producer:
            batch = producer.create_batch()
            while (
                batch.append(key=b"bomb", value=b" " * MIB, timestamp=None)
                and batch.record_count() < size // MIB
            ):
                pass
            batch.close()
            await (await producer.send_batch(batch, rig.config.topic("requests"), partition=0))

    asyncio.run(send())


@pytest.mark.parametrize(("codec", "size"), [("zstd", 630 * MIB), ("gzip", 100 * MIB), ("lz4", 100 * MIB)])
def test_a_batch_that_becomes_too_large_is_one_dead_letter(
    broker: str, topic_prefix: str, tmp_path: Path, codec: str, size: int
) -> None:
    """Of snappy, a broker takes no batch that becomes too large: it shrinks to a twentieth at most."""
    with engine_rig.rig(broker, topic_prefix, tmp_path, partitions=1) as rig:
        rig.produce(events(500))
        worker = rig.worker("accounts")
        wait_for("the first events", lambda: rig.committed()[0] == [500])
        before = peak(worker.process.pid)
        send_bomb(rig, codec, size)
        rig.produce(events(500))
        wait_for("the rest", lambda: rig.committed()[0] == [1000 + size // MIB])
        growth = peak(worker.process.pid) - before
        print(f"{codec}: peak {before / 1e6:.0f} MB, then {growth / 1e6:+.0f} MB")
        (letter,) = rig.read("dlq")
    assert b"more than 32 MiB" in letter[1]
    assert growth < MOST_GROWTH
