"""The role ``delivery``: reads ``alerts`` and notifies the targets, with one dispatcher per partition.

Deliveries finish in any order, so this role has no checkpoints. The state is the notification log in the
table of the app, with one record per target and incident. The consumer group commits the offset before
which every delivery is in the log or is a dead letter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence

from pivotwatch.config.config import Config
from pivotwatch.contracts.dead_letters import about_of
from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.delivery.dispatcher import Dispatcher, Origin
from pivotwatch.delivery.metrics import DeliveryMetrics
from pivotwatch.delivery.notification_log import NotificationLog
from pivotwatch.delivery.notifier import Publish
from pivotwatch.delivery.settings import read_settings
from pivotwatch.delivery.target_sender import TargetSender
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.metrics import Metrics, Worker
from pivotwatch.engine.role_task import LivePartition, RoleTask
from pivotwatch.engine.types import TP
from pivotwatch.formats.message import Message
from pivotwatch_models.durations import millis

logger = logging.getLogger(__name__)

ROOM_SECONDS = 0.1
"""How often reading looks whether the targets keep up again."""
SETTLE_SECONDS = 2.0
MAX_AHEAD = 1_000
"""Deliveries that may wait for the fastest target before the worker stops to read."""


class DeliveryPartition(LivePartition):
    """A partition of ``alerts`` that this worker owns.

    Attributes
    ----------
    dispatcher
        None until the first offset is known.
    pauses
        Whether reading waits for the targets.
    acknowledged
        The offset that the consumer group got last.
    """

    def __init__(self, tp: TP, notifications: NotificationLog, acknowledge: Callable[[int], None]) -> None:
        super().__init__(tp)
        self.notifications = notifications
        self.pauses = False
        self.dispatcher: Dispatcher | None = None
        self.acknowledged = -1
        self._acknowledge = acknowledge

    def take(self, record: InputRecord) -> None:
        """Pass a record to the dispatcher."""
        if self.dispatcher and record.offset >= self.offset:
            self.dispatcher.dispatch(Origin(self.tp.topic, self.tp.partition, record.offset), record.value)
            self.offset = record.offset + 1

    def acknowledge(self) -> None:
        """Let the consumer group commit the offset before which every delivery is finished."""
        if self.dispatcher and self.dispatcher.offsets.committable != self.acknowledged:
            self.acknowledged = self.dispatcher.offsets.committable
            self.saved_at = time.monotonic()
            self._acknowledge(self.acknowledged)

    def end(self) -> None:
        """End the assignment: the next owner of the partition delivers the rest."""
        super().end()
        if self.dispatcher:
            self.dispatcher.stop()


class DeliveryTask(RoleTask[DeliveryPartition]):
    """Delivers alerts to targets.

    Parameters
    ----------
    config
        The configuration.
    make_target_senders
        Makes the senders of the targets, given the configuration and a function that sends records.
    """

    role = "delivery"
    may_repeat = True  # The notification log knows what each target got.

    def __init__(
        self, config: Config, make_target_senders: Callable[[Config, Publish], Sequence[TargetSender]]
    ) -> None:
        self.config = config
        self.target_senders = make_target_senders(config, self.publish)
        self._begin_at_end = read_settings(config.delivery).start == "latest"

    def remedy(self, topic: str) -> str:
        """What a person does when ``alerts`` has changed."""
        config = self.host.config
        return (
            f"Start the worker again when {topic} exists; it reads a new topic from its beginning, and sends "
            "nothing twice. If it refuses again, run: kafka-consumer-groups.sh --bootstrap-server "
            f"{config.brokers} --group {config.app_id(self.role)} --topic {topic} --reset-offsets "
            "--to-earliest --execute"
        )

    def make_metrics(self, worker: Worker) -> Metrics:
        """Make the metrics of the worker."""
        return DeliveryMetrics(worker, self.target_senders)

    async def load(self, tp: TP, stored: Mapping[bytes, bytes]) -> DeliveryPartition:
        """Read the notification log of a partition."""
        self.host.reset.discard(tp)  # The committed offset still counts.
        notifications = NotificationLog(self.host.changelog(tp), stored)
        if retention := millis(self.config.retention.alerts):
            await notifications.delete_before(round(time.time() * 1000) - retention)
        return DeliveryPartition(tp, notifications, self.host.acknowledger(tp))

    def place(self, live: DeliveryPartition, earliest: int, end: int, committed: int | None) -> None:
        """Read on from the committed offset, or from the configured start of a new group."""
        if committed is None or committed < 0:
            # Kafka forgets the offset of a topic that is deleted. Whoever has delivered is not a new group.
            is_new = not live.notifications.has_entries
            live.offset = end if self._begin_at_end and is_new else earliest
        else:
            live.offset = max(committed, earliest)
            if committed < earliest:
                logger.error(
                    "alerts %d to %d were deleted before delivery: set a longer retention.alerts",
                    committed,
                    earliest - 1,
                )
        live.dispatcher = Dispatcher(
            self.target_senders,
            live.notifications,
            live.offset,
            send_dead_letter=self._send_dead_letter,
            fail=self.host.fail,
            owns_partition=self.host.consumer.is_member,
        )
        logger.info("partition %d: delivering from offset %d", live.tp.partition, live.offset)

    async def take(self, live: DeliveryPartition, chunk: Chunk) -> None:
        """Pass records to the dispatcher, as long as at least one target keeps up."""
        for record in chunk:
            if not await self._has_room(live):
                break
            live.take(record)
        chunk.clear()

    async def upkeep(self) -> None:
        """Acknowledge finished offsets."""
        for live in self.host.live.values():
            live.acknowledge()

    def is_done(self, live: DeliveryPartition) -> bool:
        """Whether every delivery before the end is finished."""
        return live.acknowledged >= live.offset and self.host.has_reached_end(live.tp)

    async def stop(self) -> None:
        """Wait a moment for unfinished deliveries."""
        for live in list(self.host.live.values()):
            if live.dispatcher:
                await live.dispatcher.drain(SETTLE_SECONDS)
        await self.upkeep()

    async def stopped(self) -> None:
        """Close the connections to targets, and log the outcomes."""
        for target_sender in self.target_senders:
            await target_sender.notifier.close()
            logger.info("target %s: %s", target_sender.name, dict(target_sender.counts) or "no deliveries")

    def is_waiting(self, live: DeliveryPartition) -> bool:
        """Whether reading waits for the targets."""
        return live.pauses

    async def publish(self, topic: str, message: Message) -> None:
        """Send a record, and wait until Kafka has acknowledged it."""
        headers = [(name, value.encode()) for name, value in message.headers.items()]
        await self.host.producer.send_and_wait(topic, message.key.encode(), message.body, headers=headers)

    async def _has_room(self, live: DeliveryPartition) -> bool:
        """Wait until the fastest target keeps up; False when this worker lost the partition meanwhile.

        The fastest target sets the pace, so a slow target delays no other. When all targets are slow,
        reading pauses and the memory stays bounded.
        """
        while not live.ended:
            live.pauses = min(target_sender.waiting for target_sender in self.target_senders) >= MAX_AHEAD
            if not live.pauses:
                return True
            await asyncio.sleep(ROOM_SECONDS)
        return False

    async def _send_dead_letter(self, letter: Output) -> None:
        about = about_of(letter.headers)
        logger.error(
            "dead letter: alert %s at offset %s for target %s: %s: %s",
            (letter.key or b"(unreadable)").decode(errors="replace"),
            about.offset,
            about.target or "(all)",
            about.error_class,
            about.message,
        )
        self.host.metrics.dead_letters.labels(about.error_class).inc()
        topic = self.config.topic("deliveries_dlq")
        await self.host.producer.send_and_wait(topic, letter.key, letter.value, headers=letter.headers)
