"""A desk with real couriers, for tests against real receivers."""

from __future__ import annotations

import asyncio
from typing import Any

from pivotwatch.delivery.dispatcher import Dispatcher, Origin
from pivotwatch.delivery.notification_log import NotificationLog
from pivotwatch.delivery.target_sender import target_senders
from tests.delivery.receiver import Receiver
from tests.delivery.rig import QUICK, Log, wait_for, yes

ROUTING_KEY = "routing-key-of-the-tests"


class Config:
    """What couriers read of a configuration."""

    def __init__(self, *targets: dict[str, Any]) -> None:
        self.delivery = {
            "base_url": "https://watch.example",
            "targets": [{**QUICK, **target} for target in targets],
        }


def webhook(hook: Receiver, **more: Any) -> dict[str, Any]:
    return {"name": "hook", "kind": "webhook", "url": hook.url, "secret_env": "HOOK_SECRET", **more}


def deliver(records: list[bytes], *targets: dict[str, Any]) -> tuple[Dispatcher, list[Any]]:
    """Deliver records to their end."""

    async def work() -> tuple[Dispatcher, list[Any]]:
        dead: list[Any] = []

        async def bury(letter: Any) -> None:
            dead.append(letter)

        made = target_senders(Config(*targets), None)  # type: ignore[arg-type]
        failures: list[BaseException] = []
        desk = Dispatcher(made, NotificationLog(Log(), {}), 0, bury=bury, fail=failures.append, is_ours=yes)
        for offset, record in enumerate(records):
            desk.take(Origin("alerts", 0, offset), record)
        await wait_for(lambda: failures or desk.progress.done == len(records))
        desk.end()
        for target_sender in made:
            await target_sender.notifier.close()
        assert failures == []
        return desk, dead

    return asyncio.run(work())
