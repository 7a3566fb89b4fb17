"""The role ``delivery``: reads ``alerts`` and notifies the targets, with one dispatcher per partition.

Deliveries finish in any order, so this role has no checkpoints. The state is the notification log in the
table of the app, with one record per target and incident. The consumer group commits the offset before
which every delivery is in the log or is a dead letter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from faust.types import TP

from pivotwatch.base.durations import millis
from pivotwatch.config.config import Config
from pivotwatch.contracts.dead_letters import about_of
from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.delivery.dispatcher import Dispatcher, Origin
from pivotwatch.delivery.notification_log import NotificationLog
from pivotwatch.delivery.notifier import Publish
from pivotwatch.delivery.settings import read_settings
from pivotwatch.delivery.target_sender import TargetSender
from pivotwatch.engine.changelog import PartitionLog
from pivotwatch.engine.checkpoint import delete
from pivotwatch.engine.frame import Frame
from pivotwatch.engine.health import JOINING, Health
from pivotwatch.engine.metrics import Metrics
from pivotwatch.formats.message import Message

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1
SETTLE_SECONDS = 2.0
CLOSE_SECONDS = 5.0
MAX_AHEAD = 1_000
"""Deliveries that may wait for the fastest target before the worker stops to read."""
METRIC_OUTCOMES = {"delivered": "ok", "resent": "ok", "failed-attempt": "retried"}


class DeliveryPartition:
    """A partition of ``alerts`` that this worker owns.

    Attributes
    ----------
    offset
        The next input offset.
    dispatcher
        None until the first offset is known.
    pauses
        Whether reading waits for the targets.
    acknowledged, saved_at
        The offset that the consumer group got last, and when (monotonic seconds).
    """

    step = None

    def __init__(self, partition: int, notifications: NotificationLog) -> None:
        self.partition = partition
        self.notifications = notifications
        self.pauses = False
        self.dispatcher: Dispatcher | None = None
        self.offset = 0
        self.acknowledged = -1
        self.saved_at = time.monotonic()


class DeliveryShell(Frame):
    """Runs delivery in one process.

    Parameters
    ----------
    app
        The Faust app.
    config
        The configuration.
    until_end
        End offset of every partition of ``alerts`` in a finite run, None in a live run.
    reset_state
        Whether the notification log is deleted.
    make_target_senders
        Makes the senders of the targets, given the configuration and a function that sends records.

    Attributes
    ----------
    live
        The partitions that this worker owns.
    """

    role = "delivery"

    def __init__(
        self,
        app: Any,
        config: Config,
        *,
        until_end: Mapping[int, int] | None,
        reset_state: bool,
        make_target_senders: Callable[[Config, Publish], Sequence[TargetSender]],
    ) -> None:
        super().__init__(app, config)
        self.source = config.topic("alerts")
        self.until_end = until_end
        self.live: dict[int, DeliveryPartition] = {}
        self.metrics = Metrics(self.role, self)
        self.health = Health(self, config.stalled_after.total_seconds())
        self.target_senders = make_target_senders(config, self.publish)
        for target_sender in self.target_senders:
            target_sender.observe = self._count
            for outcome in ("ok", "retried", "failed"):  # A counter must exist before its first increase.
                self.metrics.deliveries.labels(target_sender.name, outcome)
            self.metrics.waiting.labels(target_sender.name).set_function(
                partial(getattr, target_sender, "waiting")
            )
        self._begin_at_end = read_settings(config.delivery).start == "latest"
        self._reset = reset_state

    async def run(self, stream: Any) -> None:
        """The Faust agent: pass records to the dispatchers, as long as at least one target keeps up."""
        async for event in stream.noack().events():
            live = self.live.get(event.message.partition)
            if live and event.value.seek == self.consumer.scheduler.seeks:
                for record in event.value:
                    if not await self._has_room(live):
                        break
                    self._take(live, record)
            event.value.clear()

    def _take(self, live: DeliveryPartition, record: InputRecord) -> None:
        if live.dispatcher and record.offset >= live.offset:
            live.dispatcher.dispatch(Origin(self.source, live.partition, record.offset), record.value)
            live.offset = record.offset + 1

    async def _has_room(self, live: DeliveryPartition) -> bool:
        """Wait until the fastest target keeps up; False when this worker lost the partition meanwhile.

        The fastest target sets the pace, so a slow target delays no other. When all targets are slow,
        reading pauses and the memory stays bounded.
        """
        while self.live.get(live.partition) is live:
            live.pauses = min(target_sender.waiting for target_sender in self.target_senders) >= MAX_AHEAD
            if not live.pauses:
                return True
            await asyncio.sleep(TICK_SECONDS)
        return False

    def drop(self) -> None:
        """End the assignment: the next owners of the partitions deliver the rest."""
        for live in self.live.values():
            if live.dispatcher:
                live.dispatcher.stop()
        self.live.clear()

    async def load(self, partitions: Mapping[int, Mapping[bytes, bytes]]) -> None:
        """Read the notification logs of the assigned partitions."""
        generation = self.app.consumer_generation_id
        retention = millis(self.config.retention.alerts)
        for partition, stored in sorted(partitions.items()):
            log = PartitionLog(self.app, self.app.tables["state"].changelog_topic_name, partition)
            if self._reset:
                logger.warning("partition %d: deleting the notification log", partition)
                await delete(log, stored)
                stored = {}
            notifications = NotificationLog(log, stored)
            if retention:
                await notifications.delete_before(round(time.time() * 1000) - retention)
            if generation != self.app.consumer_generation_id:
                return  # A rebalance happened; the next call loads the logs.
            self.live[partition] = DeliveryPartition(partition, notifications)
        self._reset = False

    async def resume(self, committed: Mapping[TP, int | None]) -> dict[TP, int]:
        """The offsets to read from: those that are committed, or the configured start of a new group."""
        tps = [tp for tp in committed if tp.partition in self.live]
        if not tps:
            return {}
        earliest = await self.consumer.earliest_offsets(*tps)
        ends = await self.consumer.highwaters(*tps)
        for tp in tps:
            live, known = self.live[tp.partition], committed[tp]
            if live.dispatcher is not None:
                continue
            if known is None or known < 0:
                live.offset = ends[tp] if self._begin_at_end else earliest[tp]
            else:
                live.offset = max(known, earliest[tp])
                if known < earliest[tp]:
                    logger.error(
                        "alerts %d to %d were deleted before delivery: set a longer retention.alerts",
                        known,
                        live.offset - 1,
                    )
            live.dispatcher = Dispatcher(
                self.target_senders,
                live.notifications,
                live.offset,
                send_dead_letter=self._send_dead_letter,
                fail=self.fail,
                owns_partition=self.consumer.is_member,
            )
            logger.info("partition %d: delivering from offset %d", tp.partition, live.offset)
        return {tp: self.live[tp.partition].offset for tp in tps}

    async def tend(self) -> None:
        """Acknowledge finished offsets, until the process or the finite run ends."""
        while not await self._finish():
            await asyncio.sleep(TICK_SECONDS)
            self._acknowledge()

    async def watch(self) -> None:
        """Check the progress of this worker until the process ends."""
        await self.health.watch(self.config, self.source)

    async def close(self) -> None:
        """Wait a moment for unfinished deliveries, commit, and log the outcomes."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                for live in list(self.live.values()):
                    if live.dispatcher:
                        await live.dispatcher.drain(SETTLE_SECONDS)
                self._acknowledge()
                await self.consumer.commit_done()
        except TimeoutError:
            logger.warning(
                "the last commit took too long; the notification log prevents repeated notifications"
            )
        for target_sender in self.target_senders:
            await target_sender.notifier.close()
            logger.info("target %s: %s", target_sender.name, dict(target_sender.counts) or "no deliveries")

    async def publish(self, topic: str, message: Message) -> None:
        """Send a record, and wait until Kafka has acknowledged it."""
        headers = [(name, value.encode()) for name, value in message.headers.items()]
        await self._send(topic, message.key.encode(), message.body, headers)

    async def _send(
        self, topic: str, key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        sent: Awaitable[object] = await self.app.producer.send(
            topic, key, value, partition=None, timestamp=None, headers=headers
        )
        await sent

    def progress(self) -> dict[int, int]:
        """The next offset of each partition, for `Health`. A partition that waits for targets is left out."""
        if not self.live:
            return {} if self.app.unassigned else {JOINING: self.app.tables["state"].records_read}
        return {partition: live.offset for partition, live in self.live.items() if not live.pauses}

    def is_ready(self) -> bool:
        """Whether every partition has a dispatcher."""
        return not self.app.rebalancing and all(live.dispatcher is not None for live in self.live.values())

    def end_of(self, partition: int) -> int | None:
        """The end offset of a partition, once a fetch has returned it."""
        position = self.consumer.positions.get(TP(self.source, partition))
        return position.end if position else None

    def _acknowledge(self) -> None:
        for partition, live in self.live.items():
            if live.dispatcher and live.dispatcher.offsets.committable != live.acknowledged:
                live.acknowledged = live.dispatcher.offsets.committable
                live.saved_at = time.monotonic()
                self.consumer.done(TP(self.source, partition), live.acknowledged)

    async def _finish(self) -> bool:
        """End this worker when its finite run is over; returns whether it is."""
        ends = self.until_end
        if ends is None or self.app.rebalancing or not (self.live or self.app.unassigned):
            return False
        # Transaction markers may be between the last alert and the end.
        if not all(
            live.dispatcher is not None
            and live.acknowledged >= live.offset
            and (live.offset >= ends[partition] or self._at_end(partition))
            for partition, live in self.live.items()
        ):
            return False
        await self.consumer.commit_done()
        self.over = True
        self.stop()
        return True

    def _at_end(self, partition: int) -> bool:
        position = self.consumer.positions.get(TP(self.source, partition))
        return (
            position is not None
            and position.next >= position.end
            and position.last < self.live[partition].offset
        )

    async def _send_dead_letter(self, letter: Output) -> None:
        about = about_of(letter.headers)
        logger.error(
            "dead letter: alert %s for target %s: %s: %s",
            (letter.key or b"(unreadable)").decode(),
            about.target or "(all)",
            about.error_class,
            about.message,
        )
        self.metrics.dead_letters.labels(about.error_class).inc()
        await self._send(self.config.topic("deliveries_dlq"), letter.key, letter.value, list(letter.headers))

    def _count(self, target: str, outcome: str) -> None:
        name = "failed" if outcome.startswith("dead-") else METRIC_OUTCOMES.get(outcome)
        if name is not None:
            self.metrics.deliveries.labels(target, name).inc()
