"""Builds the alert of a transition: a CloudEvent with its evidence.

An alert depends only on the incident, the watch and the bucket, never on a clock. So the same transition
gives the same bytes, whenever and however often it is computed.
"""

from __future__ import annotations

import math

from pivotwatch.base.network_classes import SUSPECT, NetworkClass
from pivotwatch.contracts.alert_evidence import (
    BYTES_SHOWN,
    GROUPS_SHOWN,
    MEMBERS_SHOWN,
    Corroboration,
    Evidence,
    Finding,
    Hours,
    Pattern,
    Sizes,
    Split,
)
from pivotwatch.contracts.alerts import AlertData, Urls, alert_of
from pivotwatch.contracts.codec import encode, fitting, moment_of
from pivotwatch.contracts.entity import Entity
from pivotwatch.contracts.records import Output
from pivotwatch.detection.alerting.explanation import reasons
from pivotwatch.detection.alerting.timeline import profile, series
from pivotwatch_models.base.counts import Group
from pivotwatch_models.incidents.incident import Incident, largest_share
from pivotwatch_models.incidents.transition import Transition
from pivotwatch_models.release_watch import ReleaseWatch
from pivotwatch_models.settings import Settings

RUNBOOK = "/runbook"


class AlertBuilder:
    """Builds the alerts of the transitions of a watch.

    Parameters
    ----------
    settings
        Parameters of the method.
    network_class
        Returns the class of a network, or None when it is not known.
    """

    def __init__(self, settings: Settings, network_class: NetworkClass = lambda _: None) -> None:
        self.settings = settings
        self._network_class = network_class

    def output(self, bucket: int, transition: Transition, watch: ReleaseWatch) -> Output:
        """The alert of a transition that the scoring of ``bucket`` raised."""
        data = self._data(bucket, transition, watch)
        header = ("content-type", b"application/cloudevents+json")
        return Output("alerts", data.alert_id.encode(), encode(alert_of(data)), (header,))

    def _data(self, bucket: int, transition: Transition, watch: ReleaseWatch) -> AlertData:
        incident, width = transition.incident, self.settings.bucket_ms
        evidence = self.evidence(bucket, incident, watch)
        return AlertData(
            alert_id=incident.alert_id,
            revision=incident.revision,
            dedup_key=f"pivotwatch/{incident.alert_id}",
            state=incident.state,
            transition=transition.reason,
            severity=incident.severity,
            model=incident.model,
            entity=Entity(*incident.entity),
            groups=groups_shown(incident),
            groups_total=len(incident.groups),
            merged_into=Entity(*incident.merged_into) if incident.merged_into else None,
            released_at=moment_of(incident.released_at),
            release_inferred=incident.inferred,
            onset=moment_of(incident.onset * width),
            detected_at=moment_of((bucket + 1) * width),
            members=fitting(sorted(incident.members), MEMBERS_SHOWN, BYTES_SHOWN),
            members_total=len(incident.members),
            exchanges_to_model=incident.exchanges,
            evidence=evidence,
            reasons=reasons(transition, evidence, self.settings),
            urls=Urls(runbook=f"{RUNBOOK}#{transition.reason}", page=f"/incidents/{incident.alert_id}"),
        )

    def evidence(self, bucket: int, incident: Incident, watch: ReleaseWatch) -> Evidence:
        """The evidence: what was seen, what everyone else did, and how improbable the difference is."""
        leading, width = incident.leading, self.settings.bucket_ms
        entity = next((g for g, e in incident.evidence.items() if e is leading), incident.entity)
        # Both since the same bucket: traffic may be counted from before the onset.
        everyone, _ = watch.history.since(incident.since.get(entity, incident.onset))
        _, moves = watch.history.since(0)
        own = incident.traffic.get(entity)
        others = everyone - own if own else everyone
        before = incident.before.get(entity)
        return Evidence(
            baseline_share=rounded(before.share if before else None),
            observed_share=rounded(own.share if own else None),
            population_share=rounded(others.share),
            switches_seen=leading.switches[0],
            switches_expected=rounded(leading.switches[1]),
            first_uses_seen=leading.first_uses[0],
            first_uses_expected=rounded(leading.first_uses[1]),
            hazard_ratio=None if incident.lone_account else rounded(leading.hazard_ratio),
            log_e_value=rounded(leading.log_r),
            threshold=None if incident.lone_account else rounded(watch.threshold),
            log_e_pace=rounded(leading.log_pace),
            log_e_split=rounded(leading.log_split),
            pattern=_pattern(incident),
            e_bh=any(e.e_bh for e in incident.evidence.values()),
            theta=None if incident.lone_account else rounded(leading.theta),
            synchrony=rounded(incident.synchrony(width)),
            population_synchrony=rounded(largest_share([m for m in moves if m[1]], width)),
            corroboration=self._corroboration(incident),
            findings=fitting(
                (
                    Finding(account=f.account, since=moment_of(f.since * width), residual=rounded(f.residual))
                    for _, f in sorted(incident.findings.items())
                ),
                MEMBERS_SHOWN,
                BYTES_SHOWN,
            ),
            findings_total=len(incident.findings),
            verdict=incident.verdict,
            data_lag=incident.data_lag,
            learning=watch.learning,
            profile=profile(incident, entity, everyone),
            series=series(incident, entity, watch),
        )

    def _corroboration(self, incident: Incident) -> Corroboration:
        return Corroboration(
            adwin=any(e.adwin for e in incident.evidence.values()),
            shared_members=len(incident.kinds) > 1,
            young_share=rounded(incident.young_share),
            network_class=self._class_of(incident),
        )

    def _class_of(self, incident: Incident) -> str | None:
        """The class of the incident's networks; a suspect class comes before others."""
        found = [self._network_class(name) for kind, name in incident.groups if kind == "network"]
        known = sorted({one for one in found if one}, key=lambda one: (one not in SUSPECT, one))
        return known[0] if known else None


def groups_shown(incident: Incident) -> list[Entity]:
    """The groups that an alert lists: the entity, then those with the highest score, in order of merging."""
    evidence = incident.evidence

    def rank(group: Group) -> tuple[bool, float, Group]:
        return group != incident.entity, -evidence[group].log_r if group in evidence else math.inf, group

    shown = fitting((Entity(*g) for g in sorted(incident.groups, key=rank)), GROUPS_SHOWN, BYTES_SHOWN)
    kept = {(entity.kind, entity.id) for entity in shown}
    return [Entity(*group) for group in incident.groups if group in kept]


def rounded(value: float | None) -> float | None:
    """A figure with four digits after the point; None when it is infinite or missing.

    Examples
    --------
    >>> rounded(1.23456789), rounded(float("-inf")), rounded(None)
    (1.2346, None, None)
    """
    if value is None or not math.isfinite(value):
        return None
    return round(value, 4)


def _pattern(incident: Incident) -> Pattern | None:
    """What the change looks like; None for a single account."""
    if incident.lone_account:
        return None
    p = incident.pattern
    return Pattern(
        name=p.name,
        judged=p.judged,
        split=Split(
            sign=p.split,
            part=rounded(p.part),
            others_part=rounded(p.others_part),
            whole=rounded(p.whole),
        ),
        sizes=Sizes(sign=p.sizes, ratio=rounded(p.size_ratio)),
        hours=Hours(sign=p.hours, quiet_share=rounded(p.quiet_share)),
    )
