"""One incident: what is known of it, and its figures.

An incident is about one release and one group (or one account alone). Other incidents may be merged into it.
What happens to it over time is decided in `pivotwatch_models.incidents.lifecycle`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from pivotwatch_models.base.counts import Group, Traffic
from pivotwatch_models.groups.group_state import Sums
from pivotwatch_models.groups.move_shape import MoveShape
from pivotwatch_models.incidents.evidence import Evidence
from pivotwatch_models.incidents.pattern import Pattern
from pivotwatch_models.incidents.terms import Severity, State, Verdict
from pivotwatch_models.method import DECISION

ACCOUNT = "account"


@dataclasses.dataclass(slots=True)
class Finding:
    """An account that moved, found by Page-Hinkley on its share less everyone else's.

    Attributes
    ----------
    account, groups
        The account, and the groups that it was active in.
    since
        Bucket in which the move began.
    requests, chosen
        Its requests in the bucket of the finding, and those that chose the model.
    residual, usual_residual
        Its share of the model less everyone else's: in this bucket, and on average before.
    """

    account: str
    groups: tuple[Group, ...]
    since: int
    requests: int
    chosen: int
    residual: float
    usual_residual: float


@dataclasses.dataclass(slots=True)
class Incident:
    """One incident.

    Attributes
    ----------
    model, released_at, inferred
        The release.
    entity
        The group or account that it was opened for; fixed, and with it the id.
    groups
        All merged groups, the entity first.
    onset, opened
        Bucket in which the move began, and bucket that opened the incident.
    decided_by
        Fingerprint of the settings and constants under which it was opened; fixed. Empty when an earlier
        program opened it.
    members
        Accounts that moved: (bucket of the first event, whether young) of each.
    evidence
        Figures of each group.
    traffic, before
        Traffic of each group in its excursions, and before them during the watch.
    since
        For each group, the bucket in which that traffic begins.
    started
        Events (observed, expected) of each group in the watch before its present excursion.
    alerted
        Events of each group in its excursions that are over. Neither they nor those of the present excursion
        teach θ₀ (`pivotwatch_models.incidents.alerted_events`).
    base
        Events of the watch per group, first uses and switches, that are not the incident's.
    data_lag
        Whether data of one of the groups came late since the onset.
    suspect_network
        Whether one of the groups is a network that rents out machines or addresses.
    last_news
        Last bucket with an event of one of the groups.
    shape, pattern
        Splits and sizes of the members, and what the move looks like.
    reported_score, reported_members
        Score and number of members in the last alert; the next alert is sent when they have grown.
    """

    model: str
    released_at: int
    inferred: bool
    entity: Group
    onset: int
    opened: int
    decided_by: str = ""
    groups: list[Group] = dataclasses.field(default_factory=list)
    members: dict[str, tuple[int, bool]] = dataclasses.field(default_factory=dict)
    evidence: dict[Group, Evidence] = dataclasses.field(default_factory=dict)
    traffic: dict[Group, Traffic] = dataclasses.field(default_factory=dict)
    before: dict[Group, Traffic] = dataclasses.field(default_factory=dict)
    since: dict[Group, int] = dataclasses.field(default_factory=dict)
    findings: dict[str, Finding] = dataclasses.field(default_factory=dict)
    started: dict[Group, tuple[int, float]] = dataclasses.field(default_factory=dict)
    alerted: dict[Group, tuple[int, float]] = dataclasses.field(default_factory=dict)
    base: dict[Group, Sums] = dataclasses.field(default_factory=dict)
    state: State = "open"
    revision: int = 0
    severity: Severity = "info"
    verdict: Verdict | None = None
    merged_into: Group | None = None
    data_lag: bool = False
    suspect_network: bool = False
    last_news: int = 0
    reported_score: float = float("-inf")
    reported_members: int = 0
    shape: MoveShape = dataclasses.field(default_factory=MoveShape)
    pattern: Pattern = dataclasses.field(default_factory=Pattern)

    @property
    def alert_id(self) -> str:
        """Sixteen hex digits of the sha256 of model, kind, id, release and the fingerprint of what decides.

        Examples
        --------
        >>> Incident("m-2", 0, False, ("network", "AS1"), onset=3, opened=5, decided_by="0f").alert_id
        '557bb05c00eab25d'
        """
        # Ids of earlier programs had no fingerprint.
        decided_by = (self.decided_by,) if self.decided_by else ()
        text = "\x1f".join((self.model, *self.entity, str(self.released_at), *decided_by))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return self.state in ("open", "updated")

    @property
    def lone_account(self) -> bool:
        """Whether it is about one account alone."""
        return self.entity[0] == ACCOUNT

    @property
    def leading(self) -> Evidence:
        """Evidence of the group with the highest score."""
        return max(self.evidence.values(), key=lambda e: e.log_r, default=Evidence())

    @property
    def exchanges(self) -> int:
        """Requests to the model since the onset: groups of one kind add up, kinds count the same requests."""
        kinds: dict[str, int] = {}
        for (kind, _), traffic in self.traffic.items():
            kinds[kind] = kinds.get(kind, 0) + traffic.to_model
        return max(kinds.values(), default=0)

    @property
    def young_share(self) -> float:
        """Share of young accounts among the members."""
        return sum(young for _, young in self.members.values()) / max(1, len(self.members))

    @property
    def kinds(self) -> set[str]:
        """Kinds of the merged groups."""
        return {kind for kind, _ in self.groups}

    def synchrony(self, bucket_ms: int) -> float:
        """Largest share of the members that moved within three hours, or one bucket if that is wider."""
        moves: dict[int, int] = {}
        for bucket, _ in self.members.values():
            moves[bucket] = moves.get(bucket, 0) + 1
        return largest_share(sorted(moves.items()), bucket_ms)

    def snapshot(self) -> dict[str, Any]:
        """State, JSON-able (mappings by group as lists of pairs, -inf as None)."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name in ("evidence", "traffic", "before"):
            fields[name] = [[group, dataclasses.astuple(value)] for group, value in fields[name].items()]
        for name in ("started", "alerted"):
            fields[name] = [[group, list(value)] for group, value in fields[name].items()]
        fields["since"] = [[group, bucket] for group, bucket in self.since.items()]
        fields["base"] = [[group, list(sums)] for group, sums in self.base.items()]
        fields["findings"] = [dataclasses.astuple(finding) for finding in self.findings.values()]
        fields["shape"], fields["pattern"] = self.shape.snapshot(), dataclasses.astuple(self.pattern)
        fields["reported_score"] = None if self.reported_score == float("-inf") else self.reported_score
        return fields

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Incident:
        """An incident that continues exactly where `snapshot` was taken."""
        fields = dict(state)
        fields["entity"] = tuple(fields["entity"])
        fields["groups"] = [tuple(group) for group in fields["groups"]]
        fields["members"] = {a: (bucket, young) for a, (bucket, young) in fields["members"].items()}
        fields["shape"], fields["pattern"] = MoveShape.restored(fields["shape"]), Pattern(*fields["pattern"])
        fields["merged_into"] = tuple(fields["merged_into"]) if fields["merged_into"] else None
        fields["reported_score"] = (
            float("-inf") if fields["reported_score"] is None else fields["reported_score"]
        )
        fields["evidence"] = {
            tuple(group): Evidence(log_r, theta, tuple(first), tuple(switch), *rest)
            for group, (log_r, theta, first, switch, *rest) in fields["evidence"]
        }
        for name in ("traffic", "before"):
            fields[name] = {tuple(group): Traffic(*values) for group, values in fields[name]}
        fields["since"] = {tuple(group): bucket for group, bucket in fields["since"]}
        fields["base"] = {tuple(group): tuple(sums) for group, sums in fields["base"]}
        for name in ("started", "alerted"):
            fields[name] = {tuple(group): (seen, expected) for group, (seen, expected) in fields[name]}
        fields["findings"] = {
            row[0]: Finding(row[0], tuple(tuple(g) for g in row[1]), *row[2:]) for row in fields["findings"]
        }
        return cls(**fields)


def largest_share(moves: list[tuple[int, int]], bucket_ms: int) -> float:
    """Largest share of the moves that fall within three hours, or one bucket if that is wider.

    Parameters
    ----------
    moves
        (bucket, number of accounts that moved), in the order of buckets.
    bucket_ms
        Width of a bucket.

    Examples
    --------
    8 of 10 accounts moved in buckets 1 and 2:

    >>> from pivotwatch_models.settings import HOUR_MS
    >>> largest_share([(1, 5), (2, 3), (9, 2)], HOUR_MS)
    0.8
    """
    width = max(1, DECISION.figures.synchrony_ms // bucket_ms)
    total = sum(count for _, count in moves)
    most = inside = first = 0
    for bucket, count in moves:
        inside += count
        while moves[first][0] <= bucket - width:
            inside -= moves[first][1]
            first += 1
        most = max(most, inside)
    return most / total if total else 0.0
