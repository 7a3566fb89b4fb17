"""Idle partitions: when their buckets are completed, and when not."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from faust.types import TP

from pivotwatch.config.config import load
from pivotwatch.contracts.records import Output
from pivotwatch.engine.checkpoint import Checkpoints
from pivotwatch.engine.checkpoint_format import Epoch, Identity, Snapshot, latest
from pivotwatch.engine.fetching.consumer import Position
from pivotwatch.engine.producer import OutputSender
from pivotwatch.roles.accounts import AccountsTask
from pivotwatch.roles.bucket_progress import BucketProgress
from tests.engine.rig import REQUESTS, Inline, nowhere, shell_of
from tests.engine.test_checkpoint import Log

IDENTITY = Identity("accounts", 1, "")


class DryStep:
    """An operator with open buckets until it completes some."""

    def __init__(self) -> None:
        self.completed: list[int] = []

    def idle_due(self, closed: int) -> int | None:
        return None if self.completed else closed

    def idle(self, bucket: int) -> list[Output]:
        self.completed.append(bucket)
        return []

    def meta(self) -> bytes:
        return b""

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        return {}

    def restore(self, meta: bytes, shards: Any) -> None: ...


class Bench:
    """A worker with one live partition at offset 5, its consumer and its changelog."""

    def __init__(self, until_end: dict[TP, int] | None = None, closed: int | None = 7) -> None:
        progress = BucketProgress(1, 3_600_000)
        progress.closed = closed
        self.positions: dict[TP, Position] = {}
        app = SimpleNamespace(consumer=SimpleNamespace(positions=self.positions))
        self.shell = shell_of(
            app,
            AccountsTask(1, lambda *given: DryStep(), progress=progress),
            "requests",
            config=load(idle_after="100ms"),
            until_end=until_end,
        )
        self.log = Log()
        self.live = self.shell.live[REQUESTS] = self.shell.task.new(
            REQUESTS,
            thread=Inline(),
            checkpoints=Checkpoints(self.log, IDENTITY, Epoch(1, "me"), (), lambda offset: None),
            output_sender=OutputSender(nowhere, str, pytest.fail),
            snapshot=Snapshot(5, b"", {}),
            is_ours=AsyncMock(return_value=True),
        )
        self.live.begin(0, 9, 5)

    @property
    def step(self) -> Any:
        return self.live.operator

    def look(self, **position: Any) -> Any:
        """Let the worker check the partition while the consumer is at a position."""
        self.positions[TP("requests", 0)] = Position(
            **{"next": 5, "end": 5, "last": 4, "at": time.monotonic(), **position}
        )
        asyncio.run(self.shell.task.tend(self.live))
        return self.live


def test_an_idle_partition_is_completed_after_a_while_and_the_manifest_has_the_decision() -> None:
    bench = Bench()
    bench.look()
    assert bench.step.completed == []
    time.sleep(0.11)
    bench.look()
    assert bench.step.completed == [7]
    found = latest(bench.log.stored, IDENTITY)
    assert found
    assert (found.offset, found.decision, found.pending) == (5, 7, True)
    bench.look()
    assert bench.step.completed == [7]


@pytest.mark.parametrize(
    "position",
    [
        {"next": 5, "end": 6},  # lagging
        {"next": 8, "end": 8, "last": 7},  # fetched, but not processed yet
        {"at": -60.0},  # the broker did not answer recently
        {"hidden": True},  # an open transaction hides the records after its start
    ],
)
def test_a_lagging_partition_or_one_without_broker_is_not_idle(position: dict[str, Any]) -> None:
    bench = Bench()
    for _ in range(2):
        bench.look(**position)
        time.sleep(0.11)
    assert bench.step.completed == []
    # The wait starts when the partition becomes idle, not before.
    bench.look()
    assert bench.step.completed == []


def test_a_partition_is_not_idle_before_the_first_fetch_or_in_a_finite_run() -> None:
    for bench in (Bench(), Bench(until_end={REQUESTS: 9})):
        bench.look()
        time.sleep(0.11)
        if bench.shell.until_end is None:
            bench.positions.clear()
            asyncio.run(bench.shell.task.tend(bench.live))
        else:
            bench.look()
        assert bench.step.completed == []


def test_never_further_than_the_event_time_of_others() -> None:
    """While every partition has run dry nothing is completed, however late it is by the clock."""
    bench = Bench(closed=None)
    for _ in range(2):
        bench.look()
        time.sleep(0.11)
    assert bench.step.completed == []
