"""Incidents that belong together become one: near onsets and shared members."""

from __future__ import annotations

from collections.abc import MutableMapping

from pivotwatch_models.base.counts import Group
from pivotwatch_models.incidents.incident import Incident
from pivotwatch_models.incidents.severity import grade
from pivotwatch_models.incidents.transition import Reason
from pivotwatch_models.method import DECISION

_MERGING = DECISION.merging


def merge(
    going: list[Incident],
    by_entity: MutableMapping[Group, Incident],
    news: MutableMapping[Group, Reason],
    bucket_ms: int,
) -> None:
    """Fold incidents that belong together into the one that was opened first.

    Parameters
    ----------
    going
        Open incidents, in the order in which they were opened.
    by_entity
        All incidents. One that opened in this bucket and is merged at once is removed: nobody was told of it.
    news
        Reasons to send an alert in this bucket; merges are added.
    bucket_ms
        Width of a bucket.
    """
    hosts: list[Incident] = []
    having: dict[
        str, list[int]
    ] = {}  # Account to its hosts: only those can belong together with an incident.
    for incident in (i for i in going if not i.lone_account):
        near = sorted({number for account in incident.members for number in having.get(account, ())})
        own = next((n for n in near if belong_together(hosts[n], incident, bucket_ms)), None)
        if own is None:
            own = len(hosts)
            hosts.append(incident)
        else:
            _fold(hosts[own], incident)
        for account in incident.members:
            if own not in (known := having.setdefault(account, [])):
                known.append(own)
        host = hosts[own]
        if host is incident:
            continue
        if news.pop(incident.entity, None) != "opened":
            news[incident.entity] = "merged"
        else:
            del by_entity[incident.entity]
        news.setdefault(host.entity, "merged")
    for lone in (i for i in going if i.lone_account):
        if numbers := having.get(lone.entity[1]):
            host = hosts[min(numbers)]
            host.findings.update(lone.findings)
            lone.state, lone.merged_into = "resolved", host.entity
            news[lone.entity] = "merged"


def belong_together(a: Incident, b: Incident, bucket_ms: int) -> bool:
    """Whether onsets differ by at most six hours and 30 % of the smaller side's members are shared."""
    if abs(a.onset - b.onset) * bucket_ms > _MERGING.onset_ms:
        return False
    shared = len(a.members.keys() & b.members.keys())
    return shared >= _MERGING.shared_members * max(1, min(len(a.members), len(b.members)))


def _fold(host: Incident, other: Incident) -> None:
    """Fold ``other`` into ``host``; the host keeps its id and its own figures where both have some."""
    known = set(host.groups)
    host.groups.extend(group for group in other.groups if group not in known)
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
    host.severity = grade(host)
    other.state, other.merged_into = "resolved", host.entity
