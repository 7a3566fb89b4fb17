"""Only reads with the aiokafka consumer, which Faust uses."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer

from tests.bench.probe import Peer, Task


async def main() -> None:
    task = Task.given()
    peer = Peer(task)
    consumer = AIOKafkaConsumer(
        task.topic, bootstrap_servers=task.brokers, group_id=task.group, auto_offset_reset="earliest"
    )
    await consumer.start()
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=100, max_records=20_000)).items():
            peer.take(tp.partition, records)


if __name__ == "__main__":
    asyncio.run(main())
