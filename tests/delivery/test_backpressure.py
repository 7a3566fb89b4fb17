"""Backpressure: reading goes no further ahead than the fastest target allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from pivotwatch.config.config import load
from pivotwatch.delivery import worker as agents
from pivotwatch.delivery.dispatcher import Dispatcher
from pivotwatch.delivery.notification_log import NotificationLog
from pivotwatch.delivery.settings import read_settings
from pivotwatch.delivery.target_sender import TargetSender
from pivotwatch.delivery.worker import DeliveryPartition, DeliveryTask
from pivotwatch.engine.types import TP
from tests.delivery.rig import QUICK, Log, Recorder, wait_for, yes
from tests.engine import rig
from tests.formats.examples import raw

ALERTS = TP("alerts", 0)

AHEAD = 5


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "MAX_AHEAD", AHEAD)
    monkeypatch.setattr(agents, "ROOM_SECONDS", 0.001)


class Chunk(list[Any]):
    seek = 1
    epochs = ()


class Stream:
    """A stream of one partition."""

    def __init__(self, records: list[bytes]) -> None:
        self.chunk = Chunk(SimpleNamespace(offset=n, value=one) for n, one in enumerate(records))

    def noack(self) -> Stream:
        return self

    async def events(self) -> AsyncIterator[Any]:
        yield SimpleNamespace(message=SimpleNamespace(tp=ALERTS), value=self.chunk)


def shell_of(**endpoints: Recorder) -> Any:
    """A worker with one live partition, without Kafka."""
    table = {"targets": [{"name": name, "kind": "stdout", **QUICK} for name in endpoints]}
    target_senders = [TargetSender(target, endpoints[target.name]) for target in read_settings(table).targets]
    consumer = SimpleNamespace(scheduler=SimpleNamespace(seeks=1), positions={})
    task = DeliveryTask(load(), lambda config, publish: target_senders)
    app = SimpleNamespace(consumer=consumer, unassigned=False)
    made = rig.shell_of(app, task, "alerts", state_partitions=1)
    live = made.live[ALERTS] = DeliveryPartition(ALERTS, NotificationLog(Log(), {}), lambda offset: None)

    async def send_dead_letter(letter: Any) -> None:
        raise AssertionError("nothing becomes a dead letter here")

    live.dispatcher = Dispatcher(
        target_senders,
        live.notifications,
        0,
        send_dead_letter=send_dead_letter,
        fail=made.fail,
        owns_partition=yes,
    )
    return made


def incidents(count: int) -> list[bytes]:
    return [raw("open", alert_id=f"{number:016x}", revision=1) for number in range(count)]


async def paused_shell() -> tuple[Recorder, Any, asyncio.Task[None]]:
    """A hanging target, a worker that therefore stopped reading, and the reading task."""
    slow = Recorder()
    slow.held.clear()
    shell = shell_of(slow=slow)
    reading = asyncio.create_task(shell.run(Stream(incidents(50))))
    await wait_for(lambda: shell.live[ALERTS].pauses)
    return slow, shell, reading


def test_with_one_slow_target_the_backlog_stays_on_kafka() -> None:
    async def test() -> None:
        slow, shell, reading = await paused_shell()
        assert shell.task.target_senders[0].waiting == AHEAD
        # The worker waits for the target, so it is not stalled.
        assert shell.progress() == {}
        slow.held.set()
        await reading
        await wait_for(lambda: len(slow.got) == 50)
        assert shell.progress() == {ALERTS: 50}

    asyncio.run(test())


def test_a_slow_target_does_not_delay_a_fast_one() -> None:
    async def test() -> None:
        slow, quick = Recorder(), Recorder()
        slow.held.clear()
        shell = shell_of(slow=slow, quick=quick)
        await shell.run(Stream(incidents(50)))
        await wait_for(lambda: len(quick.got) == 50)
        assert (slow.got, shell.task.target_senders[0].waiting) == ([], 50)
        shell.drop()

    asyncio.run(test())


def test_a_revocation_ends_the_wait() -> None:
    async def test() -> None:
        _, shell, reading = await paused_shell()
        shell.drop()
        await reading
        assert shell.task.target_senders[0].waiting == 0

    asyncio.run(test())
