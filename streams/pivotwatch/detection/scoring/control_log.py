"""Control records (releases and decisions), and the bucket from which each has effect.

A control record has effect from the next unscored bucket. The worker writes ("pins") the record and that
bucket into the manifest before it scores the bucket. So after a crash the same buckets use the same control
records, although the topic may contain newer ones by then.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson

from pivotwatch.contracts import controls as contracts
from pivotwatch.contracts.controls import parse_decision, parse_release
from pivotwatch.contracts.records import InputRecord
from pivotwatch_models.base.counts import Group
from pivotwatch_models.incidents.terms import Verdict


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A change of the release calendar.

    Attributes
    ----------
    released_at
        Epoch milliseconds; None removes the model from the calendar.
    """

    model: str
    released_at: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """A person's decision on an incident.

    Attributes
    ----------
    entity, alert_id
        The group or account that the decision is about, or the id of its alert.
    verdict
        None takes an earlier decision back.
    by
        Who decided.
    """

    entity: Group | None
    alert_id: str | None
    verdict: Verdict | None
    by: str


Control = Entry | Decision


def read(topic: str, record: InputRecord) -> Control:
    """Decode a record of ``releases`` or ``decisions``.

    Raises
    ------
    BadEvent
        With the field that is wrong and what is expected there.

    Examples
    --------
    >>> from pivotwatch.contracts.records import Line
    >>> read("releases", Line(b'{"model":"m-2","released_at":"2026-02-05T18:00:00Z"}'))
    Entry(model='m-2', released_at=1770314400000)
    >>> read("decisions", Line(b'{"entity":{"kind":"network","id":"AS1"},"verdict":"verified","by":"kim"}'))
    Decision(entity=('network', 'AS1'), alert_id=None, verdict='verified', by='kim')
    """
    if topic == "releases":
        entry = parse_release(record.key, record.value)
        return Entry(entry, None) if isinstance(entry, str) else Entry(entry.model, entry.released_ms)
    decided = parse_decision(record.key, record.value, record.headers)
    group = (decided.entity.kind, decided.entity.id) if decided.entity is not None else None
    if isinstance(decided, contracts.Decision):
        return Decision(group, decided.alert_id, decided.verdict, decided.by or "")
    return Decision(group, decided.alert_id, None, "")


class ControlLog:
    """The control records that have no effect yet, and those that no snapshot contains yet."""

    def __init__(self) -> None:
        self._pending: list[tuple[int | None, Control]] = []
        self._offsets: dict[str, int] = {}
        self._unsaved: list[list[Any]] = []

    def take(self, topic: str, record: InputRecord, effective: int | None) -> None:
        """Take a record, unless its offset was taken before.

        Parameters
        ----------
        effective
            The bucket from which it has effect; None: the first.

        Raises
        ------
        BadEvent
            When it cannot be read. Its offset counts as taken.
        """
        if record.offset <= self._offsets.get(topic, -1):
            return
        self._offsets[topic] = record.offset
        control = read(topic, record)
        self._pending.append((effective, control))
        self._unsaved.append([topic, record.offset, effective, _dump(control)])

    def any_due(self, bucket: int) -> bool:
        """Whether a control record that was not applied yet has effect from ``bucket`` or earlier."""
        return any(effective is None or effective <= bucket for effective, _ in self._pending)

    def due(self, bucket: int) -> list[Control]:
        """Remove and return the control records that have effect from ``bucket``, in the order of arrival."""
        due = [control for effective, control in self._pending if effective is None or effective <= bucket]
        self._pending = [entry for entry in self._pending if entry[0] is not None and entry[0] > bucket]
        return due

    def pins(self) -> bytes:
        """The control records taken since the last snapshot, as JSON."""
        return orjson.dumps(self._unsaved)

    def repin(self, pins: bytes) -> None:
        """Take the records that `pins` returned, with effect from the same buckets."""
        for topic, offset, effective, fields in orjson.loads(pins):
            if offset > self._offsets.get(topic, -1):
                self._offsets[topic] = offset
                self._pending.append((effective, _load(fields)))
                self._unsaved.append([topic, offset, effective, fields])

    def snapshot(self) -> dict[str, Any]:
        """State, JSON-able. What it contains need not be pinned any more."""
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
