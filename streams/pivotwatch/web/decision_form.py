"""Writes a person's decision to the topic ``decisions`` and waits until the broker confirms it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from msgspec.structs import replace

from pivotwatch.base.errors import Fault, OutOfReach, WrongUse
from pivotwatch.contracts.controls import Decision, Withdrawal, decision_record
from pivotwatch.contracts.entity import Entity
from pivotwatch_models.incidents.terms import VERDICTS

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 15.0
MOST_NOTE = 500
TAKE_BACK = "none"


def read_request(
    alert_id: str, groups: Iterable[Entity], verdict: object, entity: object, note: object
) -> Decision | Withdrawal:
    """The decision on an incident that a form or a JSON object asks for, without who and when.

    Parameters
    ----------
    alert_id, groups
        The incident, its entity and the groups that were merged into it.
    verdict
        One of the verdicts, or ``none`` to take a decision back. ``verified`` is about an organisation, so
        about a group. Every other verdict is about the incident, unless an entity is given.
    entity
        ``kind:id`` of one of the incident's groups, or None.

    Raises
    ------
    WrongUse
        With the field and its expected form.

    Examples
    --------
    >>> incident = "0123456789abcdef", [Entity("network", "AS1")]
    >>> read_request(*incident, "benign", None, None).target
    '0123456789abcdef'
    >>> read_request(*incident, "verified", None, "known").target
    'network:AS1'
    >>> read_request(*incident, "guilty", None, None)
    Traceback (most recent call last):
    pivotwatch.base.errors.WrongUse: verdict: expected one of confirmed, benign, verified, none
    """
    known_verdict = next((one for one in VERDICTS if one == verdict), None)
    if known_verdict is None and verdict != TAKE_BACK:
        raise WrongUse(f"verdict: expected one of {', '.join((*VERDICTS, TAKE_BACK))}")
    if note is not None and (not isinstance(note, str) or len(note) > MOST_NOTE):
        raise WrongUse(f"note: expected a text of at most {MOST_NOTE} characters")
    text = "\n".join(str(note or "").splitlines()).strip()
    known = {f"{group.kind}:{group.id}": group for group in groups}
    chosen: Entity | None = None
    if entity not in (None, ""):
        if not isinstance(entity, str) or entity not in known:
            raise WrongUse("entity: expected kind:id of one of the incident's groups")
        chosen = known[entity]
    elif known_verdict == "verified":
        chosen = next(iter(known.values()))
    if known_verdict is None:
        return Withdrawal(target=alert_id if chosen is None else f"{chosen.kind}:{chosen.id}")
    about = alert_id if chosen is None else None
    return Decision(entity=chosen, alert_id=about, verdict=known_verdict, note=text)


class DecisionWriter:
    """Writes decisions to their topic.

    Parameters
    ----------
    send
        Sends a record, waits until the broker has it, and returns its offset.
    topic
        The full name of ``decisions``.
    """

    def __init__(
        self,
        send: Callable[..., Awaitable[int]],
        topic: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._send, self._topic, self._clock, self._seconds = send, topic, clock, seconds

    async def write(self, decision: Decision | Withdrawal, by: str) -> int:
        """Send a decision, wait until the broker confirms it, and return its offset.

        Raises
        ------
        OutOfReach
            When the broker does not answer. It may or may not have the decision.
        """
        signed = replace(decision, by=by, at=self._clock().replace(microsecond=0))
        key, value, headers = decision_record(signed)
        try:
            async with asyncio.timeout(self._seconds):
                offset = await self._send(self._topic, key, value, headers=headers)
        except Fault:
            raise
        except Exception as error:
            logger.error("a decision was not acknowledged: %s", type(error).__name__)
            raise OutOfReach(
                "the broker did not confirm the decision; check whether it was saved before you repeat it"
            ) from error
        verdict = decision.verdict if isinstance(decision, Decision) else TAKE_BACK
        logger.info("decision on %s: %s, by %s", decision.target, verdict, by)
        return offset
