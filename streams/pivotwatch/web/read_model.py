"""The read model of the page: the newest state of alerts, decisions and status. No I/O, no clock."""

from __future__ import annotations

import dataclasses
import logging
from collections import OrderedDict, deque
from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any, NamedTuple

import msgspec

from pivotwatch.base.errors import WrongUse
from pivotwatch.base.outside_text import visible
from pivotwatch.contracts import controls as contracts
from pivotwatch.contracts.alerts import parse_alert, parse_without_evidence
from pivotwatch.contracts.codec import encode, format_moment, millis_of
from pivotwatch.contracts.controls import parse_decision
from pivotwatch.contracts.entity import Entity
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.status import Status, parse_status
from pivotwatch.formats.summary import title_of
from pivotwatch.reporting.collector import Adoption, Point
from pivotwatch_models.incidents.terms import SEVERITIES, Severity, State, Verdict

logger = logging.getLogger(__name__)

MOST_INCIDENTS = 10_000
MOST_REVISIONS = 200
MOST_BUCKETS = 4_096
MOST_DECISIONS = 20_000
MOST_TEXT = 2_000
OPEN = ("open", "updated")


@dataclasses.dataclass(frozen=True, slots=True)
class Revision:
    """One revision of an alert, as the list of updates shows it."""

    revision: int
    at: datetime
    transition: str
    severity: Severity
    state: State


class SummaryEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of an alert that lists show; see `pivotwatch.contracts.alerts.Evidence`."""

    hazard_ratio: float | None
    log_e_value: float | None
    threshold: float | None
    observed_share: float | None
    population_share: float | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of an alert that lists show; see `pivotwatch.contracts.alerts.AlertData`."""

    alert_id: str
    revision: int
    state: State
    transition: str | None
    severity: Severity
    model: str
    entity: Entity
    groups: list[Entity]
    merged_into: Entity | None
    released_at: datetime | None
    onset: datetime
    detected_at: datetime
    members_total: int
    exchanges_to_model: int
    evidence: SummaryEvidence


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """A decision of a person; ``verdict`` None takes an earlier one back."""

    offset: int
    verdict: Verdict | None
    by: str
    at: datetime | None
    note: str
    target: str


class Entry(NamedTuple):
    """A decision in the history, and the next one on the same target: it ended this one."""

    decision: Decision
    ended_by: Decision | None


@dataclasses.dataclass(slots=True)
class Incident:
    """The newest alert of an incident as it was sent, its summary, and its revisions."""

    raw: bytes
    data: Summary
    revisions: deque[Revision]

    @property
    def alert_id(self) -> str:
        """Id of the incident."""
        return self.data.alert_id

    @property
    def is_open(self) -> bool:
        """Whether the incident is open."""
        return self.data.state in OPEN

    @property
    def is_account(self) -> bool:
        """Whether the incident is about a single account."""
        return self.data.entity.kind == "account"

    @property
    def urgency(self) -> tuple[int, float, str]:
        """Sort key: the most severe first, then the newest."""
        return (-SEVERITIES.index(self.data.severity), -self.data.onset.timestamp(), self.alert_id)


@dataclasses.dataclass(frozen=True, slots=True)
class Bucket:
    """A scored bucket; ``written_at`` is when its status was written, in epoch milliseconds."""

    status: Status
    written_at: int

    @property
    def at(self) -> int:
        """Start of the bucket in epoch milliseconds."""
        return millis_of(self.status.bucket)

    @property
    def end(self) -> int:
        """End of the bucket in epoch milliseconds."""
        return millis_of(self.status.end)


class Sums(NamedTuple):
    """Numbers of events that arrived: counted requests, and events that were left out."""

    requests: int = 0
    late: int = 0
    invalid: int = 0
    failed: int = 0

    @classmethod
    def of(cls, *statuses: Status) -> Sums:
        """The sums over buckets."""
        return cls(
            sum(one.requests for one in statuses),
            sum(one.late for one in statuses),
            sum(one.invalid for one in statuses),
            sum(one.failed for one in statuses),
        )

    def share(self, count: int) -> float:
        """A share of all events that arrived, 0 to 1."""
        return count / sum(self) if sum(self) else 0.0


