"""The shell of the networks step: the one partition of ``buckets``, and the control topics.

``releases`` and ``decisions`` are read to their end before the first bucket is scored, and
followed from then on. Which control records a bucket used must survive a crash. So before
the step gets bucket records, the marker says which control records are in use (the pins) and
up to which offset the step is about to process with them (the fence). After a restart
everything before the fence is processed with the pins alone; newer control records are read
when the fence is reached.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from pivotwatch.base.network_classes import class_of
from pivotwatch.config.config import Config, Logical
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch.engine.checkpoint_format import Snapshot
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.async_client import reader
from pivotwatch.engine.operator import ControlledOperator
from pivotwatch.engine.partition_task import PartitionTask
from pivotwatch.engine.runtime import build_app, run_app
from pivotwatch.engine.worker import Shell

PINS_BYTES = 100_000
"""More pins than fit well into a marker, which is one record, become part of the state at once."""
CONTROL_TOPICS: tuple[Logical, ...] = ("releases", "decisions")


class NetworksPartition(PartitionTask[ControlledOperator]):
    """The live partition of ``buckets``.

    Attributes
    ----------
    follower
        The task that takes control records; it ends with the partition.
    """

    follower: asyncio.Task[None] | None = None

    def restore(self, snapshot: Snapshot) -> None:
        """Bring the step to where a snapshot was taken, with the control records that came since."""
        super().restore(snapshot)
        if snapshot.pins:
            self.step.repin(snapshot.pins)

    def pins(self) -> bytes:
        """Control records that the snapshot does not include."""
        return self.step.pins()

    async def control(self, topic: str, record: ConsumerRecord[bytes, bytes]) -> None:
        """Take a control record."""
        async with self.lock:
            if not self.ended:
                await self.apply(lambda: self.step.control(topic, record))
                self.controls[topic] = record.offset + 1
                self.decision = sum(self.controls.values())

    async def before(self, until: int) -> bool:
        """Write down with which control records the next buckets are scored."""
        self.fence = max(self.fence, until)
        pins = self.pins()
        if self._checkpoints.begun and len(pins) <= PINS_BYTES:
            await self._checkpoints.decide(
                decision=self.decision, pins=pins, controls=dict(self.controls), fence=self.fence
            )
        else:
            await self.save()
        return await self.confirmed()

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
        step = self.make_operator(self.config.settings, self.partitions)
        return NetworksPartition(step, partition=partition, **parts)

    async def started(self, live: NetworksPartition) -> None:
        """Read the control topics now, unless there is input that was processed without."""
        if live.offset >= live.fence:
            await self._read_controls(live)

    async def feed(self, live: NetworksPartition, chunk: Chunk) -> None:
        """Give a chunk to the partition, in two parts where newer control records may come in."""
        if live.follower is None:
            head, chunk = chunk.split(live.fence)
            await live.take(head)
            if live.offset >= live.fence:
                await self._read_controls(live)
        await live.take(chunk)

    async def _read_controls(self, live: NetworksPartition) -> None:
        """Read the control topics to their end, then go on following them."""
        reading = asyncio.Event()
        live.follower = asyncio.create_task(follow(self.config, live, reading, self.fail))
        at_end = asyncio.create_task(reading.wait())
        await asyncio.wait({live.follower, at_end}, return_when=asyncio.FIRST_COMPLETED)
        at_end.cancel()

    async def upkeep(self, live: NetworksPartition) -> None:
        """Nothing: control records come through `follow`."""

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
            ends = await _seek(consumer, topics, live.controls)
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


def run(
    config: Config,
    *,
    instance: str | None,
    until_end: bool,
    reset_state: bool,
    make_operator: Callable[..., Any] = ScoringOperator,
) -> int:
    """Run the worker in this process, until a signal or the end of its input; returns its exit status.

    Raises
    ------
    Fault
        With a message for the operator: no broker, no topic, a state that must not be continued.
    """
    network_class = class_of(config.network_classes)
    source, requests = config.topic("buckets"), config.topic("requests")
    needed = [requests, *(config.topic(logical) for logical in CONTROL_TOPICS)]
    seen = sync_client.survey(config, "networks", source, needed)
    app = build_app(
        config,
        "networks",
        instance,
        lambda app: NetworksShell(
            app,
            config,
            source=source,
            partitions=seen.partitions[requests],
            make_operator=functools.partial(make_operator, network_class=network_class),
            until_end=seen.ends[source] if until_end else None,
            reset_state=reset_state,
        ),
        sources=[source],
        state_partitions=seen.partitions[source],
    )
    return run_app(config, "networks", app, instance)
