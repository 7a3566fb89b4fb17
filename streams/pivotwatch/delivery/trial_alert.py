"""Sends a marked test alert to one target."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from pivotwatch.contracts.alert_evidence import Evidence
from pivotwatch.contracts.alerts import Alert, AlertData, alert_of
from pivotwatch.contracts.codec import encode, moment_of
from pivotwatch.contracts.entity import Entity
from pivotwatch.delivery.errors import DeliveryError
from pivotwatch.delivery.notification_policy import Decision, Notification
from pivotwatch.delivery.notifier import Delivery, Notifier
from pivotwatch_models.incidents.terms import State

ALERT_ID = "7e577e577e577e57"


class SendResult(NamedTuple):
    """The result of one message.

    Attributes
    ----------
    state
        State of the alert in the message.
    accepted
        Whether the target accepted the message.
    text
        The answer of the target, or the error.
    """

    state: State
    accepted: bool
    text: str


def make_alert(state: State, revision: int, now: int) -> Alert:
    """Make a test alert, which says that it is not a finding and has the lowest severity.

    Parameters
    ----------
    now
        Epoch milliseconds.

    Examples
    --------
    >>> make_alert("open", 1, 1_760_000_000_000).data.reasons
    ['This is a test of delivery. Nothing was found.', 'Next step: none.']
    """
    entity = Entity("test", "delivery-test")
    return alert_of(
        AlertData(
            alert_id=ALERT_ID,
            revision=revision,
            dedup_key=f"pivotwatch/{ALERT_ID}",
            state=state,
            transition="test",
            test=True,
            severity="info",
            model="delivery-test",
            entity=entity,
            groups=[entity],
            onset=moment_of(now),
            detected_at=moment_of(now),
            members=[],
            members_total=0,
            exchanges_to_model=0,
            evidence=Evidence(),
            reasons=["This is a test of delivery. Nothing was found.", "Next step: none."],
        )
    )


async def send_test_alert(notifier: Notifier) -> AsyncIterator[SendResult]:
    """Open a test incident and resolve it, one attempt each. A failure ends the test."""
    # Each test needs new ids, because receivers drop repeated ids.
    revision, last = int(time.time()) * 2, None
    for state in ("open", "resolved"):
        alert = make_alert(state, revision, round(time.time() * 1000))
        decision = Decision("send", "opened" if state == "open" else "resolved")
        try:
            answer = await notifier.send(Delivery(alert, encode(alert), decision, last))
        except DeliveryError as error:
            yield SendResult(state, False, str(error))
            return
        yield SendResult(state, True, answer)
        last, revision = Notification(revision, "info", True, alert), revision + 1
