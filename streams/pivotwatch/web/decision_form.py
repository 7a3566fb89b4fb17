"""A person's decision on its way to the topic ``decisions``; it counts when the broker has it."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import orjson

from pivotwatch.base.errors import Fault, OutOfReach, WrongUse
from pivotwatch.contracts.alerts import Entity
from pivotwatch_models.incidents.terms import VERDICTS

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 15.0
MOST_NOTE = 500
TAKE_BACK = "none"


@dataclasses.dataclass(frozen=True, slots=True)
class DecisionRequest:
    """What somebody wants to be decided.

    Attributes
    ----------
    target
        An alert's id, or ``kind:id`` of an entity.
    verdict
        One of the verdicts, or ``none`` to take a decision back.
    """

    target: str
    entity: tuple[str, str] | None
    verdict: str
    note: str


def read_request(
    alert_id: str, groups: Iterable[Entity], verdict: object, entity: object, note: object
) -> DecisionRequest:
    """What is wanted for an incident.

    Parameters
    ----------
    alert_id, groups
        The incident, its entity and the groups that were merged into it.
    verdict
        ``verified`` is about an organisation, so about a group; all else is about the incident, unless an
        entity is given.
    entity
        ``kind:id`` of one of the incident's groups, or nothing.

    Raises
    ------
    WrongUse
        With the field and what is expected of it.

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
    if verdict not in (*VERDICTS, TAKE_BACK):
        raise WrongUse(f"verdict: expected one of {', '.join((*VERDICTS, TAKE_BACK))}")
    if note is not None and (not isinstance(note, str) or len(note) > MOST_NOTE):
        raise WrongUse(f"note: expected a text of at most {MOST_NOTE} characters")
    text = "".join(c for c in str(note or "") if c.isprintable() or c in "\n\t").strip()
    known = {f"{group.kind}:{group.id}": (group.kind, group.id) for group in groups}
    if entity not in (None, ""):
        if not isinstance(entity, str) or entity not in known:
            raise WrongUse("entity: expected kind:id of one of the incident's groups")
        return DecisionRequest(entity, known[entity], str(verdict), text)
    if verdict == "verified":
        first = next(iter(known))
        return DecisionRequest(first, known[first], str(verdict), text)
    return DecisionRequest(alert_id, None, str(verdict), text)


class DecisionWriter:
    """Writes decisions.

    Parameters
    ----------
    producer
        Gives Faust's producer.
    topic
        The full name of ``decisions``.
    """

    def __init__(
        self,
        producer: Callable[[], Any],
        topic: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._producer, self._topic, self._clock, self._seconds = producer, topic, clock, seconds

    async def write(self, request_: DecisionRequest, by: str) -> int:
        """Send a decision, wait until the broker has it, and return its offset.

        Raises
        ------
        OutOfReach
            When the broker does not answer: it may have the decision or not.
        """
        at = self._clock().isoformat(timespec="seconds").replace("+00:00", "Z")
        value = None
        if request_.verdict != TAKE_BACK:
            about: dict[str, Any] = {"alert_id": request_.target}
            if request_.entity is not None:
                about = {"entity": {"kind": request_.entity[0], "id": request_.entity[1]}}
            value = orjson.dumps(
                about | {"verdict": request_.verdict, "by": by, "at": at, "note": request_.note}
            )
        # An empty message has no room for who and when but its headers.
        headers = [("pivotwatch.by", by.encode()), ("pivotwatch.at", at.encode())]
        try:
            async with asyncio.timeout(self._seconds):
                sent = await self._producer().send(
                    self._topic,
                    request_.target.encode(),
                    value,
                    partition=None,
                    timestamp=None,
                    headers=headers,
                )
                offset: int = (await sent).offset
        except Fault:
            raise
        except Exception as error:
            logger.error("a decision was not acknowledged: %s", type(error).__name__)
            raise OutOfReach(
                "the broker has not confirmed the decision: look whether it is there before you repeat it"
            ) from error
        logger.info("decision on %s: %s, by %s", request_.target, request_.verdict, by)
        return offset
