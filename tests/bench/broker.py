"""Topics filled with the events of a measurement."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid

from aiokafka import AIOKafkaProducer

from pivotwatch.config.config import Config
from tests.bench.data import Traffic
from tests.bench.probe import Task

BATCH_BYTES = 65_536
"""Size of a producer batch, in bytes: about 300 events."""


class Place:
    """A topic with the events of some traffic, and output topics.

    Attributes
    ----------
    messages
        Number of messages in the filled topic.
    """

    def __init__(self, partitions: int) -> None:
        self.brokers = Config().brokers
        self.partitions = partitions
        self.prefix = f"bench-{uuid.uuid4().hex[:8]}."
        self.messages = 0
        sizes = (f"requests_partitions={partitions}", "replication_factor=1", "min_insync_replicas=1")
        options = [part for setting in sizes for part in ("--set", setting)]
        command = [sys.executable, "-m", "pivotwatch", "topics", "create", *options]
        # The events are old: retention would delete them.
        environment = {**self.environment("none"), "PIVOTWATCH_RETENTION__REQUESTS": "0"}
        subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)

    @property
    def topic(self) -> str:
        """Name of the topic with the events."""
        return f"{self.prefix}requests"

    def environment(self, group: str, **more: str) -> dict[str, str]:
        """Environment that configures a worker; ``more`` are further settings."""
        own = {"PIVOTWATCH_TOPIC_PREFIX": self.prefix, "PIVOTWATCH_APP_PREFIX": group}
        return own | {f"PIVOTWATCH_{key.upper()}": value for key, value in more.items()}

    def task(self, job: str, messages: int, token: str | None = None) -> Task:
        """A task with a new consumer group."""
        return Task(
            brokers=self.brokers,
            topic=self.topic,
            # Nothing reads the outputs of the other engines; those of a worker go to its own topics.
            out=f"{self.prefix}status",
            group=f"bench-{uuid.uuid4().hex[:8]}",
            partitions=self.partitions,
            messages=messages,
            job=job,
            token=token,
        )

    def fill(self, traffic: Traffic) -> None:
        """Write the events, one object (or array) per message, uncompressed."""
        asyncio.run(self._fill(traffic))

    async def _fill(self, traffic: Traffic) -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=self.brokers, max_batch_size=BATCH_BYTES, acks=1
        ) as producer:
            for dealt in traffic.slices():
                sent = []
                for partition, messages in enumerate(dealt):
                    self.messages += len(messages)
                    batch = producer.create_batch()
                    for m in messages:
                        while batch.append(key=m.key, value=m.value, timestamp=m.timestamp) is None:
                            sent.append(await producer.send_batch(batch, self.topic, partition=partition))
                            batch = producer.create_batch()
                    if batch.record_count():
                        sent.append(await producer.send_batch(batch, self.topic, partition=partition))
                await asyncio.gather(*sent)
