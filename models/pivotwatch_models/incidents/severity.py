"""How serious an incident is: info, medium, high or critical. The severity *low* is reserved."""

from __future__ import annotations

from pivotwatch_models.incidents.incident import ACCOUNT, Incident
from pivotwatch_models.incidents.terms import SEVERITIES, Severity
from pivotwatch_models.method import DECISION

_SEVERITY, _LEAST_BLOCKS = DECISION.severity, DECISION.pattern.least_blocks


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
        many = (
            len(incident.groups) >= _SEVERITY.critical_groups
            or incident.exchanges >= _SEVERITY.critical_exchanges
        )
        severity = "critical" if many and not incident.pattern.contradictory else "high"
    return max(severity, incident.severity, key=SEVERITIES.index)


def _is_high(incident: Incident) -> bool:
    pattern = incident.pattern
    if pattern.name == "roll-out":
        return False
    if pattern.name == "extraction" and len(incident.members) >= _SEVERITY.extraction_members:
        return True
    fast = incident.leading.hazard_ratio >= _SEVERITY.high_ratio
    strong = fast and len(incident.members) >= _SEVERITY.high_members
    adwin = any(evidence.adwin for evidence in incident.evidence.values())
    corroborated = len(incident.kinds - {ACCOUNT}) > 1 or adwin
    known = pattern.judged >= _LEAST_BLOCKS
    return strong and (
        (corroborated and known) or incident.young_share >= _SEVERITY.high_young or incident.suspect_network
    )