class ReadModel:
    """The newest state of everything that the page shows.

    `take_alert`, `take_decision` and `take_status` return the event for clients as a JSON-able object, or
    None for a repeat and for an unreadable record, which is skipped.

    Examples
    --------
    >>> read_model = ReadModel()
    >>> read_model.take_alert(b"{"), read_model.unreadable
    (None, 1)
    """

    def __init__(self) -> None:
        self.incidents: dict[str, Incident] = {}
        self._ended: dict[str, None] = {}
        self._lone: dict[str, None] = {}
        self.buckets: deque[Bucket] = deque(maxlen=MOST_BUCKETS)
        self.adoptions: dict[tuple[str, datetime], Adoption] = {}
        self.decisions: OrderedDict[str, Decision] = OrderedDict()
        self._history: deque[Decision] = deque(maxlen=MOST_DECISIONS)
        self.unreadable = 0

    @property
    def last(self) -> Bucket | None:
        """The bucket that was scored last; None before the first."""
        return self.buckets[-1] if self.buckets else None

    def shown(self) -> list[Incident]:
        """Incidents that were not merged into another one, the most severe first."""
        own = [one for one in self.incidents.values() if one.data.merged_into is None]
        return sorted(own, key=lambda one: one.urgency)

    def take_alert(self, value: bytes | None) -> dict[str, Any] | None:
        """Apply a record of ``alerts``."""
        try:
            alert = parse_alert(value or b"")
        except WrongUse as error:
            self._misread("alerts", error)
            try:
                alert = parse_without_evidence(value or b"")
            except WrongUse:
                return None
            value = encode(alert)
        data = msgspec.convert(alert.data, Summary, from_attributes=True)
        revision = Revision(
            data.revision, data.detected_at, data.transition or data.state, data.severity, data.state
        )
        alert_id = data.alert_id
        before = self.incidents.get(alert_id)
        if before is not None and before.revisions[-1].revision >= revision.revision:
            return None
        history = before.revisions if before else deque[Revision](maxlen=MOST_REVISIONS)
        history.append(revision)
        self._file(Incident(value or b"", data, history))
        opened = before is None or not before.is_open
        return {
            "alert_id": alert_id,
            "revision": revision.revision,
            "state": revision.state,
            "severity": revision.severity,
            "opened": opened and revision.state in OPEN,
            "title": visible(title_of(alert.data)),
        }

    def _file(self, incident: Incident) -> None:
        """Store an incident. Beyond the limit drop the oldest ended one, else the oldest single account."""
        alert_id = incident.alert_id
        self._remove(alert_id)
        self.incidents[alert_id] = incident
        if not incident.is_open:
            self._ended[alert_id] = None
        elif incident.is_account:
            self._lone[alert_id] = None
        if len(self.incidents) > MOST_INCIDENTS:
            self._remove(next(iter(self._ended or self._lone or self.incidents)))

    def _remove(self, alert_id: str) -> None:
        self.incidents.pop(alert_id, None)
        self._ended.pop(alert_id, None)
        self._lone.pop(alert_id, None)

    def take_decision(
        self,
        offset: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> dict[str, Any] | None:
        """Apply a record of ``decisions``."""
        try:
            read = parse_decision(key, value, headers)
        except BadEvent as error:
            self._misread("decisions", error)
            return None
        verdict, note = (read.verdict, read.note) if isinstance(read, contracts.Decision) else (None, None)
        target = read.target
        decision = Decision(offset, verdict, read.by or "", read.at, (note or "")[:MOST_TEXT], target)
        self.decisions[target] = decision
        self.decisions.move_to_end(target)
        self._history.append(decision)
        if len(self.decisions) > MOST_INCIDENTS:
            self.decisions.popitem(last=False)
        return {"target": visible(target), "verdict": decision.verdict, "by": visible(decision.by)}

    def about(self, incident: Incident) -> list[Decision]:
        """Decisions on an incident or one of its groups, the newest first."""
        found = [self.decisions[target] for target in _targets(incident) if target in self.decisions]
        return sorted(found, key=lambda decision: -decision.offset)

    def history(self, incident: Incident | None = None) -> list[Entry]:
        """Every decision, or those on an incident and its groups, the newest first.

        It goes back as far as the topic does, and to the newest `MOST_DECISIONS` at most.
        """
        targets = None if incident is None else _targets(incident)
        later: dict[str, Decision] = {}
        found = []
        for decision in reversed(self._history):
            if targets is None or decision.target in targets:
                found.append(Entry(decision, later.get(decision.target)))
                later[decision.target] = decision
        return found

    def take_status(self, value: bytes | None, written_at: int) -> dict[str, Any] | None:
        """Apply a record of ``status``."""
        try:
            status = parse_status(value or b"")
        except WrongUse as error:
            self._misread("status", error)
            return None
        bucket = Bucket(status, written_at)
        self._adopt(bucket)
        # A worker with reset state scores buckets again.
        while self.buckets and self.buckets[-1].at >= bucket.at:
            self.buckets.pop()
        self.buckets.append(bucket)
        return {"bucket": format_moment(status.bucket)}

    def _adopt(self, bucket: Bucket) -> None:
        """Extend the adoption of each watched release; drop releases that are no longer watched."""
        status, adoptions = bucket.status, {}
        for release in status.releases:
            key = release.model, release.released_at
            adoption = self.adoptions.get(key) or Adoption.of(release, status.bucket_ms)
            adoption.learning = release.learning
            while adoption.points and adoption.points[-1].at >= bucket.at:
                adoption.points.pop()
            adoption.points.append(Point.of(status, release))
            del adoption.points[:-MOST_BUCKETS]
            adoptions[key] = adoption
        self.adoptions = adoptions

    def sums(self, since: int) -> Sums:
        """Sums over all buckets since a time in epoch milliseconds."""
        recent = takewhile(lambda bucket: bucket.at >= since, reversed(self.buckets))
        return Sums.of(*(bucket.status for bucket in recent))

    def _misread(self, topic: str, why: BaseException) -> None:
        self.unreadable += 1
        logger.warning("skipped an unreadable record of %s: %s", topic, why)


def _targets(incident: Incident) -> set[str]:
    """What a decision on an incident may be about: the incident, its entity, and its groups."""
    groups = [incident.data.entity, *incident.data.groups]
    return {incident.alert_id, *(f"{group.kind}:{group.id}" for group in groups)}
