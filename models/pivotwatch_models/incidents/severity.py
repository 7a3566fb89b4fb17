"""How serious an incident is: info, low, medium, high or critical."""

from __future__ import annotations

from pivotwatch_models.groups.move_shape import LEAST_SPLITS
from pivotwatch_models.incidents.incident import ACCOUNT, Incident
from pivotwatch_models.incidents.terms import SEVERITIES, Severity

HIGH_RATIO, HIGH_MEMBERS, HIGH_YOUNG = 10.0, 20, 0.5
EXTRACTION_MEMBERS = 10
CRITICAL_GROUPS, CRITICAL_EXCHANGES = 3, 10_000


def grade(incident: Incident) -> Severity:
    """Severity from the figures and the pattern; it never falls while the incident goes on.

    * *info*: one account alone.
    * *medium*: a group.
    * *high*: the pattern of extraction with at least 10 members; or a speed ratio of at least 10 with at
      least 20 members, and one of: a second kind of group or ADWIN agrees (once the members' splits are
      known), half of the members are young, a network rents out machines or addresses. Never with the
      pattern of a roll-out: a company's roll-out is as fast and as coordinated as extraction.
    * *critical*: high, and at least 3 merged groups or 10,000 exchanges with the model. Never when signs of
      both a roll-out and extraction are there.
    """
    severity: Severity = "info" if incident.lone_account else "medium"
    if not incident.lone_account and _is_high(incident):
        many = len(incident.groups) >= CRITICAL_GROUPS or incident.exchanges >= CRITICAL_EXCHANGES
        severity = "critical" if many and not incident.pattern.contradictory else "high"
    return max(severity, incident.severity, key=SEVERITIES.index)


def _is_high(incident: Incident) -> bool:
    pattern = incident.pattern
    if pattern.name == "roll-out":
        return False
    if pattern.name == "extraction" and len(incident.members) >= EXTRACTION_MEMBERS:
        return True
    strong = incident.leading.hazard_ratio >= HIGH_RATIO and len(incident.members) >= HIGH_MEMBERS
    adwin = any(evidence.adwin for evidence in incident.evidence.values())
    corroborated = len(incident.kinds - {ACCOUNT}) > 1 or adwin
    known = pattern.judged >= LEAST_SPLITS
    return strong and (
        (corroborated and known) or incident.young_share >= HIGH_YOUNG or incident.suspect_network
    )
