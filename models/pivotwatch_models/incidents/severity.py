"""How serious an incident is: info, medium, high or critical. The severity *low* is reserved."""

from __future__ import annotations

from pivotwatch_models.incidents.incident import Incident
from pivotwatch_models.incidents.terms import SEVERITIES, Severity
from pivotwatch_models.method import DECISION

_SEVERITY, _LEAST_BLOCKS = DECISION.severity, DECISION.pattern.least_blocks


def grade(incident: Incident) -> Severity:
    """Severity from the figures and the pattern; it never falls while the incident goes on.

    * *info*: one account alone.
    * *medium*: a group.
    * *high*: the pattern of extraction with at least 10 members; or a speed ratio of at least 10 with at
      least 20 members, and one of: ADWIN agrees (once the members' splits are known), half of the members
      are young, a network rents out machines or addresses. Never with the pattern of a roll-out, which is as
      fast and as coordinated as extraction, and never with signs of both.
    * *critical*: high, and at least 3 merged groups of one kind or 10,000 exchanges with the model. A network
      and a payment instrument of one owner are the same accounts, and no second witness.
    """
    severity: Severity = "info" if incident.lone_account else "medium"
    if not incident.lone_account and _is_high(incident):
        kinds = [kind for kind, _ in incident.groups]
        most = max(map(kinds.count, kinds), default=0)
        many = most >= _SEVERITY.critical_groups or incident.exchanges >= _SEVERITY.critical_exchanges
        severity = "critical" if many else "high"
    return max(severity, incident.severity, key=SEVERITIES.index)


def _is_high(incident: Incident) -> bool:
    pattern = incident.pattern
    if pattern.name == "roll-out" or pattern.contradictory:
        return False
    if pattern.name == "extraction" and len(incident.members) >= _SEVERITY.extraction_members:
        return True
    fast = incident.leading.hazard_ratio >= _SEVERITY.high_ratio
    strong = fast and len(incident.members) >= _SEVERITY.high_members
    adwin = any(evidence.adwin for evidence in incident.evidence.values())
    known = pattern.judged >= _LEAST_BLOCKS
    return strong and (
        (adwin and known) or incident.young_share >= _SEVERITY.high_young or incident.suspect_network
    )
