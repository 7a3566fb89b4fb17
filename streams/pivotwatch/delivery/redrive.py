"""Sending again what became a dead letter of delivery.

This is done at once and without the worker. A target that shows how an incident stands (a pager, a chat,
Alertmanager) is spared what is out of date by now; one that keeps every alert gets them all.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import NamedTuple

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.alerts import Alert, parse_alert
from pivotwatch.contracts.dead_letters import DeadLetter
from pivotwatch.delivery.dedup import Decision
from pivotwatch.delivery.errors import TryLater, Undelivered
from pivotwatch.delivery.notification_log import Key
from pivotwatch.delivery.notifiers import Delivery
from pivotwatch.delivery.target_sender import TargetSender

PATIENCE_SECONDS = 60.0


class Sent(NamedTuple):
    """What became of a letter; ``fine`` also when there was nothing to do."""

    letter: DeadLetter
    fine: bool
    text: str


def target_of(letter: DeadLetter) -> str:
    """The name of the target that did not get it; empty when it was no alert at all."""
    return letter.about.target or ""


async def redrive(
    letters: Iterable[DeadLetter], target_senders: Mapping[str, TargetSender], told: Mapping[Key, int]
) -> AsyncIterator[Sent]:
    """Deliver letters in their order; what is left for a target that is down waits for another time.

    Parameters
    ----------
    target_senders
        By name of the target.
    told
        By target and incident the revision that was told last, or given up.
    """

    async def nothing() -> None:
        return None

    down: dict[str, str] = {}
    for letter in letters:
        name = target_of(letter)
        target_sender = target_senders.get(name)
        try:
            alert = parse_alert(letter.value or b"")
        except WrongUse:
            yield Sent(letter, False, "is no alert")
            continue
        revision = told.get((name, alert.data.alert_id), 0)
        if target_sender is None:
            yield Sent(letter, False, f"there is no target {name} in the configuration")
        elif not target_sender.notifier.keeps_all and alert.data.revision < revision:
            yield Sent(letter, True, f"is out of date: it was told of revision {revision}")
        elif name in down:
            yield Sent(letter, False, down[name])
        else:
            try:
                deadline = time.monotonic() + PATIENCE_SECONDS
                answer = await target_sender.deliver(_delivery(alert, letter), deadline, nothing, nothing)
                yield Sent(letter, True, answer)
            except Undelivered as error:
                if isinstance(error, TryLater):
                    down[name] = str(error)
                yield Sent(letter, False, str(error))


def _delivery(alert: Alert, letter: DeadLetter) -> Delivery:
    raw, state = letter.value or b"", alert.data.state
    reasons: dict[str, Decision] = {
        "open": Decision("send", "opened"),
        "updated": Decision("send", "news"),
        "resolved": Decision("send", "resolved"),
        "suppressed": Decision("send", "suppressed"),
    }
    return Delivery(alert, raw, reasons[state], None)
