"""A real Alertmanager: fire, resend, change of severity, silence, restart, resolve."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pivotwatch.delivery.dispatcher import Dispatcher, Origin
from pivotwatch.delivery.notification_log import NotificationLog
from pivotwatch.delivery.target_sender import make_target_senders
from tests.delivery.receiver import Receiver
from tests.delivery.rig import QUICK, Log, yes
from tests.formats.examples import raw

PROGRAM = shutil.which("prometheus-alertmanager")
DEADLINE = 20.0
A, B = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        PROGRAM is None and not os.environ.get("CI"), reason="needs Debian's package prometheus-alertmanager"
    ),
]


class Alertmanager:
    """The program with its storage; it notifies a receiver of the test."""

    def __init__(self, folder: Path, hook: str) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        (folder / "alertmanager.yml").write_text(f"""
global: {{resolve_timeout: 3s}}
route: {{receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: hook, webhook_configs: [{{url: '{hook}', send_resolved: true}}]}}]
""")
        self.start()

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self) -> None:
        """Start it, with its stored data if any."""
        assert PROGRAM is not None, "prometheus-alertmanager is not installed"
        command = [
            PROGRAM,
            f"--config.file={self.folder}/alertmanager.yml",
            f"--storage.path={self.folder}/data",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self) -> None:
        """Stop it: it keeps its silences and forgets its alerts."""
        self.process.terminate()
        self.process.wait(DEADLINE)


@pytest.fixture
def manager(tmp_path: Path, hook: Receiver) -> Iterator[Alertmanager]:
    made = Alertmanager(tmp_path, hook.url)
    yield made
    made.stop()


class Config:
    def __init__(self, url: str) -> None:
        target = {
            "name": "am",
            "kind": "alertmanager",
            "url": url,
            "resend": "500ms",
            **QUICK,
            "retry_most": "200ms",
        }
        self.delivery = {"base_url": "https://watch.example", "targets": [target]}


class Scene:
    """A dispatcher that sends to a running Alertmanager, and the state of that."""

    def __init__(self, manager: Alertmanager, log: Log, session: aiohttp.ClientSession) -> None:
        self.manager, self.session = manager, session
        self.dead: list[Any] = []
        self.failures: list[BaseException] = []
        self.target_senders = make_target_senders(Config(manager.url), None)  # type: ignore[arg-type]
        self.dispatcher = Dispatcher(
            self.target_senders,
            NotificationLog(log, log.stored),
            0,
            send_dead_letter=self._send_dead_letter,
            fail=self.failures.append,
            owns_partition=yes,
        )
        self.offset = 0

    async def take(self, *records: bytes) -> None:
        """Deliver all records."""
        for record in records:
            self.dispatcher.dispatch(Origin("alerts", 0, self.offset), record)
            self.offset += 1
        await until(lambda: self.dispatcher.offsets.committable == self.offset)
        assert (self.failures, self.dead) == ([], [])

    async def end(self) -> None:
        """Stop the dispatcher, as at the end of a worker."""
        self.dispatcher.stop()
        for target_sender in self.target_senders:
            await target_sender.notifier.close()

    async def alerts(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Active alerts by (alert id, severity)."""
        try:
            async with self.session.get(f"{self.manager.url}/api/v2/alerts") as response:
                held = await response.json()
        except aiohttp.ClientError:
            return {}
        return {(one["labels"]["alert_id"], one["labels"]["severity"]): one for one in held}

    async def holds(self, *expected: tuple[str, str]) -> None:
        """Wait until exactly these alerts are active."""

        async def same() -> bool:
            return set(await self.alerts()) == set(expected)

        await until(same)

    async def _send_dead_letter(self, letter: Any) -> None:
        self.dead.append(letter)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            met = condition()
            if isinstance(met, Awaitable):
                met = await met
            if met:
                return
            await asyncio.sleep(0.05)


def told(hook: Receiver, status: str) -> list[tuple[str, str]]:
    """The notifications that people received."""
    alerts = [alert for body in hook.bodies() for alert in body["alerts"] if alert["status"] == status]
    return [(alert["labels"]["alert_id"], alert["labels"]["severity"]) for alert in alerts]


def play(manager: Alertmanager, log: Log, act: Callable[[Scene], Awaitable[None]]) -> None:
    async def acted() -> None:
        async with aiohttp.ClientSession() as session:
            scene = Scene(manager, log, session)
            try:
                await act(scene)
            finally:
                await scene.end()

    asyncio.run(acted())


