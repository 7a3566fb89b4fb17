"""State of the networks step as versions 2 and 3 wrote it, brought into the form of today."""

from __future__ import annotations

from typing import Any

from pivotwatch_models.method import STATE


def global_state(state: dict[str, Any], version: int) -> dict[str, Any]:
    """What is not of a group.

    In version 2 an incident did not know which events of the watch are none of its own.
    """
    if version < 3:
        for _, incidents in state["watches"]:
            for incident in incidents:
                incident["base"] = []
    return state


def group_state(state: list[Any], version: int) -> list[Any]:
    """A group during a watch.

    In version 2 first uses were not counted apart. Up to version 3 the events of all accounts were summed
    since the onset, but not those of the accounts that are always there.

    Examples
    --------
    >>> detector = [[0.0] * 20, [4.5, 0.0], [6, 0], [0.5, 0.0], [3, 0], 2.0]
    >>> old = [[detector, "second"], "onset", "moves", "traffic", [3, 7, 2.5, 9], "begun"]
    >>> (detector, _), *_, totals, _ = group_state(old, version=2)
    >>> detector[2:4], totals
    ([[6, 0, 0, 0], [0.5, 0.0, 0.0, 0.0]], [3, 7, 2.5, 9, 0, 0.0])
    """
    (detector, *others), onset, moves, traffic, totals, begun = state
    if version < 3:
        totals = [*totals, 0, 0.0]
    log_r, cusum, seen, expected, since, theta = detector
    missing = len(log_r) // len(STATE.pace.multiples) - len(seen)
    detector = [log_r, cusum, [*seen, *[0] * missing], [*expected, *[0.0] * missing], since, theta]
    return [[detector, *others], onset, moves, traffic, totals, begun]
