"""The life of incidents during one watch: opened, merged, updated, resolved, suppressed, opened again.

Every step of that life returns a `Transition` with its reason by name, so that a person can see why
an alert was sent, and a test can ask for it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

from pivotwatch_models.base.counts import NO_TRAFFIC, Block, Group, ModelCounts, Traffic
from pivotwatch_models.groups.group_state import GroupState, Sums
from pivotwatch_models.incidents.incident import ACCOUNT, Evidence, Finding, Incident
from pivotwatch_models.incidents.pattern import pattern
from pivotwatch_models.incidents.terms import State, Verdict
from pivotwatch_models.release_watch import ReleaseWatch
from pivotwatch_models.settings import DAY_MS, HOUR_MS, Settings

Reason = Literal[
    "opened",
    "reopened",
    "merged",
    "evidence-grew",
    "members-doubled",
    "severity-rose",
    "confirmed",
    "quiet",
    "watch-ended",
    "benign",
    "verified",
]

NEWS_LOG_R = 2.3
MERGE_MS = 6 * HOUR_MS
MERGE_SHARE = 0.3
QUIET_MS = DAY_MS
SUPPRESSING = ("benign", "verified")


@dataclasses.dataclass(frozen=True, slots=True)
class Transition:
    """An incident passed into a state, and why."""

    incident: Incident
    reason: Reason


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of groups and accounts beyond one release.

    Attributes
    ----------
    members_of
        Accounts seen in a group within 90 days.
    verdict_of
        The standing decision on a group or account, or None.
    late
        Whether a group's data were late between a bucket and now.
    suspect
        Whether a group is a network that rents out machines or addresses (hosting, proxy).
    quiet_share
        Share of a group's requests in the quietest eight hours of its day, or None.
    """

    members_of: Callable[[Group], int]
    verdict_of: Callable[[Group], str | None]
    late: Callable[[Group, int], bool]
    suspect: Callable[[Group], bool] = lambda _: False
    quiet_share: Callable[[Group], float | None] = lambda _: None