def test_the_life_of_incidents_in_a_real_alertmanager(manager: Alertmanager, hook: Receiver) -> None:
    log = Log()

    async def fires_and_goes_on(scene: Scene) -> None:
        await scene.take(raw("open", alert_id=A, severity="high"), raw("open", alert_id=B, severity="low"))
        await scene.holds((A, "high"), (B, "low"))
        held = (await scene.alerts())[A, "high"]
        assert held["annotations"]["runbook_url"] == "https://watch.example/runbook#opened"
        assert held["generatorURL"] == "https://watch.example/incidents/0123456789abcdef"
        # Without a resend the alert would expire after 3 s: each resend moves its end.
        first = datetime.fromisoformat(held["endsAt"])

        async def lives_on() -> bool:
            later = (await scene.alerts())[A, "high"]
            return datetime.fromisoformat(later["endsAt"]) >= first + timedelta(seconds=4)

        await until(lives_on)
        await until(lambda: sorted(told(hook, "firing")) == [(A, "high"), (B, "low")])
        assert told(hook, "resolved") == []

    async def changes_severity(scene: Scene) -> None:
        # After a restart of the dispatcher: the old labels come from the notification log.
        await scene.take(raw("updated", alert_id=A, revision=2, severity="critical"))
        await scene.holds((A, "critical"), (B, "low"))
        await until(lambda: (A, "high") in told(hook, "resolved"))
        await until(lambda: (A, "critical") in told(hook, "firing"))

    async def is_silenced_and_restarted(scene: Scene) -> None:
        now = datetime.now(UTC)
        silence = {
            "matchers": [{"name": "alert_id", "value": A, "isRegex": False, "isEqual": True}],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "somebody",
            "comment": "known",
        }
        async with scene.session.post(f"{manager.url}/api/v2/silences", json=silence) as response:
            assert response.status == 200

        async def silenced() -> bool:
            held = (await scene.alerts()).get((A, "critical"))
            return held is not None and held["status"]["state"] == "suppressed"

        await until(silenced)
        await asyncio.to_thread(manager.stop)
        assert await scene.alerts() == {}
        await asyncio.to_thread(manager.start)
        # It has forgotten all alerts. They come back with the next resend, and the silence still applies.
        await scene.holds((A, "critical"), (B, "low"))
        await until(silenced)

    async def ends(scene: Scene) -> None:
        await scene.take(
            raw("resolved", alert_id=A, revision=3, severity="medium"),
            raw("suppressed", alert_id=B, revision=2),
        )
        await scene.holds()
        await until(lambda: (B, "low") in told(hook, "resolved"))
        # A repeat of the opening does not fire a resolved alert.
        await scene.take(raw("open", alert_id=B, revision=1))
        await scene.holds()

    async def opens_again_and_ends_again(scene: Scene) -> None:
        hook.taken.clear()
        await scene.take(raw("updated", alert_id=B, revision=3, severity="low", transition="reopened"))
        await scene.holds((B, "low"))
        await until(lambda: told(hook, "firing") == [(B, "low")])
        await scene.take(raw("resolved", alert_id=B, revision=4, severity="low"))
        await scene.holds()
        await until(lambda: told(hook, "resolved") == [(B, "low")])

    for act in (fires_and_goes_on, changes_severity, is_silenced_and_restarted, ends):
        play(manager, log, act)
    assert len(told(hook, "firing")) == len(set(told(hook, "firing")))
    play(manager, log, opens_again_and_ends_again)


def test_after_an_outage_without_new_alerts_it_has_all_alerts_again(
    manager: Alertmanager, hook: Receiver
) -> None:
    async def act(scene: Scene) -> None:
        await scene.take(raw("open", alert_id=A, severity="high"), raw("open", alert_id=B, severity="low"))
        await scene.holds((A, "high"), (B, "low"))
        await asyncio.to_thread(manager.stop)
        await until(lambda: scene.target_senders[0].state == "open")
        await asyncio.to_thread(manager.start)
        await scene.holds((A, "high"), (B, "low"))
        await until(lambda: scene.target_senders[0].state == "closed")

    play(manager, Log(), act)


def test_alerts_during_an_outage_arrive_later(manager: Alertmanager, hook: Receiver) -> None:
    async def act(scene: Scene) -> None:
        await asyncio.to_thread(manager.stop)
        delivering = asyncio.ensure_future(
            scene.take(
                raw("open", alert_id=A, revision=1, severity="high"),
                raw("open", alert_id=B, revision=1, severity="high"),
                raw("resolved", alert_id=B, revision=2, severity="high"),
            )
        )
        await until(lambda: scene.target_senders[0].state == "open")
        await asyncio.to_thread(manager.start)
        await delivering
        await scene.holds((A, "high"))

    play(manager, Log(), act)
