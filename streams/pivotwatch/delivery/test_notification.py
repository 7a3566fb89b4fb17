"""A marked test alert for one target, and what came back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from pivotwatch.contracts.alerts import Alert, AlertData, Entity, Evidence, alert_of
from pivotwatch.contracts.codec import encode, moment_of
from pivotwatch.delivery.dedup import Decision, Told
from pivotwatch.delivery.errors import Undelivered
from pivotwatch.delivery.notifiers import Delivery, Notifier
from pivotwatch_models.incidents.terms import State

ALERT_ID = "7e577e577e577e57"


class Answer(NamedTuple):
    """What came back for one alert."""

    state: State
    taken: bool
    text: str


def alert(state: State, revision: int, now: int) -> Alert:
    """The test alert: plainly no finding, of the lowest severity.

    Examples
    --------
    >>> alert("open", 1, 1_760_000_000_000).data.reasons
    ['This is a test of delivery. Nothing was found; there is nothing to do.']
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
            reasons=["This is a test of delivery. Nothing was found; there is nothing to do."],
        )
    )


async def run(notifier: Notifier) -> AsyncIterator[Answer]:
    """Open a test incident and resolve it, so that nothing stays open; each is tried once."""
    # Two tests must not have the same ids: receivers drop what they know.
    revision, told = int(time.time()) * 2, None
    for state in ("open", "resolved"):
        made = alert(state, revision, round(time.time() * 1000))
        decision = Decision("send", "opened" if state == "open" else "resolved")
        try:
            answer = Answer(state, True, await notifier.send(Delivery(made, encode(made), decision, told)))
        except Undelivered as error:
            answer = Answer(state, False, str(error))
        yield answer
        if not answer.taken:
            return
        told, revision = Told(revision, "info", True, made), revision + 1
