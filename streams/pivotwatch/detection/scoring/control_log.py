"""Releases and decisions: which ones a bucket used is fixed before it is scored, and stays so.

A control record takes effect at the next unscored bucket. It is pinned with that bucket in the marker
before anything is scored, so that after a crash the same buckets see the same controls, although by
then the topic may hold newer ones.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson

from pivotwatch.contracts.events import BadEvent, check_release, check_text, parse_time, shown
from pivotwatch.contracts.records import InputRecord
from pivotwatch_models.base.counts import Group
from pivotwatch_models.incidents.terms import VERDICTS, Verdict


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A release (``released_at`` None: struck out)."""

    model: str
    released_at: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """A person's verdict on an entity or on an alert; None takes a standing verdict back."""

    entity: Group | None
    alert_id: str | None
    verdict: Verdict | None
    by: str


Control = Entry | Decision


def read(topic: str, record: InputRecord) -> Control:
    """A control record.

    Raises
    ------
    BadEvent
        With the field and what is expected of it.

    Examples
    --------
    >>> from pivotwatch.contracts.records import Line
    >>> read("releases", Line(b'{"model":"m-2","released_at":"2026-02-05T18:00:00Z"}'))
    Entry(model='m-2', released_at=1770314400000)
    >>> read("decisions", Line(b'{"entity":{"kind":"network","id":"AS1"},"verdict":"verified","by":"kim"}'))
    Decision(entity=('network', 'AS1'), alert_id=None, verdict='verified', by='kim')
    """
    key = (record.key or b"").decode(errors="replace")
    if not record.value:
        if not key:
            raise BadEvent("the message is empty and has no key")
        check_text(key, "key", empty=False)
        return Entry(key, None) if topic == "releases" else _withdrawn(key)
    try:
        fields = orjson.loads(record.value)
    except orjson.JSONDecodeError as error:
        raise BadEvent(f"not JSON: {error}") from None
    if topic == "releases":
        check_release(fields)
        return Entry(fields["model"], parse_time(fields["released_at"], "released_at"))
    return _decision(fields)


def _withdrawn(key: str) -> Decision:
    kind, separator, name = key.partition(":")
    return Decision((kind, name), None, None, "") if separator else Decision(None, key, None, "")


def _decision(fields: Any) -> Decision:
    if not isinstance(fields, dict):
        raise BadEvent("decision: expected a JSON object")
    if fields.get("verdict") not in VERDICTS:
        raise BadEvent(f"verdict: expected one of {', '.join(VERDICTS)}, got {shown(fields.get('verdict'))}")
    entity, alert_id = fields.get("entity"), fields.get("alert_id")
    if entity is not None:
        if not isinstance(entity, dict):
            raise BadEvent("entity: expected an object with kind and id")
        check_text(entity.get("kind"), "entity.kind", empty=False)
        check_text(entity.get("id"), "entity.id", empty=False)
    elif alert_id is None:
        raise BadEvent("a decision names an entity or an alert_id")
    else:
        check_text(alert_id, "alert_id", empty=False)
    by = fields.get("by")
    check_text(by, "by", empty=True)
    group = (entity["kind"], entity["id"]) if entity is not None else None
    return Decision(group, alert_id, fields["verdict"], by or "")


class ControlLog:
    """Control records taken, and the bucket from which each has effect."""

    def __init__(self) -> None:
        self._pending: list[tuple[int | None, Control]] = []
        self._offsets: dict[str, int] = {}
        self._unsaved: list[list[Any]] = []

    def take(self, topic: str, record: InputRecord, effective: int | None) -> None:
        """Take a record, unless its offset was taken before."""
        if record.offset <= self._offsets.get(topic, -1):
            return
        self._offsets[topic] = record.offset
        control = read(topic, record)
        self._pending.append((effective, control))
        self._unsaved.append([topic, record.offset, effective, _dump(control)])

    @property
    def waiting(self) -> bool:
        """Are there controls without effect yet?"""
        return bool(self._pending)

    def due(self, bucket: int) -> list[Control]:
        """Controls that have effect from this bucket, in the order in which they came."""
        due = [control for effective, control in self._pending if effective is None or effective <= bucket]
        self._pending = [entry for entry in self._pending if entry[0] is not None and entry[0] > bucket]
        return due

    def pins(self) -> bytes:
        """Everything taken since the last snapshot."""
        return orjson.dumps(self._unsaved)

    def repin(self, pins: bytes) -> None:
        """Take what `pins` told, with effect at the same buckets."""
        for topic, offset, effective, fields in orjson.loads(pins):
            if offset > self._offsets.get(topic, -1):
                self._offsets[topic] = offset
                self._pending.append((effective, _load(fields)))
                self._unsaved.append([topic, offset, effective, fields])

    def snapshot(self) -> dict[str, Any]:
        """State, JSON-able; what it holds need not be pinned any more."""
        self._unsaved = []
        pending = [[effective, _dump(control)] for effective, control in self._pending]
        return {"pending": pending, "offsets": dict(sorted(self._offsets.items()))}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue exactly where `snapshot` was taken."""
        self._pending = [(effective, _load(fields)) for effective, fields in state["pending"]]
        self._offsets = dict(state["offsets"])


def _dump(control: Control) -> list[Any]:
    return [type(control).__name__, *dataclasses.astuple(control)]


def _load(fields: list[Any]) -> Control:
    name, *values = fields
    if name == "Entry":
        return Entry(*values)
    entity, *rest = values
    return Decision(tuple(entity) if entity else None, *rest)
