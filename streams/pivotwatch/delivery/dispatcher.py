"""The desk of one partition of ``alerts``: hands every alert to every courier, in order per incident.

Each pair of target and incident has a queue and, while something is in it, a task. So an incident
that a target does not take holds up neither another incident nor another target. An input offset is
done when the last of its deliveries is in the delivery log or among the dead letters.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from msgspec import UNSET

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.alerts import Alert, parse_alert
from pivotwatch.contracts.dead_letters import About, dead_letter
from pivotwatch.contracts.records import Output
from pivotwatch.delivery.dedup import Decision, Told, decide, matches
from pivotwatch.delivery.errors import Overflow, Undelivered
from pivotwatch.delivery.notification_log import Key, NotificationLog
from pivotwatch.delivery.notifiers import Delivery
from pivotwatch.delivery.offset_tracker import Progress
from pivotwatch.delivery.target_sender import TargetSender
from pivotwatch.formats import cloudevents

MOST_WAITING = 10_000
"""Deliveries that may wait for one target; it bounds the memory."""

ASK_AGAIN_SECONDS = 0.5

Bury = Callable[[Output], Awaitable[None]]
"""Send a dead letter; returns when the broker has it."""


class Origin(NamedTuple):
    """Where an alert was read."""

    topic: str
    partition: int
    offset: int


class Job(NamedTuple):
    """An alert that a target may get."""

    origin: Origin
    raw: bytes
    deadline: float
    too_many: bool


class Dispatcher:
    """Delivers the alerts of one partition.

    Parameters
    ----------
    target_senders
        One per target.
    notifications
        What was delivered before.
    offset
        The first offset that will come.
    bury
        Takes dead letters.
    fail
        Called with what nobody foresaw; nothing counts as delivered then.
    is_ours
        Asks whether the partition is still this worker's; False when that is not known. One that was
        stopped for long would otherwise say again what another has said, and write over its log.
    """

    def __init__(
        self,
        target_senders: Sequence[TargetSender],
        notifications: NotificationLog,
        offset: int,
        *,
        bury: Bury,
        fail: Callable[[BaseException], None],
        is_ours: Callable[[], Awaitable[bool]],
    ) -> None:
        self.target_senders = target_senders
        self.notifications = notifications
        self.progress = Progress(offset)
        self._bury = bury
        self._fail = fail
        self._is_ours = is_ours
        self._queues: dict[Key, deque[Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reminders = [
            self._start(self._keep_reminding(target_sender, every))
            for target_sender in target_senders
            if (every := target_sender.notifier.resend) is not None
        ]

    def take(self, origin: Origin, raw: bytes | None) -> None:
        """Take a record; returns at once."""
        if raw is None:
            self.progress.begin(origin.offset, 0)
            return
        try:
            alert_id = parse_alert(raw).data.alert_id
        except WrongUse as fault:
            self.progress.begin(origin.offset, 1)
            self._start(self._bury_unreadable(origin, raw, str(fault)))
            return
        self.progress.begin(origin.offset, len(self.target_senders))
        for target_sender in self.target_senders:
            job = Job(origin, raw, target_sender.deadline(), target_sender.waiting >= MOST_WAITING)
            target_sender.waiting += 1
            key = (target_sender.name, alert_id)
            if key in self._queues:
                self._queues[key].append(job)
            else:
                self._queues[key] = deque([job])
                self._start(self._work(target_sender, key))

    async def settle(self, seconds: float) -> None:
        """Wait for what is under way, but not for long; then let go of it."""
        under_way = self._tasks - set(self._reminders)
        if under_way:
            await asyncio.wait(under_way, timeout=seconds)
        self.end()

    def end(self) -> None:
        """Stop; what is not done will be done by who reads its offset again."""
        for task in self._tasks:
            task.cancel()
        for target_sender in self.target_senders:
            target_sender.waiting -= sum(
                len(queue) for (name, _), queue in self._queues.items() if name == target_sender.name
            )
        self._queues.clear()

    async def _work(self, target_sender: TargetSender, key: Key) -> None:
        queue = self._queues[key]
        while queue:
            job = queue[0]
            # What is too much goes at once, or more and more would wait.
            async with contextlib.nullcontext() if job.too_many else target_sender.hands:
                outcome = await self._handle(target_sender, key, job)
            target_sender.count(outcome)
            target_sender.waiting -= 1
            self.progress.finish(job.origin.offset)
            queue.popleft()
        del self._queues[key]

    async def _handle(self, target_sender: TargetSender, key: Key, job: Job) -> str:
        """Deliver a job, or find out that there is nothing to do; returns what became of it."""
        alert, told, notifier = parse_alert(job.raw), self.notifications.get(key), target_sender.notifier
        decision: Decision = decide(
            alert,
            told,
            wanted=matches(alert, target_sender.settings),
            by_severity=notifier.by_severity,
            updates=target_sender.settings.updates,
        )
        if decision.action == "skip":
            return decision.reason
        after = _told(alert, keep_alert=notifier.resend is not None)

        async def note() -> None:
            await self._cleared()
            self.notifications.remember(key, after)
            await self.notifications.keep(key, round(time.time() * 1000))

        try:
            if job.too_many:
                raise Overflow(f"{MOST_WAITING} deliveries wait already")
            await target_sender.deliver(
                Delivery(alert, job.raw, decision, told), job.deadline, self._cleared, note
            )
        except Undelivered as error:
            await self._bury(_dead_letter(job, error.reason, str(error), key[1], target_sender.name))
            await note()  # A request that failed may have arrived all the same.
            return f"dead-{error.reason}"
        return "delivered"

    async def _bury_unreadable(self, origin: Origin, raw: bytes, fault: str) -> None:
        await self._bury(_dead_letter(Job(origin, raw, 0.0, False), "unreadable", fault))
        self.progress.finish(origin.offset)

    async def _cleared(self) -> None:
        """Wait until it is known that the partition is ours; who loses it cancels this."""
        while not await self._is_ours():  # noqa: ASYNC110 - it is another machine that is asked
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    async def _keep_reminding(self, target_sender: TargetSender, every: float) -> None:
        while True:
            await self._cleared()
            await target_sender.remind(
                lambda: [told.alert for told in self.notifications.open_of(target_sender.name) if told.alert]
            )
            await asyncio.sleep(every)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)


def _told(alert: Alert, *, keep_alert: bool) -> Told:
    data = alert.data
    kept = alert if keep_alert and not data.is_closed else None
    return Told(data.revision, data.severity, not data.is_closed, kept, data.members_total)


def _dead_letter(
    job: Job, reason: str, text: str, key: str | None = None, target: str | None = None
) -> Output:
    """The alert as it was, and what happened to its delivery."""
    about = About(
        topic=job.origin.topic,
        partition=str(job.origin.partition),
        offset=str(job.origin.offset),
        target=target or UNSET,
        stage="delivery",
        error_class=reason,
        message=text,
    )
    content_type = ("content-type", cloudevents.CONTENT_TYPE.encode())
    return dead_letter(about, key.encode() if key else None, job.raw, (content_type,), topic="deliveries_dlq")
