"""The shell of the accounts step: one step per partition of ``requests``.

Beside feeding chunks it completes the buckets of a partition that has run dry, and at the
end of a finite run all of them. Both are decisions: they are in the marker before the step
acts on them, so that a restart repeats them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from pivotwatch.base.work import Work
from pivotwatch.config.config import Config
from pivotwatch.contracts.records import Output
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.engine.checkpoint_format import FINAL, StateRefused
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.operator import IdleOperator, SlicedIdleOperator
from pivotwatch.engine.partition_task import PartitionTask
from pivotwatch.engine.runtime import build_app, run_app
from pivotwatch.engine.worker import Shell

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
"""A broker that has not answered for so long may be lost; it answers empty fetches every quarter second."""


class AccountsPartition(PartitionTask[IdleOperator]):
    """A live partition of ``requests``.

    Attributes
    ----------
    quiet_at, quiet_since
        At which offset the partition was last seen at its end, and since when.
    """

    quiet_at: int | None = None
    quiet_since: float = 0.0

    def act(self, decision: int) -> list[Output] | Work[list[Output]]:
        """Carry out a decision."""
        if decision == FINAL:
            logger.info("partition %d: the input ends at offset %d", self.partition, self.offset)
        if isinstance(self.step, SlicedIdleOperator):
            return self.step.ending() if decision == FINAL else self.step.idling(decision)
        return self.step.final() if decision == FINAL else self.step.idle(decision)


class AccountsShell(Shell[AccountsPartition]):
    """Drives the accounts steps."""

    role = "accounts"

    def new(self, partition: int, **parts: Any) -> AccountsPartition:
        """Make a live partition."""
        step = self.make_operator(self.config.settings, partition, self.partitions)
        limit = self.until_end[partition] if self.until_end is not None else None
        return AccountsPartition(step, partition=partition, limit=limit, **parts)

    async def started(self, live: AccountsPartition) -> None:
        """Carry out a decision that was made but not seen through."""
        if live.decision == FINAL and not live.pending and live.limit != live.offset:
            raise StateRefused(
                f"partition {live.partition} was declared finished at offset {live.offset} by a run "
                "until the end, and more has come since: start with --reset-state to count anew"
            )
        if live.pending:
            async with live.lock:
                await live.apply(lambda: live.act(live.decision))

    async def upkeep(self, live: AccountsPartition) -> None:
        """Finish a partition at the end of a finite run, or complete an idle one."""
        if self.until_end is None:
            await live.decide(lambda: self._idle(live), live.act)
        else:
            await live.decide(lambda: self._end(live), live.act)

    def done(self, live: AccountsPartition) -> bool:
        """Is the partition declared finished?"""
        return live.decision == FINAL

    def _end(self, live: AccountsPartition) -> int | None:
        """Decide that the input has ended, once all of it is processed."""
        if live.limit is None or not live.begun or self.done(live):
            return None
        position = self.position(live)
        if live.offset < live.limit and (position is None or position.next < live.limit):
            return None
        live.offset = live.limit  # Behind the last record there may be transaction markers.
        return FINAL

    def _idle(self, live: AccountsPartition) -> int | None:
        """Decide that buckets of a partition that has run dry are complete."""
        position, now = self.position(live), time.monotonic()
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
        if now - live.quiet_since < self.config.idle_after.total_seconds():
            return None
        return live.step.idle_due(int(time.time() * 1000))


def run(
    config: Config,
    *,
    instance: str | None,
    until_end: bool,
    reset_state: bool,
    make_operator: Callable[..., Any] = CountingOperator,
) -> int:
    """Run the worker in this process, until a signal or the end of its input; returns its exit status.

    Raises
    ------
    Fault
        With a message for the operator: no broker, no topic, a state that must not be continued.
    """
    source = config.topic("requests")
    seen = sync_client.survey(config, "accounts", source)
    app = build_app(
        config,
        "accounts",
        instance,
        lambda app: AccountsShell(
            app,
            config,
            source=source,
            partitions=seen.partitions[source],
            make_operator=make_operator,
            until_end=seen.ends[source] if until_end else None,
            reset_state=reset_state,
        ),
        sources=[source],
        state_partitions=seen.partitions[source],
    )
    return run_app(config, "accounts", app, instance)
