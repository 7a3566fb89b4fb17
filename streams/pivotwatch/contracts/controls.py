"""Control records: entries of the release calendar (topic ``releases``) and decisions (topic ``decisions``).

Both topics are compacted, ``decisions`` with a delay. An empty record takes back what stands under its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from pivotwatch.contracts.codec import (
    MAX_TEXT,
    Moment,
    Text,
    as_plain,
    check_moments,
    encode,
    json_schema,
    parser,
)
from pivotwatch.contracts.entity import Entity
from pivotwatch.contracts.events import BadEvent, TimeOrDatetime, parse_time
from pivotwatch_models.incidents.terms import VERDICTS, Verdict

BY_HEADER, AT_HEADER = "pivotwatch.by", "pivotwatch.at"
"""Headers of an empty decision: who took the earlier one back, and when."""

Headers = Sequence[tuple[str, bytes | None]]


class Release(Struct, frozen=True):
    """The release of a model: an entry of the release calendar. The key of the record is the model.

    Examples
    --------
    >>> Release("m-2", "2026-02-05T18:00Z").released_ms
    1770314400000
    """

    model: Annotated[Text, Meta(description="The released model, by its name in events.")]
    released_at: Annotated[
        TimeOrDatetime, Meta(description="Time of the release: RFC 3339, or epoch milliseconds.")
    ]

    def __post_init__(self) -> None:
        parse_time(self.released_at, "released_at")

    @property
    def released_ms(self) -> int:
        """Time of the release in epoch milliseconds."""
        return parse_time(self.released_at, "released_at")


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person's decision on an entity or on one incident. The key of the record is its target."""

    entity: Annotated[
        Entity | None,
        Meta(description="The group or account that is meant; null: alert_id names an incident."),
    ] = None
    alert_id: Annotated[Text | None, Meta(description="The incident that is meant; null: entity is.")] = None
    verdict: Annotated[
        Verdict,
        Meta(
            description="confirmed: it is real, and stays open. benign: an honest cause, it ends for this "
            "release. verified: the organisation is known and trusted, and raises no more alerts."
        ),
    ]
    by: Annotated[Annotated[str, Meta(max_length=MAX_TEXT)] | None, Meta(description="Who decided.")] = None
    at: Annotated[Moment | None, Meta(description="When it was decided.")] = None
    note: Annotated[str | None, Meta(description="A note for colleagues.")] = None

    def __post_init__(self) -> None:
        check_moments(at=self.at)
        if self.entity is None and self.alert_id is None:
            raise ValueError("expected entity or alert_id")

    @property
    def target(self) -> str:
        """Key of the record: ``kind:id`` of the entity, or the alert_id."""
        return self.alert_id or "" if self.entity is None else f"{self.entity.kind}:{self.entity.id}"


class Withdrawal(Struct, frozen=True, kw_only=True):
    """An empty record: the decision on its target is taken back."""

    target: str
    by: str | None = None
    at: datetime | None = None

    @property
    def entity(self) -> Entity | None:
        """The group or account that is meant."""
        kind, separator, name = self.target.partition(":")
        return Entity(kind, name) if separator else None

    @property
    def alert_id(self) -> str | None:
        """The incident that is meant."""
        return self.target if self.entity is None else None


_parse_entry = parser(Release, refused=BadEvent)
_parse_decision = parser(Decision, refused=BadEvent)
_parse_moment = parser(Moment, refused=BadEvent)


def parse_release(key: bytes | None, value: bytes | None) -> Release | str:
    """Read a record of ``releases``; of an empty one the model that is struck out.

    Raises
    ------
    BadEvent
        With the first field that is not as the contract says.

    Examples
    --------
    >>> parse_release(None, b'{"model":"m-2","released_at":"2026-02-05T18:00:00Z"}').released_ms
    1770314400000
    >>> parse_release(b"m-2", b"")
    'm-2'
    """
    return _parse_entry(value) if value else _key(key)


def parse_decision(key: bytes | None, value: bytes | None, headers: Headers = ()) -> Decision | Withdrawal:
    """Read a record of ``decisions``.

    Raises
    ------
    BadEvent
        With the first field that is not as the contract says.

    Examples
    --------
    >>> parse_decision(None, b'{"alert_id": "0123456789abcdef", "verdict": "benign"}').target
    '0123456789abcdef'
    >>> parse_decision(None, b'{"alert_id": "0123456789abcdef", "verdict": "guilty"}')
    Traceback (most recent call last):
    pivotwatch.contracts.events.BadEvent: verdict: expected one of confirmed, benign, verified, got 'guilty'
    """
    if value:
        try:
            return _parse_decision(value)
        except BadEvent as error:
            known = f"expected one of {', '.join(VERDICTS)}, got"
            raise BadEvent(str(error).replace("invalid enum value", known)) from None
    told = {name: content.decode(errors="replace")[:MAX_TEXT] for name, content in headers if content}
    try:
        at = _parse_moment(encode(told[AT_HEADER]))
    except (BadEvent, KeyError):
        at = None  # What is said beside an empty record decides nothing.
    return Withdrawal(target=_key(key), by=told.get(BY_HEADER), at=at)


def decision_record(
    decision: Decision | Withdrawal,
) -> tuple[bytes, bytes | None, list[tuple[str, bytes]]]:
    """Key, value and headers of the record of a decision."""
    who = [(BY_HEADER, decision.by.encode())] if decision.by else []
    when = [(AT_HEADER, encode(decision.at).strip(b'"'))] if decision.at else []
    value = encode(decision) if isinstance(decision, Decision) else None
    return decision.target.encode(), value, who + when


def _key(key: bytes | None) -> str:
    text = (key or b"").decode(errors="replace")
    if not text:
        raise BadEvent("the message is empty and has no key")
    if len(text) > MAX_TEXT:
        raise BadEvent(f"key: expected at most {MAX_TEXT} characters, got {len(text):,}")
    return text


def release_schema() -> dict[str, Any]:
    """JSON Schema of an entry of the release calendar."""
    example = Release(model="m-2", released_at="2026-02-05T18:00:00Z")
    return json_schema(Release, "pivotwatch release", examples=[as_plain(example)])


def decision_schema() -> dict[str, Any]:
    """JSON Schema of a decision."""
    example = Decision(entity=Entity("network", "AS64500"), verdict="verified", by="kim")
    return json_schema(Decision, "pivotwatch decision", examples=[as_plain(example)])
