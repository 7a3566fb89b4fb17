"""Incidents that open, for the first time or again: for a reported group, or for a single account."""

from __future__ import annotations

from pivotwatch_models.base.counts import NO_TRAFFIC, Group, Traffic
from pivotwatch_models.incidents.evidence import Evidence, base_of
from pivotwatch_models.incidents.incident import ACCOUNT, Finding, Incident
from pivotwatch_models.release_calendar import Release
from pivotwatch_models.release_watch import ReleaseWatch


def open_for_group(
    watch: ReleaseWatch, bucket: int, group: Group, known: Incident | None, fingerprint: str
) -> Incident:
    """Open an incident for a reported group, or open ``known``, its earlier incident, again.

    Parameters
    ----------
    fingerprint
        Of what decides; part of the id of a new incident.
    """
    state = watch.groups[group]
    incident = known or _new(watch.release, group, state.began, bucket, fingerprint)
    _open(incident, bucket, again=known is not None)
    incident.merged_into = None
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
    state.timeline.incident_open = True
    first_seen, first_expected, switches_seen, switches_expected = state.excursion_events()
    incident.started[group] = (
        state.seen - first_seen - switches_seen,
        state.expected - first_expected - switches_expected,
    )
    incident.base[group] = base_of(state, incident.evidence.get(group, Evidence()))
    return incident


def open_for_account(
    release: Release, bucket: int, finding: Finding, known: Incident | None, fingerprint: str
) -> Incident:
    """Open an incident for an account finding, or open ``known``, the account's earlier incident, again."""
    entity = (ACCOUNT, finding.account)
    incident = known or _new(release, entity, finding.since, bucket, fingerprint)
    _open(incident, bucket, again=known is not None)
    if not incident.groups:
        incident.groups.append(entity)
    incident.findings[finding.account] = finding
    incident.members.setdefault(finding.account, (finding.since, False))
    traffic = Traffic(finding.requests, finding.chosen, finding.chosen)
    incident.traffic[entity] = incident.traffic.get(entity, NO_TRAFFIC) + traffic
    return incident


def _new(release: Release, entity: Group, onset: int, bucket: int, fingerprint: str) -> Incident:
    return Incident(
        release.model, release.released_at, release.inferred, entity, onset, bucket, decided_by=fingerprint
    )


def _open(incident: Incident, bucket: int, *, again: bool) -> None:
    incident.state = "updated" if again else "open"
    incident.last_news = bucket