class Incidents:
    """All incidents of one watch.

    Parameters
    ----------
    watch
        The release's watch, whose crossings open incidents.
    settings
        Parameters of the method.
    """

    version = 1

    def __init__(self, watch: ReleaseWatch, settings: Settings) -> None:
        self.watch = watch
        self.settings = settings
        self.by_entity: dict[Group, Incident] = {}
        self.quiet = settings.buckets(QUIET_MS)

    def step(
        self, bucket: int, counts: ModelCounts | None, findings: Iterable[Finding], around: Surroundings
    ) -> list[Transition]:
        """What one scored bucket does to the incidents.

        Parameters
        ----------
        counts
            The bucket's counts of the model; None when nobody was active.
        findings
            Account findings of the bucket.
        around
            What is known of groups and accounts beyond this release.
        """
        if counts is not None:
            self._absorb(bucket, counts)
        news: dict[Group, Reason] = {}
        for group in self.watch.naming.named():
            if (
                around.members_of(group) >= self.settings.min_members
                and around.verdict_of(group) not in SUPPRESSING
            ):
                self._cross(bucket, group, news)
        self._merge(bucket, news)
        for finding in findings:
            if around.verdict_of((ACCOUNT, finding.account)) not in SUPPRESSING:
                self._find(bucket, finding, news)
        for incident in self.open():
            incident.data_lag = incident.data_lag or any(
                around.late(g, incident.onset) for g in incident.groups
            )
            incident.suspect_network = any(around.suspect(g) for g in incident.groups)
            incident.pattern = pattern(incident.shape, self.watch.shape, around.quiet_share(incident.entity))
            self._update(incident, news)
            self._resolve_quiet(bucket, incident, news)
        return self._told(news)

    def open(self) -> list[Incident]:
        """Incidents that go on, in the order in which they were opened."""
        going = (i for i in self.by_entity.values() if i.is_open)
        return sorted(going, key=lambda i: (i.opened, i.entity))

    def decide(self, entity: Group, verdict: Verdict | None, alert_id: str | None = None) -> list[Transition]:
        """Apply a person's decision on a group, an account or (by ``alert_id``) one incident; None lifts it.

        A resolved incident takes it without a word: what it is called decides what its group is taught.
        """
        news: dict[Group, Reason] = {}
        for incident in self.by_entity.values():
            meant = entity == incident.entity or (verdict == "verified" and entity in incident.groups)
            if not meant or alert_id not in (None, incident.alert_id):
                continue
            incident.verdict = verdict
            if not incident.is_open or verdict is None:
                continue
            if verdict in SUPPRESSING:
                self._close(incident, "suppressed")
                news[incident.entity] = "benign" if verdict == "benign" else "verified"
            else:
                news[incident.entity] = "confirmed"
        return self._told(news)

    def end(self) -> list[Transition]:
        """The watch is over: everything that goes on is resolved."""
        news: dict[Group, Reason] = {}
        for incident in self.open():
            self._close(incident, "resolved")
            news[incident.entity] = "watch-ended"
        return self._told(news)

    def excursions(self, group: Group) -> tuple[int, float]:
        """Events seen and expected in the group's alerted excursions, but for those judged benign."""
        seen, expected = 0, 0.0
        for incident in self.by_entity.values():
            # What was merged away lives on in its host.
            if incident.verdict != "benign" and incident.merged_into is None:
                past = incident.alerted.get(group, (0, 0.0))
                present = self._present(incident, group)
                seen += past[0] + present[0]
                expected += past[1] + present[1]
        return seen, expected

    def _present(self, incident: Incident, group: Group) -> tuple[int, float]:
        """Events seen and expected in the excursion that goes on."""
        state, start = self.watch.groups.get(group), incident.started.get(group)
        if state is None or start is None:
            return 0, 0.0
        return state.seen - start[0], state.expected - start[1]

    def _close(self, incident: Incident, into: State) -> None:
        """End an incident, and what is counted of it."""
        for group in list(incident.started):
            past, present = incident.alerted.get(group, (0, 0.0)), self._present(incident, group)
            incident.alerted[group] = past[0] + present[0], past[1] + present[1]
        incident.started = {}
        incident.state = into

    def _absorb(self, bucket: int, counts: ModelCounts) -> None:
        """Take the bucket's movers and traffic into the open incidents of their groups."""
        holders: dict[Group, list[Incident]] = {}
        for incident in self.open():
            for group in incident.groups:
                holders.setdefault(group, []).append(incident)
        if not holders:
            return
        for mover in counts.movers:
            for incident in {id(i): i for g in mover.groups for i in holders.get(g, ())}.values():
                incident.members.setdefault(mover.account, (bucket, mover.young))
                incident.last_news = bucket
        for block in counts.blocks:
            for incident in {id(i): i for g in block.groups for i in holders.get(g, ())}.values():
                if any(self._is_alike(g, block) for g in block.groups if g in incident.groups):
                    incident.members.setdefault(block.account, (bucket, False))
                    incident.last_news = bucket
                if block.account in incident.members:
                    incident.shape.add(block)
        for group, traffic in zip(counts.groups, counts.traffic, strict=True):
            for incident in holders.get(group, ()):
                incident.traffic[group] = incident.traffic.get(group, NO_TRAFFIC) + traffic

    def _is_alike(self, group: Group, block: Block) -> bool:
        """Is a block evidence of the group's sameness?"""
        state = self.watch.groups.get(group)
        return state is not None and state.split.detector.flagged and state.split.holds(block)

    def _cross(self, bucket: int, group: Group, news: dict[Group, Reason]) -> None:
        if any(group in incident.groups for incident in self.open()):
            return
        if any(i.verdict in SUPPRESSING and group in i.groups for i in self.by_entity.values()):
            return
        state, known = self.watch.groups[group], self.by_entity.get(group)
        incident = known or Incident(
            self.watch.release.model,
            self.watch.release.released_at,
            self.watch.release.inferred,
            group,
            onset=state.began,
            opened=bucket,
        )
        news[group] = "reopened" if known else "opened"
        incident.state = "updated" if known else "open"
        incident.last_news, incident.merged_into = bucket, None
        if group not in incident.groups:
            incident.groups.append(group)
        for account, moved in state.members().items():
            incident.members.setdefault(account, moved)
        for _, block in state.split.recent:
            if block.account in incident.members:
                incident.shape.add(block)
        incident.traffic[group] = incident.traffic.get(group, NO_TRAFFIC) + state.excursion
        incident.since.setdefault(group, state.since)
        incident.before[group] = state.before
        state.series.held = True
        counted = state.counted()
        incident.started[group] = (
            state.seen - counted[0] - counted[2],
            state.expected - counted[1] - counted[3],
        )
        # What happened while it was resolved is none of its own, as with the members.
        known_sums = incident.evidence.get(group, Evidence()).sums
        incident.base[group] = _less(_less(state.totals(), counted), known_sums)
        self.by_entity[group] = incident

    def _merge(self, bucket: int, news: dict[Group, Reason]) -> None:
        """Fold incidents with near onsets and shared members into the one opened first."""
        kept: list[Incident] = []
        for incident in (i for i in self.open() if not i.lone_account):
            host = next((i for i in kept if self._belong_together(i, incident)), None)
            if host is None:
                kept.append(incident)
                continue
            _fold(host, incident)
            if news.pop(incident.entity, None) != "opened":
                news[incident.entity] = "merged"
            else:
                del self.by_entity[incident.entity]
            news.setdefault(host.entity, "merged")
        for lone in (i for i in self.open() if i.lone_account):
            host = next((i for i in kept if lone.entity[1] in i.members), None)
            if host is not None:
                host.findings.update(lone.findings)
                lone.state, lone.merged_into = "resolved", host.entity
                news[lone.entity] = "merged"

    def _belong_together(self, a: Incident, b: Incident) -> bool:
        if abs(a.onset - b.onset) * self.settings.bucket_ms > MERGE_MS:
            return False
        shared = len(a.members.keys() & b.members.keys())
        return shared >= MERGE_SHARE * max(1, min(len(a.members), len(b.members)))

    def _find(self, bucket: int, finding: Finding, news: dict[Group, Reason]) -> None:
        """An account finding goes to the incident that has the account, else it is one of its own."""
        for incident in self.open():
            inside = finding.account in incident.members or not set(incident.groups).isdisjoint(
                finding.groups
            )
            if inside and not incident.lone_account:
                incident.findings[finding.account] = finding
                return
        entity = (ACCOUNT, finding.account)
        known = self.by_entity.get(entity)
        if known is not None and (known.is_open or known.verdict in SUPPRESSING):
            return
        release = self.watch.release
        incident = known or Incident(
            release.model, release.released_at, release.inferred, entity, finding.since, bucket, [entity]
        )
        incident.state = "updated" if known else "open"
        incident.findings[finding.account] = finding
        incident.members.setdefault(finding.account, (finding.since, False))
        traffic = Traffic(finding.requests, finding.chosen, finding.chosen)
        incident.traffic[entity] = incident.traffic.get(entity, NO_TRAFFIC) + traffic
        incident.last_news = bucket
        self.by_entity[entity] = incident
        news[entity] = "reopened" if known else "opened"

    def _update(self, incident: Incident, news: dict[Group, Reason]) -> None:
        """Take the newest evidence; is there enough news for another alert?"""
        for group in incident.groups:
            if (state := self.watch.groups.get(group)) is not None:
                incident.evidence[group] = self._evidence(group, state, incident)
        severity = incident.grade()
        if incident.leading.log_r >= incident.told_log_r + NEWS_LOG_R and not incident.lone_account:
            news.setdefault(incident.entity, "evidence-grew")
        if len(incident.members) >= 2 * max(1, incident.told_members) and incident.told_members:
            news.setdefault(incident.entity, "members-doubled")
        if severity != incident.severity:
            incident.severity = severity
            news.setdefault(incident.entity, "severity-rose")

    def _evidence(self, group: Group, state: GroupState, incident: Incident) -> Evidence:
        before = incident.evidence.get(group, Evidence())
        # Not the detector's sums: it begins new ones whenever W was 0, while the members add up.
        if (base := incident.base.get(group)) is None:  # of an older program
            known = max(before.sums, state.counted(), key=lambda sums: sums[1] + sums[3])
            base = incident.base[group] = _less(state.totals(), known)
        sums = _less(state.totals(), base)
        first, switch = (sums[0], max(0.0, sums[1])), (sums[2], max(0.0, sums[3]))
        _, pooled = self.watch.naming.crossed(group)
        log_r = max(state.log_r, before.log_r)
        return Evidence(
            log_r,
            state.detector.theta,
            first,
            switch,
            before.adwin or state.second.rose_since(incident.onset),
            before.e_bh or (pooled and log_r < self.watch.threshold),
            _greatest(before.log_pace, state.detector.log_r),
            _greatest(before.log_split, state.split.detector.log_r),
        )

    def _resolve_quiet(self, bucket: int, incident: Incident, news: dict[Group, Reason]) -> None:
        states = [s for g in incident.groups if (s := self.watch.groups.get(g)) is not None]
        silent = all(s.detector.quiet for s in states) and bucket - incident.last_news >= self.quiet
        if not silent or incident.entity in news:
            return
        self._close(incident, "resolved")
        news[incident.entity] = "quiet"
        for group in incident.groups:
            if group in self.watch.groups:
                self.watch.watched.rearm(group)

    def _told(self, news: dict[Group, Reason]) -> list[Transition]:
        """Number the revisions and remember what was said."""
        transitions = []
        for entity, reason in sorted(news.items()):
            incident = self.by_entity[entity]
            incident.revision += 1
            incident.told_log_r, incident.told_members = incident.leading.log_r, len(incident.members)
            if incident.is_open and incident.revision > 1:
                incident.state = "updated"
            transitions.append(Transition(incident, reason))
        return transitions

    def snapshot(self) -> list[dict[str, Any]]:
        """State, JSON-able."""
        return [incident.snapshot() for incident in self.by_entity.values()]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Continue exactly where `snapshot` was taken."""
        incidents = [Incident.restored(fields) for fields in state]
        self.by_entity = {incident.entity: incident for incident in incidents}


def _less(a: Sums, b: Sums) -> Sums:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]


def _greatest(known: float | None, log_r: float) -> float | None:
    """The greater logarithm; None for nothing."""
    return known if log_r == -math.inf else log_r if known is None else max(known, log_r)


def _fold(host: Incident, other: Incident) -> None:
    """Fold ``other`` into ``host``; the host keeps its id."""
    host.groups.extend(group for group in other.groups if group not in host.groups)
    for account, moved in other.members.items():
        host.members[account] = min(moved, host.members.get(account, moved))
    host.evidence = other.evidence | host.evidence
    host.traffic = other.traffic | host.traffic
    host.before = other.before | host.before
    host.since = other.since | host.since
    host.started = other.started | host.started
    host.alerted = other.alerted | host.alerted
    host.base = other.base | host.base
    host.findings.update(other.findings)
    host.shape.fold(other.shape)
    host.onset = min(host.onset, other.onset)
    host.last_news = max(host.last_news, other.last_news)
    host.severity = host.grade()
    other.state, other.merged_into = "resolved", host.entity
