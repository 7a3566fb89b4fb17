"""Migrates the shards of the scoring operator from versions 2 to 4 to the present form."""

from __future__ import annotations

from typing import Any

from pivotwatch_models.method import STATE


def global_state(state: dict[str, Any], version: int) -> dict[str, Any]:
    """The shard that is not of a group, in the present form.

    Version 2 did not store which events of a watch are older than an incident. Up to version 4 the fields had
    other names, and the id of an incident did not contain the fingerprint of the method. Such an incident
    keeps its id.
    """
    for watch, incidents in state["watches"]:
        if version < 3:
            for incident in incidents:
                incident["base"] = []
        if version < 5:
            _rename_watch(watch)
            for incident in incidents:
                _rename_incident(incident)
    return state


def _rename_watch(watch: dict[str, Any]) -> None:
    watch["population"] = {
        "hazards": watch.pop("clocks"),
        "newcomers": watch.pop("beginners"),
        "always_active": watch.pop("steady"),
        "recent": [],
    }
    watch["splits"], watch["shape"] = watch["splits"]


def _rename_incident(incident: dict[str, Any]) -> None:
    incident["reported_score"] = incident.pop("told_log_r")
    incident["reported_members"] = incident.pop("told_members")
    incident["decided_by"] = ""


def group_record(record: list[Any], version: int) -> list[Any]:
    """The record of a group in the present form. Up to version 4 it contained a request rate.

    Examples
    --------
    >>> group_record([7, 12.5, [0, 0.0, 0], -1, -1, "hours"], version=4)
    [7, [0, 0.0, 0], -1, -1, 'hours']
    """
    if version < 5:
        members, _, *rest = record
        return [members, *rest]
    return record


def group_state(state: list[Any], version: int) -> list[Any]:
    """The state of a group in a watch, in the present form.

    Version 2 did not count first uses separately. Up to version 3 the sums since the onset did not contain
    the events of the accounts that are always active.

    Examples
    --------
    >>> detector = [[0.0] * 20, [4.5, 0.0], [6, 0], [0.5, 0.0], [3, 0], 2.0]
    >>> old = [[detector, "adwin"], "onset", "moves", "traffic", [3, 7, 2.5, 9], "newcomers"]
    >>> (detector, _), *_, totals, _ = group_state(old, version=2)
    >>> detector[2:4], totals
    ([[6, 0, 0, 0], [0.5, 0.0, 0.0, 0.0]], [3, 7, 2.5, 9, 0, 0.0])
    """
    (detector, *others), onset, moves, traffic, totals, newcomers = state
    if version < 3:
        totals = [*totals, 0, 0.0]
    log_r, cusum, seen, expected, since, theta = detector
    missing = len(log_r) // len(STATE.pace.multiples) - len(seen)
    detector = [log_r, cusum, [*seen, *[0] * missing], [*expected, *[0.0] * missing], since, theta]
    return [[detector, *others], onset, moves, traffic, totals, newcomers]
