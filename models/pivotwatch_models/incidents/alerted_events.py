"""Events of alerted excursions: they do not teach a group's normal limit θ₀.

When a watch ends, the events of each group teach what is normal for it
(`pivotwatch_models.groups.learnt_theta`). Events of an incident that nobody judged benign are taken off
first, so that a campaign does not teach its own pace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pivotwatch_models.base.counts import Group
from pivotwatch_models.groups.group_state import GroupState
from pivotwatch_models.incidents.incident import Incident

Events = tuple[int, float]
"""Events seen and expected, both types together."""


def alerted_events(incidents: Iterable[Incident], group: Group, states: Mapping[Group, GroupState]) -> Events:
    """Events of the group in all alerted excursions that were not judged benign.

    An incident that was merged away is left out: its events live on in its host.
    """
    seen, expected = 0, 0.0
    for incident in incidents:
        if incident.verdict != "benign" and incident.merged_into is None:
            for own in (incident.alerted.get(group, (0, 0.0)), _present(incident, group, states)):
                seen += own[0]
                expected += own[1]
    return seen, expected


def end_excursions(incident: Incident, states: Mapping[Group, GroupState]) -> None:
    """Add the present excursions of an incident that closes to its alerted events."""
    for group in list(incident.started):
        past, present = incident.alerted.get(group, (0, 0.0)), _present(incident, group, states)
        incident.alerted[group] = past[0] + present[0], past[1] + present[1]
    incident.started = {}


def _present(incident: Incident, group: Group, states: Mapping[Group, GroupState]) -> Events:
    """Events in the excursion that goes on."""
    state, start = states.get(group), incident.started.get(group)
    if state is None or start is None:
        return 0, 0.0
    return state.seen - start[0], state.expected - start[1]
