"""A dispatcher with real senders, for tests against real receivers."""

from __future__ import annotations

import asyncio
from typing import Any

from pivotwatch.delivery.dispatcher import Dispatcher, Origin
from pivotwatch.delivery.notification_log import NotificationLog
from pivotwatch.delivery.target_sender import make_target_senders
from tests.delivery.receiver import Receiver
from tests.delivery.rig import QUICK, Log, wait_for, yes

ROUTING_KEY = "routing-key-of-the-tests"


class Config:
    """The keys of a configuration that notifiers read."""

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

        async def send_dead_letter(letter: Any) -> None:
            dead.append(letter)

        made = make_target_senders(Config(*targets), None)  # type: ignore[arg-type]
        failures: list[BaseException] = []
        dispatcher = Dispatcher(
            made,
            NotificationLog(Log(), {}),
            0,
            send_dead_letter=send_dead_letter,
            fail=failures.append,
            owns_partition=yes,
        )
        for offset, record in enumerate(records):
            dispatcher.dispatch(Origin("alerts", 0, offset), record)
        await wait_for(lambda: failures or dispatcher.offsets.committable == len(records))
        dispatcher.stop()
        for target_sender in made:
            await target_sender.notifier.close()
        assert failures == []
        return dispatcher, dead

    return asyncio.run(work())
