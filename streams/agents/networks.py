"""The shell of the networks step: the one partition of ``buckets``, and the control topics.

``releases`` and ``decisions`` are read to their end before the first bucket is scored, and
followed from then on. Which control records a bucket used must survive a crash: they are
pinned in the marker before the step gets the next bucket records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.agents.shell import Shell
from streams.aiobroker import reader
from streams.checkpoint import Snapshot
from streams.config import Config, Logical
from streams.live import LivePartition
from streams.steps.contract import ControlledStep

CONTROL_TOPICS: tuple[Logical, ...] = ("releases", "decisions")


class NetworksPartition(LivePartition[ControlledStep]):
    """The live partition of ``buckets``.

    Attributes
    ----------
    follower
        The task that takes control records; it ends with the partition.
    """

    follower: asyncio.Task[None] | None = None

    def __init__(self, step: ControlledStep, *, snapshot: Snapshot | None, **parts: Any) -> None:
        super().__init__(step, snapshot=snapshot, **parts)
        self._controls = dict(snapshot.controls) if snapshot else {}
        if snapshot and snapshot.pins:
            step.repin(snapshot.pins)

    def pins(self) -> bytes:
        """Control records that the snapshot does not include."""
        return self.step.pins()

    def controls(self) -> Mapping[str, int]:
        """Next offset of each control topic."""
        return dict(self._controls)

    async def control(self, topic: str, record: ConsumerRecord[bytes, bytes]) -> None:
        """Take a control record."""
        async with self.lock:
            if not self.ended:
                await self.apply(lambda: self.step.control(topic, record))
                self._controls[topic] = record.offset + 1
                self.decision = sum(self._controls.values())

    async def before(self) -> None:
        """Pin the control records that the next buckets will use."""
        if not self.step.pins_changed():
            return
        if self._checkpoints.begun:
            await self._checkpoints.decide(self.decision, self.step.pins(), self.controls())
        else:
            await self.save()

    def end(self) -> None:
        """Take and save nothing more."""
        super().end()
        if self.follower is not None:
            self.follower.cancel()


class NetworksShell(Shell[NetworksPartition]):
    """Drives the networks step."""

    role = "networks"

    def new(self, partition: int, **parts: Any) -> NetworksPartition:
        """Make the live partition."""
        step = self.make_step(self.config.settings, self.partitions)
        return NetworksPartition(step, partition=partition, **parts)

    async def started(self, live: NetworksPartition) -> None:
        """Read the control topics to their end, then follow them."""
        reading = asyncio.Event()
        live.follower = asyncio.create_task(follow(self.config, live, reading, self.fail))
        at_end = asyncio.create_task(reading.wait())
        await asyncio.wait({live.follower, at_end}, return_when=asyncio.FIRST_COMPLETED)
        at_end.cancel()

    async def upkeep(self, live: NetworksPartition) -> None:
        """Nothing: control records arrive through `follow`."""

    def done(self, live: NetworksPartition) -> bool:
        """Has every partition of ``requests`` declared its end?"""
        return live.step.finished


async def follow(
    config: Config, live: NetworksPartition, at_end: asyncio.Event, fail: Callable[[BaseException], None]
) -> None:
    """Hand control records to a live partition, from where its state stands.

    Parameters
    ----------
    at_end
        Set once everything that the topics held at the start is taken.
    fail
        Called when the topics cannot be read any more.
    """
    try:
        async with reader(config) as consumer:
            topics = {TopicPartition(config.topic(logical), 0): logical for logical in CONTROL_TOPICS}
            ends = await _seek(consumer, topics, live.controls())
            while not live.ended:
                if all([await consumer.position(tp) >= end for tp, end in ends.items()]):
                    at_end.set()
                for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                    for record in records:
                        await live.control(topics[tp], record)
    except Exception as error:
        fail(error)


async def _seek(
    consumer: AIOKafkaConsumer[bytes, bytes], topics: Mapping[Any, str], controls: Mapping[str, int]
) -> dict[Any, int]:
    """Place the consumer behind the records that were taken; return where the topics end."""
    consumer.assign(list(topics))
    earliest = await consumer.beginning_offsets(list(topics))
    for tp, logical in topics.items():
        consumer.seek(tp, max(earliest[tp], controls.get(logical, 0)))
    ends: dict[Any, int] = await consumer.end_offsets(list(topics))
    return ends
