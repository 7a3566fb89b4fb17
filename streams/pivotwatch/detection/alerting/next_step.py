"""What a person should do about an alert."""

from __future__ import annotations

from pivotwatch.contracts.alert_evidence import Evidence
from pivotwatch.contracts.alert_texts import group_name
from pivotwatch_models.incidents.transition import Transition
from pivotwatch_models.population.always_active import POPULATION


def next_step(transition: Transition, evidence: Evidence) -> str:
    """What a person should do, as the end of a sentence that begins with a label.

    The first rule that applies decides: the incident is closed, a person has confirmed it, its data are
    delayed, or else its pattern and severity.
    """
    incident, model = transition.incident, transition.incident.model
    who = group_name(*incident.entity)
    if incident.merged_into is not None:
        return f"none here. Continue with the incident of {group_name(*incident.merged_into)}."
    if incident.state == "suppressed":
        return "none. Take the decision back if it no longer holds."
    if transition.reason == "watch-ended":
        return (
            "if nobody has decided yet, decide now: a benign incident teaches what is normal for this group."
        )
    if incident.state == "resolved":
        return "none. The incident opens again if the group starts again."
    if incident.lone_account:
        return "none, unless accounts that share a network or a payment with it follow."
    if incident.entity[0] == POPULATION:
        return (
            f"find out what accounts that never pause and started using {model} since then have in common. "
            "pivotwatch counts them but cannot list them. Accounts of groups with an alert are not counted."
        )
    if incident.verdict == "confirmed":
        return "act by your own procedure, and watch whether the incident grows."
    if evidence.data_lag:
        return f"wait for the next update before you act, and find out who is behind {who} meanwhile."
    if incident.pattern.name == "roll-out":
        return f"ask the customer behind {who} about a roll-out. If there is one, decide benign or verified."
    if incident.pattern.name == "extraction" or incident.severity in ("high", "critical"):
        return (
            f"find out who is behind {who}. Without an honest cause, limit the rates of these accounts and "
            "confirm the incident."
        )
    return f"find out who is behind {who}, then decide: confirmed, benign or verified."
