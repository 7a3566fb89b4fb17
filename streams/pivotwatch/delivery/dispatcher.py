"""The dispatcher of one partition of ``alerts``: passes every alert to the sender of every target.

Each pair of a target and an incident has its own queue, and a task while the queue is not empty. The
alerts of one incident reach a target in order, and a delivery that waits delays neither other incidents
nor other targets. An input offset is finished when each of its deliveries is in the notification log or
is a dead letter.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from msgspec import UNSET

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.alerts import Alert, parse_alert
from pivotwatch.contracts.dead_letters import About, dead_letter
from pivotwatch.contracts.records import Output
from pivotwatch.delivery.errors import DeliveryError, QueueFull
from pivotwatch.delivery.notification_log import Key, NotificationLog
from pivotwatch.delivery.notification_policy import Notification, decide, matches
from pivotwatch.delivery.notifier import Delivery
from pivotwatch.delivery.offset_tracker import OffsetTracker
from pivotwatch.delivery.target_sender import TargetSender
from pivotwatch.formats import cloudevents

MAX_WAITING = 10_000
"""Deliveries that may wait for one target; this bounds the memory."""

MEMBERSHIP_POLL_SECONDS = 0.5

SendDeadLetter = Callable[[Output], Awaitable[None]]
"""A function that sends a dead letter and returns when Kafka has acknowledged it."""


class Origin(NamedTuple):
    """The position of a record in Kafka."""

    topic: str
    partition: int
    offset: int


class QueuedAlert(NamedTuple):
    """An alert that waits for delivery to a target.

    Attributes
    ----------
    origin, raw
        Position and value of its record.
    deadline
        Monotonic time until which delivery is tried, in seconds.
    overflow
        Whether too many deliveries waited for the target when the alert arrived.
    """

    origin: Origin
    raw: bytes
    deadline: float
    overflow: bool


class Dispatcher:
    """Delivers the alerts of one partition.

    Parameters
    ----------
    target_senders
        One sender per target.
    notifications
        The notification log of the partition.
    offset
        The first offset to deliver.
    send_dead_letter
        Sends dead letters.
    fail
        Called with an unexpected error; the delivery then does not count as finished.
    owns_partition
        Returns whether this worker still owns the partition, False when unknown. A worker that was
        suspended must not repeat what another worker has delivered meanwhile.

    Attributes
    ----------
    offsets
        The offsets with unfinished deliveries.
    """

    def __init__(
        self,
        target_senders: Sequence[TargetSender],
        notifications: NotificationLog,
        offset: int,
        *,
        send_dead_letter: SendDeadLetter,
        fail: Callable[[BaseException], None],
        owns_partition: Callable[[], Awaitable[bool]],
    ) -> None:
        self.target_senders = target_senders
        self.notifications = notifications
        self.offsets = OffsetTracker(offset)
        self._send_dead_letter = send_dead_letter
        self._fail = fail
        self._owns_partition = owns_partition
        self._queues: dict[Key, deque[QueuedAlert]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._resending = [
            self._start(self._keep_resending(sender, interval))
            for sender in target_senders
            if (interval := sender.notifier.resend_interval) is not None
        ]

    def dispatch(self, origin: Origin, raw: bytes | None) -> None:
        """Queue a record for every target. Returns at once."""
        if raw is None:
            self.offsets.begin(origin.offset, 0)
            return
        try:
            alert_id = parse_alert(raw).data.alert_id
        except WrongUse as fault:
            self.offsets.begin(origin.offset, 1)
            self._start(self._reject_unreadable(origin, raw, str(fault)))
            return
        self.offsets.begin(origin.offset, len(self.target_senders))
        for sender in self.target_senders:
            queued = QueuedAlert(origin, raw, sender.deadline(), sender.waiting >= MAX_WAITING)
            sender.waiting += 1
            key = (sender.name, alert_id)
            if key in self._queues:
                self._queues[key].append(queued)
            else:
                self._queues[key] = deque([queued])
                self._start(self._deliver_queue(sender, key))

    async def drain(self, seconds: float) -> None:
        """Wait at most ``seconds`` for unfinished deliveries, then stop."""
        unfinished = self._tasks - set(self._resending)
        if unfinished:
            await asyncio.wait(unfinished, timeout=seconds)
        self.stop()

    def stop(self) -> None:
        """Cancel unfinished deliveries; the next owner of the partition reads their offsets again."""
        for task in self._tasks:
            task.cancel()
        for sender in self.target_senders:
            sender.waiting -= sum(
                len(queue) for (name, _), queue in self._queues.items() if name == sender.name
            )
        self._queues.clear()

    async def _deliver_queue(self, sender: TargetSender, key: Key) -> None:
        queue = self._queues[key]
        while queue:
            queued = queue[0]
            # A delivery that overflows fails at once, so it does not wait for the semaphore.
            async with contextlib.nullcontext() if queued.overflow else sender.active:
                outcome = await self._deliver(sender, key, queued)
            sender.count(outcome)
            sender.waiting -= 1
            self.offsets.finish(queued.origin.offset)
            queue.popleft()
        del self._queues[key]

    async def _deliver(self, sender: TargetSender, key: Key, queued: QueuedAlert) -> str:
        """Deliver an alert, or skip it; returns the outcome."""
        alert, last, notifier = parse_alert(queued.raw), self.notifications.last(key), sender.notifier
        decision = decide(
            alert,
            last,
            wanted=matches(alert, sender.settings),
            by_severity=notifier.by_severity,
            updates=sender.settings.updates,
        )
        if decision.action == "skip":
            return decision.reason
        notification = _notification(alert, keep_alert=notifier.resend_interval is not None)

        async def record() -> None:
            await self._wait_for_ownership()
            await self.notifications.record(key, notification, round(time.time() * 1000))

        try:
            if queued.overflow:
                raise QueueFull(f"{MAX_WAITING} deliveries already wait for this target")
            await sender.deliver(
                Delivery(alert, queued.raw, decision, last),
                queued.deadline,
                before_attempt=self._wait_for_ownership,
                on_accepted=record,
            )
        except DeliveryError as error:
            await self._send_dead_letter(
                _dead_letter(queued, error.reason, str(error), alert_id=key[1], target=sender.name)
            )
            await record()  # The target may have received the message although the request failed.
            return f"dead-{error.reason}"
        return "delivered"

    async def _reject_unreadable(self, origin: Origin, raw: bytes, error: str) -> None:
        queued = QueuedAlert(origin, raw, 0.0, overflow=False)
        await self._send_dead_letter(_dead_letter(queued, "unreadable", error))
        self.offsets.finish(origin.offset)

    async def _wait_for_ownership(self) -> None:
        """Wait until this worker is known to own the partition; losing the partition cancels the task."""
        while not await self._owns_partition():  # noqa: ASYNC110 - the broker has no event to wait for
            await asyncio.sleep(MEMBERSHIP_POLL_SECONDS)

    async def _keep_resending(self, sender: TargetSender, interval: float) -> None:
        """Send the open alerts of a target again, every ``interval`` seconds."""
        while True:
            await self._wait_for_ownership()
            await sender.resend(
                lambda: [last.alert for last in self.notifications.open_for(sender.name) if last.alert]
            )
            await asyncio.sleep(interval)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)


def _notification(alert: Alert, *, keep_alert: bool) -> Notification:
    data = alert.data
    kept = alert if keep_alert and not data.is_closed else None
    return Notification(data.revision, data.severity, not data.is_closed, kept, data.members_total)


def _dead_letter(
    queued: QueuedAlert, reason: str, text: str, *, alert_id: str | None = None, target: str | None = None
) -> Output:
    """The dead letter of a delivery: the alert, with headers that say what happened."""
    about = About(
        topic=queued.origin.topic,
        partition=str(queued.origin.partition),
        offset=str(queued.origin.offset),
        target=target or UNSET,
        stage="delivery",
        error_class=reason,
        message=text,
    )
    content_type = ("content-type", cloudevents.CONTENT_TYPE.encode())
    key = alert_id.encode() if alert_id else None
    return dead_letter(about, key, queued.raw, (content_type,), topic="deliveries_dlq")
