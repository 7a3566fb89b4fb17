"""The role ``accounts``: one operator per partition of ``requests``.

It also completes the buckets of an idle partition, up to the event time that another partition has reached,
and all buckets at the end of a finite run. Both are decisions: the manifest holds them before the operator
carries them out, so that a restart repeats them.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pivotwatch.config.config import Config
from pivotwatch.contracts.records import Output
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.engine.checkpoint_format import FINAL, StateRefused
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.log_check import Positions
from pivotwatch.engine.metrics import Metrics, Named, Worker
from pivotwatch.engine.operator import IdleOperator
from pivotwatch.engine.operator_task import OperatorTask
from pivotwatch.engine.partition_task import PartitionTask
from pivotwatch.engine.runtime import build_app, run_app
from pivotwatch.engine.topic_follower import TopicFollower
from pivotwatch.engine.types import TP
from pivotwatch.roles.bucket_progress import BucketProgress
from pivotwatch.roles.changed_logs import count_anew

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
"""A broker that has not answered for this long may be lost. It answers empty fetches every quarter second."""

COUNTERS: Named = {
    "events": ("pivotwatch_events", "Events counted into buckets."),
    "repeated": ("pivotwatch_repeated_events", "Events left out, because a producer sent them twice."),
    "late": (
        "pivotwatch_late_events",
        "Events that came after their bucket was closed; counted with it if at most a day late.",
    ),
    "failed": (
        "pivotwatch_failed_requests",
        "Events of requests that failed (status 400 and above); left out.",
    ),
    "dropped_models": (
        "pivotwatch_dropped_models",
        "Models that are not followed, since others are used by more accounts.",
    ),
    "forgotten_models": (
        "pivotwatch_forgotten_models",
        "Names of models forgotten before their time, since there were too many.",
    ),
    "dropped_links": (
        "pivotwatch_dropped_links",
        "Groups of single accounts, and names of models, that were not counted apart: there were too many.",
    ),
}
"""Entries of `CountingOperator.counters` that only grow, and their metrics."""

GAUGES: Named = {
    "held": (
        "pivotwatch_held_events",
        "Events read and not counted yet: too far ahead of the others, or the partition has no time yet.",
    ),
}
"""Entries of `CountingOperator.counters` that also decrease, and their metrics."""


class AccountsPartition(PartitionTask[IdleOperator]):
    """A live partition of ``requests``.

    Attributes
    ----------
    quiet_at, quiet_since
        The offset at which the partition was last at its end, and since when.
    """

    quiet_at: int | None = None
    quiet_since: float = 0.0

    def act(self, decision: int) -> list[Output]:
        """Carry out a decision. Runs in the worker's thread."""
        if decision == FINAL:
            logger.info("partition %d: the input ends at offset %d", self.tp.partition, self.offset)
        return self.operator.final() if decision == FINAL else self.operator.idle(decision)


class AccountsTask(OperatorTask[AccountsPartition]):
    """Counts the requests of accounts, with one operator per partition.

    Parameters
    ----------
    partitions, make_operator, more
        Parameters of `OperatorTask`.
    progress
        The event time that the partitions have reached. Without it no idle partition is completed.
    follower
        Keeps ``progress`` up to date; None in a finite run.
    """

    role = "accounts"

    def __init__(
        self,
        partitions: int,
        make_operator: Callable[..., Any],
        *more: Any,
        progress: BucketProgress | None = None,
        follower: TopicFollower | None = None,
    ) -> None:
        super().__init__(partitions, make_operator, *more)
        self._bucket_progress = progress
        self._follower = follower

    def background(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """Follow the bucket records of every worker."""
        follower = self._follower
        return () if follower is None else (lambda: self.follow(follower),)

    def followed(self) -> Sequence[Positions]:
        """How far the bucket records of every worker were read."""
        return () if self._follower is None else (self._follower.logs,)

    def remedy(self, topic: str) -> str:
        """What a person does when a topic has changed."""
        return count_anew(self.host.config, topic)

    def make_metrics(self, worker: Worker) -> Metrics:
        """Create the metrics of the worker."""
        return Metrics(self.role, worker, counters=COUNTERS, gauges=GAUGES)

    def new(self, tp: TP, **parts: Any) -> AccountsPartition:
        """Create a live partition."""
        operator = self.make_operator(self.host.config.settings, tp.partition, self.partitions)
        limit = self.host.until_end[tp] if self.host.until_end is not None else None
        return AccountsPartition(operator, tp=tp, limit=limit, **parts)

    async def started(self, live: AccountsPartition) -> None:
        """Carry out a decision that was made before a crash."""
        if live.decision == FINAL and not live.pending and live.limit != live.offset:
            raise StateRefused(
                f"partition {live.tp.partition} was declared finished at offset {live.offset} by a run "
                "until the end, and more records have come since: start with --reset-state to count again"
            )
        if live.pending:
            async with live.lock:
                await live.apply(lambda: live.act(live.decision))

    async def tend(self, live: AccountsPartition) -> None:
        """Finish a partition at the end of a finite run, or complete its buckets while it is idle."""
        if self.host.until_end is None:
            await live.decide(lambda: self._idle(live), live.act)
        else:
            await live.decide(lambda: self._end(live), live.act)

    def is_done(self, live: AccountsPartition) -> bool:
        """Whether the partition is declared finished."""
        return live.decision == FINAL

    async def _end(self, live: AccountsPartition) -> int | None:
        """Decide that the input has ended, once all of it is processed."""
        if live.limit is None or not live.begun or self.is_done(live):
            return None
        if not self.host.has_reached_end(live.tp):
            return None
        live.offset = live.limit  # Transaction markers may follow the last record.
        return FINAL

    async def _idle(self, live: AccountsPartition) -> int | None:
        """Decide up to which bucket an idle partition is complete."""
        position, now = self.host.position(live.tp), time.monotonic()
        at_end = (
            position is not None
            and position.next >= position.end
            and not position.hidden
            and now - position.at < ANSWER_SECONDS
        )
        if not at_end or live.offset != live.quiet_at:
            live.quiet_at = live.offset if at_end else None
            live.quiet_since = now
            return None
        if now - live.quiet_since < self.host.config.idle_after.total_seconds():
            return None
        closed = self._bucket_progress.closed if self._bucket_progress else None
        return None if closed is None else await live.call(lambda: live.operator.idle_due(closed))


def run(
    config: Config,
    *,
    instance: str | None,
    until_end: bool,
    reset_state: bool,
    make_operator: Callable[..., Any] = CountingOperator,
) -> int:
    """Run the worker in this process until a signal or the end of its input; return the exit status.

    Raises
    ------
    Fault
        With a message for a person: no broker, no topic, or a state that must not be continued.
    """
    source = config.topic("requests")
    buckets = TP(config.topic("buckets"), 0)
    seen = sync_client.survey(config, [source, buckets.topic], state_of="accounts")
    partitions = seen.partitions[source]
    progress = BucketProgress(partitions, config.settings.bucket_ms)
    if config.dedup_requests:
        make_operator = functools.partial(make_operator, remembered=config.dedup_requests)
    follower = None if until_end else progress.follower(config, buckets, seen.ends[buckets])
    app = build_app(
        config,
        AccountsTask(partitions, make_operator, progress=progress, follower=follower),
        instance,
        sources=[source],
        state_partitions=partitions,
        until_end={tp: end for tp, end in seen.ends.items() if tp.topic == source} if until_end else None,
        reset_state=reset_state,
    )
    return run_app(config, app, instance)
