"""A dispatcher without Kafka: a log in memory, notifiers of the test, dead letters in a list."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

from pivotwatch.contracts.alerts import Alert
from pivotwatch.contracts.dead_letters import about_of
from pivotwatch.contracts.records import Output
from pivotwatch.delivery.dispatcher import Dispatcher, Origin
from pivotwatch.delivery.notification_log import NotificationLog
from pivotwatch.delivery.notifier import Delivery, Notifier
from pivotwatch.delivery.settings import read_settings
from pivotwatch.delivery.target_sender import TargetSender

DEADLINE = 10.0
QUICK = {"retry_first": "1ms", "retry_most": "5ms"}


class Log:
    """A compacted topic in memory."""

    def __init__(self) -> None:
        self.stored: dict[bytes, bytes] = {}

    async def send(self, key: bytes, value: bytes | None) -> Awaitable[object]:
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        if value is None:
            self.stored.pop(key, None)
        else:
            self.stored[key] = value
        return done


class Recorder(Notifier):
    """A notifier that records what it gets and fails on demand.

    Attributes
    ----------
    faults
        Errors to raise, one per delivery; None for no error. Afterwards every delivery succeeds.
    """

    def __init__(
        self, *faults: Exception | None, by_severity: bool = False, resend_interval: float | None = None
    ) -> None:
        self.faults = list(faults)
        self.by_severity = by_severity  # type: ignore[misc]
        self.resend_interval = resend_interval
        self.tried: list[str] = []
        self.got: list[tuple[str, str]] = []
        self.resent: list[list[str]] = []
        self.held = asyncio.Event()
        self.held.set()

    async def send(self, delivery: Delivery) -> str:
        self.tried.append(delivery.alert.id)
        await self.held.wait()
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        self.got.append((delivery.alert.id, delivery.decision.reason))
        return "taken"

    async def resend(self, alerts: Iterable[Alert]) -> None:
        self.resent.append([alert.id for alert in alerts])


class Rig:
    """A dispatcher with its environment; ``start`` does what a new process would do."""

    def __init__(self, **endpoints: Recorder) -> None:
        self.endpoints = endpoints
        self.settings: dict[str, dict[str, Any]] = {}
        self.log = Log()
        self.dead: list[Output] = []
        self.failures: list[BaseException] = []
        self.offset = 0
        self.ours = True

    def start(self) -> None:
        """Start at the committed offset."""
        table = {
            "targets": [
                {"name": name, "kind": "stdout", **QUICK, **self.settings.get(name, {})}
                for name in self.endpoints
            ]
        }
        targets = read_settings(table).targets
        self.target_senders = [TargetSender(target, self.endpoints[target.name]) for target in targets]
        self.dispatcher = Dispatcher(
            self.target_senders,
            NotificationLog(self.log, self.log.stored),
            0,
            send_dead_letter=self._send_dead_letter,
            fail=self.failures.append,
            owns_partition=self.is_ours,
        )

    def take(self, *raws: bytes | None) -> None:
        """Pass records to the dispatcher."""
        for raw in raws:
            self.dispatcher.dispatch(Origin("alerts", 0, self.offset), raw)
            self.offset += 1

    async def finished(self) -> None:
        """Wait until everything is done."""
        await wait_for(lambda: self.dispatcher.offsets.committable == self.offset)
        assert self.failures == []

    async def is_ours(self) -> bool:
        return self.ours

    async def _send_dead_letter(self, letter: Output) -> None:
        self.dead.append(letter)


async def yes() -> bool:
    """Whether the partition is ours: always."""
    return True


async def wait_for(condition: Any) -> None:
    """Poll until the condition is true."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.001)


def reasons(letters: Iterable[Output]) -> list[str]:
    """The reasons in the dead letters."""
    return [about_of(letter.headers).error_class for letter in letters]
