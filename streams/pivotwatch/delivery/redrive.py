"""Sends the dead letters of delivery again, at once and without a worker.

Some targets show the current state of an incident: a pager, a chat, Alertmanager. They do not get alerts
that are outdated by now. A target that keeps every alert gets all of them.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import NamedTuple

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.alerts import Alert, parse_alert
from pivotwatch.contracts.dead_letters import DeadLetter
from pivotwatch.delivery.errors import DeliveryError, RetryLater
from pivotwatch.delivery.notification_log import Key
from pivotwatch.delivery.notification_policy import Decision
from pivotwatch.delivery.notifier import Delivery
from pivotwatch.delivery.target_sender import TargetSender

RETRY_SECONDS = 60.0
"""How long the delivery of one dead letter is tried."""


class RedriveResult(NamedTuple):
    """The result for one dead letter.

    Attributes
    ----------
    ok
        Whether the target accepted the alert, or needs it no more.
    text
        The answer of the target, or the reason.
    """

    dead_letter: DeadLetter
    ok: bool
    text: str


def target_of(dead_letter: DeadLetter) -> str:
    """The name of the target that did not accept the alert; empty when the record was not an alert."""
    return dead_letter.about.target or ""


async def redrive(
    dead_letters: Iterable[DeadLetter],
    target_senders: Mapping[str, TargetSender],
    notified: Mapping[Key, int],
) -> AsyncIterator[RedriveResult]:
    """Deliver dead letters in order. After a target proves to be down, its other dead letters are skipped.

    Parameters
    ----------
    target_senders
        The senders by name of the target.
    notified
        The latest revision of each incident that each target was notified of, or that became a dead letter.
    """
    down: dict[str, str] = {}
    for dead_letter in dead_letters:
        name = target_of(dead_letter)
        sender = target_senders.get(name)
        try:
            alert = parse_alert(dead_letter.value or b"")
        except WrongUse:
            yield RedriveResult(dead_letter, False, "is not an alert")
            continue
        revision = notified.get((name, alert.data.alert_id), 0)
        if sender is None:
            yield RedriveResult(dead_letter, False, f"the configuration has no target {name}")
        elif not sender.notifier.keeps_all and alert.data.revision < revision:
            yield RedriveResult(dead_letter, True, f"is outdated: the target already got revision {revision}")
        elif name in down:
            yield RedriveResult(dead_letter, False, down[name])
        else:
            try:
                deadline = time.monotonic() + RETRY_SECONDS
                answer = await sender.deliver(_delivery(alert, dead_letter), deadline)
                yield RedriveResult(dead_letter, True, answer)
            except DeliveryError as error:
                if isinstance(error, RetryLater):
                    down[name] = str(error)
                yield RedriveResult(dead_letter, False, str(error))


def _delivery(alert: Alert, dead_letter: DeadLetter) -> Delivery:
    raw = dead_letter.value or b""
    decisions: dict[str, Decision] = {
        "open": Decision("send", "opened"),
        "updated": Decision("send", "update"),
        "resolved": Decision("send", "resolved"),
        "suppressed": Decision("send", "suppressed"),
    }
    return Delivery(alert, raw, decisions[alert.data.state], None)
