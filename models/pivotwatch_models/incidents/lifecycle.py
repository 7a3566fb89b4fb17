"""The life of incidents during one watch: opened, merged, updated, resolved, suppressed, opened again.

Every step returns `Transition` objects with their reasons by name, so that a person can see why an alert
was sent, and a test can ask for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pivotwatch_models.base.counts import NO_TRAFFIC, Block, Group, ModelCounts
from pivotwatch_models.fingerprint import decision_fingerprint
from pivotwatch_models.incidents.alerted_events import alerted_events, end_excursions
from pivotwatch_models.incidents.evidence import Evidence, newest, older_base_of
from pivotwatch_models.incidents.incident import ACCOUNT, Finding, Incident
from pivotwatch_models.incidents.merging import merge
from pivotwatch_models.incidents.opening import open_for_account, open_for_group
from pivotwatch_models.incidents.pattern import pattern
from pivotwatch_models.incidents.severity import grade
from pivotwatch_models.incidents.terms import Severity, State, Verdict
from pivotwatch_models.incidents.transition import Reason, Reported, Transition
from pivotwatch_models.method import DECISION
from pivotwatch_models.release_watch import ReleaseWatch
from pivotwatch_models.settings import Settings

_NEWS = DECISION.news
SUPPRESSING = ("benign", "verified")


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of groups and accounts beyond one release.

    Attributes
    ----------
    members_of
        Accounts seen in a group within 90 days.
    verdict_of
        The standing decision on a group or account; None without one.
    late
        Whether a group's data were late between a bucket and now.
    suspect
        Whether a group is a network that rents out machines or addresses (hosting, proxy).
    quiet_share
        Share of a group's requests in the quietest eight hours of its day; None when it is not known.
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
        The release's watch, whose reported groups open incidents.
    settings
        Parameters of the method.

    Attributes
    ----------
    by_entity
        Every incident of the watch, by the group or account that it was opened for.
    """

    def __init__(self, watch: ReleaseWatch, settings: Settings) -> None:
        self.watch = watch
        self.settings = settings
        self.by_entity: dict[Group, Incident] = {}
        self.fingerprint = decision_fingerprint(settings)
        self.quiet = settings.buckets(_NEWS.quiet_ms)

    def step(
        self, bucket: int, counts: Iterable[ModelCounts], findings: Iterable[Finding], around: Surroundings
    ) -> list[Transition]:
        """Take one scored bucket; returns the transitions, by entity.

        Parameters
        ----------
        counts
            Counts of the model: what came late of earlier buckets, then the bucket's own, if anybody was
            active in it.
        findings
            Account findings of the bucket.
        around
            What is known of groups and accounts beyond this release.
        """
        for some in counts:
            self._absorb(bucket, some)
        severities = {entity: incident.severity for entity, incident in self.by_entity.items()}
        news: dict[Group, Reason] = {}
        taken = self._taken()
        for group in self.watch.report_rule.reported():
            if (
                group not in taken
                and around.members_of(group) >= self.settings.min_members
                and around.verdict_of(group) not in SUPPRESSING
            ):
                taken |= self._open_group(bucket, group, news)
        merge(self.open(), self.by_entity, news, self.settings.bucket_ms)
        of_groups = [incident for incident in self.open() if not incident.lone_account]
        holders = _first_holders(of_groups)
        for finding in findings:
            if around.verdict_of((ACCOUNT, finding.account)) not in SUPPRESSING:
                inside = ((ACCOUNT, finding.account), *finding.groups)
                first = min((holders[each] for each in inside if each in holders), default=None)
                if first is not None:
                    of_groups[first].findings[finding.account] = finding
                else:
                    self._open_account(bucket, finding, news)
        for incident in self.open():
            incident.data_lag = incident.data_lag or any(
                around.late(g, incident.onset) for g in incident.groups
            )
            incident.suspect_network = any(around.suspect(g) for g in incident.groups)
            incident.pattern = pattern(incident.shape, self.watch.shape, around.quiet_share(incident.entity))
            self._update(incident, news)
            self._resolve_quiet(bucket, incident, news)
        return self._transitions(news, severities)

    def open(self) -> list[Incident]:
        """Incidents that go on, in the order in which they were opened."""
        going = (i for i in self.by_entity.values() if i.is_open)
        return sorted(going, key=lambda i: (i.opened, i.entity))

    def decide(self, entity: Group, verdict: Verdict | None, alert_id: str | None = None) -> list[Transition]:
        """Apply a person's decision on a group, an account or (by ``alert_id``) one incident; None lifts it.

        A resolved incident takes the verdict without a transition: the verdict decides what its group
        teaches (`alerted_events`).
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
        return self._transitions(news)

    def end(self) -> list[Transition]:
        """Resolve everything that goes on: the watch is over."""
        news: dict[Group, Reason] = {}
        for incident in self.open():
            self._close(incident, "resolved")
            news[incident.entity] = "watch-ended"
        return self._transitions(news)

    def alerted_events(self, group: Group) -> tuple[int, float]:
        """Events seen and expected in the group's alerted excursions that were not judged benign."""
        return alerted_events(self.by_entity.values(), group, self.watch.groups)

    def _close(self, incident: Incident, into: State) -> None:
        end_excursions(incident, self.watch.groups)
        incident.state = into

    def _absorb(self, bucket: int, counts: ModelCounts) -> None:
        """Take the bucket's movers, blocks and traffic into the open incidents of their groups."""
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
        """Whether a block is evidence that the group's accounts split their traffic alike."""
        state = self.watch.groups.get(group)
        return state is not None and state.split.detector.flagged and state.split.is_evidence(block)

    def _taken(self) -> set[Group]:
        """The groups for which no incident opens: an open one has them, or a person suppressed one."""
        holding = (i for i in self.by_entity.values() if i.is_open or i.verdict in SUPPRESSING)
        return {group for incident in holding for group in incident.groups}

    def _open_group(self, bucket: int, group: Group, news: dict[Group, Reason]) -> set[Group]:
        """Open an incident for a reported group; returns its groups."""
        known = self.by_entity.get(group)
        self.by_entity[group] = opened = open_for_group(self.watch, bucket, group, known, self.fingerprint)
        news[group] = "reopened" if known else "opened"
        return set(opened.groups)

    def groups(self) -> set[Group]:
        """The groups of all incidents."""
        return {group for incident in self.by_entity.values() for group in incident.groups}

    def _open_account(self, bucket: int, finding: Finding, news: dict[Group, Reason]) -> None:
        """Open an incident for an account finding that no incident has, or whose group none has."""
        entity = (ACCOUNT, finding.account)
        known = self.by_entity.get(entity)
        if known is not None and (known.is_open or known.verdict in SUPPRESSING):
            return
        self.by_entity[entity] = open_for_account(
            self.watch.release, bucket, finding, known, self.fingerprint
        )
        news[entity] = "reopened" if known else "opened"

    def _update(self, incident: Incident, news: dict[Group, Reason]) -> None:
        """Take the newest evidence, and note whether there is enough news for another alert."""
        for group in incident.groups:
            if (state := self.watch.groups.get(group)) is not None:
                before = incident.evidence.get(group, Evidence())
                if group not in incident.base:
                    incident.base[group] = older_base_of(state, before)
                base = incident.base[group]
                incident.evidence[group] = newest(self.watch, group, before, base, incident.onset)
        severity = grade(incident)
        if (
            incident.leading.log_r >= incident.reported_score + _NEWS.score_growth
            and not incident.lone_account
        ):
            news.setdefault(incident.entity, "evidence-grew")
        many = _NEWS.member_growth * max(1, incident.reported_members)
        if len(incident.members) >= many and incident.reported_members:
            news.setdefault(incident.entity, "members-doubled")
        if severity != incident.severity:
            incident.severity = severity
            news.setdefault(incident.entity, "severity-rose")

    def _resolve_quiet(self, bucket: int, incident: Incident, news: dict[Group, Reason]) -> None:
        """Resolve an incident whose detectors are quiet and which had no news for a day."""
        states = [s for g in incident.groups if (s := self.watch.groups.get(g)) is not None]
        silent = all(s.detector.quiet for s in states) and bucket - incident.last_news >= self.quiet
        if not silent or incident.entity in news:
            return
        self._close(incident, "resolved")
        news[incident.entity] = "quiet"
        for group in incident.groups:
            if group in self.watch.groups:
                self.watch.watched.restart(group)

    def _transitions(
        self, news: dict[Group, Reason], severities: dict[Group, Severity] | None = None
    ) -> list[Transition]:
        """Number the revisions and remember what is reported, so that the next alert needs new news.

        Parameters
        ----------
        severities
            Severities that the last alerts reported, where this step may have changed them.
        """
        transitions = []
        for entity, reason in sorted(news.items()):
            incident = self.by_entity[entity]
            before = None
            if incident.revision:
                severity = (severities or {}).get(entity, incident.severity)
                before = Reported(severity, incident.reported_members, incident.reported_score)
            incident.revision += 1
            incident.reported_score, incident.reported_members = incident.leading.log_r, len(incident.members)
            if incident.is_open and incident.revision > 1:
                incident.state = "updated"
            transitions.append(Transition(incident, reason, before))
        return transitions

    def snapshot(self) -> list[dict[str, Any]]:
        """State, JSON-able."""
        return [incident.snapshot() for incident in self.by_entity.values()]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Continue exactly where `snapshot` was taken."""
        incidents = [Incident.restored(fields) for fields in state]
        self.by_entity = {incident.entity: incident for incident in incidents}


def _first_holders(incidents: Sequence[Incident]) -> dict[Group, int]:
    """For every group, and every member as an account, the first incident that has it."""
    found: dict[Group, int] = {}
    for number, incident in enumerate(incidents):
        for group in (*incident.groups, *((ACCOUNT, account) for account in incident.members)):
            found.setdefault(group, number)
    return found
