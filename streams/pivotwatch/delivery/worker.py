"""The role ``delivery``: alerts in, messages to targets out, one desk per partition of ``alerts``.

Unlike the steps, deliveries end when they end, so there is no checkpoint. What counts is the delivery
log, one record per target and incident, in the app's table; the group commits the offset before
which every delivery is in the log or among the dead letters.
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
from pivotwatch.delivery.notifiers import Publish
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
MOST_AHEAD = 1_000
"""Deliveries that may wait for the quickest target; then reading pauses: what is not read is safe."""
COUNTED = {"delivered": "ok", "reminded": "ok", "failed-attempt": "retried"}


class DeliveryPartition:
    """A live partition of ``alerts``.

    Attributes
    ----------
    offset
        The next input offset to take.
    desk
        Set when it is known where to begin.
    pauses
        Does reading wait for the targets?
    saved_at
        When an offset was last handed to the group.
    """

    step = None

    def __init__(self, partition: int, notifications: NotificationLog) -> None:
        self.partition = partition
        self.notifications = notifications
        self.pauses = False
        self.desk: Dispatcher | None = None
        self.offset = 0
        self.acknowledged = -1
        self.saved_at = time.monotonic()


class DeliveryShell(Frame):
    """Drives delivery in one process.

    Parameters
    ----------
    app
        The Faust app.
    config
        The configuration.
    until_end
        Where every partition of ``alerts`` ends in a finite run, None for a live one.
    reset_state
        Forget what was delivered.
    make_couriers
        Makes the couriers, given the configuration and a way to send records.

    Attributes
    ----------
    live
        The partitions of this worker.
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
            for outcome in ("ok", "retried", "failed"):  # From 0 on, or the first one is no increase.
                self.metrics.deliveries.labels(target_sender.name, outcome)
            self.metrics.waiting.labels(target_sender.name).set_function(
                partial(getattr, target_sender, "waiting")
            )
        self._begin_at_end = read_settings(config.delivery).start == "latest"
        self._reset = reset_state

    async def run(self, stream: Any) -> None:
        """The agent: hand records to the desks, as long as one target at least keeps up."""
        async for event in stream.noack().events():
            live = self.live.get(event.message.partition)
            if live and event.value.seek == self.consumer.scheduler.seeks:
                for record in event.value:
                    if not await self._has_room(live):
                        break
                    self._take(live, record)
            event.value.clear()

    def _take(self, live: DeliveryPartition, record: InputRecord) -> None:
        if live.desk and record.offset >= live.offset:
            live.desk.take(Origin(self.source, live.partition, record.offset), record.value)
            live.offset = record.offset + 1

    async def _has_room(self, live: DeliveryPartition) -> bool:
        """Wait until a target has little to do; False when the partition is not ours any more.

        The quickest target sets the pace. So a slow one holds up no other, and all alone it does not
        let the memory grow.
        """
        while self.live.get(live.partition) is live:
            live.pauses = min(target_sender.waiting for target_sender in self.target_senders) >= MOST_AHEAD
            if not live.pauses:
                return True
            await asyncio.sleep(TICK_SECONDS)
        return False

    def drop(self) -> None:
        """The assignment has ended: what is not delivered is the next owner's."""
        for live in self.live.values():
            if live.desk:
                live.desk.end()
        self.live.clear()

    async def load(self, partitions: Mapping[int, Mapping[bytes, bytes]]) -> None:
        """Read the delivery log of the assigned partitions."""
        generation = self.app.consumer_generation_id
        retention = millis(self.config.retention.alerts)
        for partition, stored in sorted(partitions.items()):
            log = PartitionLog(self.app, self.app.tables["state"].changelog_topic_name, partition)
            if self._reset:
                logger.warning("partition %d: forgetting what was delivered", partition)
                await delete(log, stored)
                stored = {}
            notifications = NotificationLog(log, stored)
            if retention:
                await notifications.forget_before(round(time.time() * 1000) - retention)
            if generation != self.app.consumer_generation_id:
                return  # Assigned anew meanwhile; the next call loads.
            self.live[partition] = DeliveryPartition(partition, notifications)
        self._reset = False

    async def resume(self, committed: Mapping[TP, int | None]) -> dict[TP, int]:
        """Where to read on: where the group left off, or where a group that never ran begins."""
        tps = [tp for tp in committed if tp.partition in self.live]
        if not tps:
            return {}
        earliest = await self.consumer.earliest_offsets(*tps)
        ends = await self.consumer.highwaters(*tps)
        for tp in tps:
            live, known = self.live[tp.partition], committed[tp]
            if live.desk is not None:
                continue
            if known is None or known < 0:
                live.offset = ends[tp] if self._begin_at_end else earliest[tp]
            else:
                live.offset = max(known, earliest[tp])
                if known < earliest[tp]:
                    logger.error(
                        "alerts %d to %d were deleted before they were delivered", known, live.offset - 1
                    )
            live.desk = Dispatcher(
                self.target_senders,
                live.notifications,
                live.offset,
                bury=self._bury,
                fail=self.fail,
                is_ours=self.consumer.is_member,
            )
            logger.info("partition %d: delivering from offset %d", tp.partition, live.offset)
        return {tp: self.live[tp.partition].offset for tp in tps}

    async def tend(self) -> None:
        """Let the group commit what is done, until the process ends or a finite run is over."""
        while not await self._finish():
            await asyncio.sleep(TICK_SECONDS)
            self._acknowledge()

    async def watch(self) -> None:
        """Judge the own progress until the process ends."""
        await self.health.watch(self.config, self.source)

    async def close(self) -> None:
        """Finish what is under way, unless that takes long; commit; say what became of everything."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                for live in list(self.live.values()):
                    if live.desk:
                        await live.desk.settle(SETTLE_SECONDS)
                self._acknowledge()
                await self.consumer.commit_done()
        except TimeoutError:
            logger.warning("the last commit took too long: the delivery log knows what was delivered")
        for target_sender in self.target_senders:
            await target_sender.notifier.close()
            logger.info("target %s: %s", target_sender.name, dict(target_sender.counts) or "nothing to do")

    async def publish(self, topic: str, message: Message) -> None:
        """Send a record, and wait until the broker has it."""
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
        """How far each partition is taken, for `Health`: a target that is down is no fault of ours."""
        if not self.live:
            return {} if self.app.unassigned else {JOINING: self.app.tables["state"].records_read}
        return {partition: live.offset for partition, live in self.live.items() if not live.pauses}

    def is_ready(self) -> bool:
        """Is every partition being delivered?"""
        return not self.app.rebalancing and all(live.desk is not None for live in self.live.values())

    def end_of(self, partition: int) -> int | None:
        """The end of a partition, once something was fetched from it."""
        position = self.consumer.positions.get(TP(self.source, partition))
        return position.end if position else None

    def _acknowledge(self) -> None:
        for partition, live in self.live.items():
            if live.desk and live.desk.progress.done != live.acknowledged:
                live.acknowledged = live.desk.progress.done
                live.saved_at = time.monotonic()
                self.consumer.done(TP(self.source, partition), live.acknowledged)

    async def _finish(self) -> bool:
        """Commit and end this worker when a finite run is over for it."""
        ends = self.until_end
        if ends is None or self.app.rebalancing or not (self.live or self.app.unassigned):
            return False
        # Markers of transactions may lie between the last alert and the end.
        if not all(
            live.desk is not None
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

    async def _bury(self, letter: Output) -> None:
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
        name = "failed" if outcome.startswith("dead-") else COUNTED.get(outcome)
        if name is not None:
            self.metrics.deliveries.labels(target, name).inc()
