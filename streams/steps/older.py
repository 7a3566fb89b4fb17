"""State of the networks step as version 2 wrote it, brought into the form of today."""

from __future__ import annotations

from typing import Any


def global_state(state: dict[str, Any]) -> dict[str, Any]:
    """What is not of a group: an incident did not know which events of the watch are none of its own."""
    for _, incidents in state["watches"]:
        for incident in incidents:
            incident["base"] = []
    return state


def group_state(state: list[Any]) -> list[Any]:
    """A group during a watch: first uses are counted apart from now on.

    Examples
    --------
    >>> group_state(["models", "onset", "moves", "traffic", [3, 7, 2.5, 9], "begun"])[4]
    [3, 7, 2.5, 9, 0, 0.0]
    """
    models, onset, moves, traffic, totals, begun = state
    return [models, onset, moves, traffic, [*totals, 0, 0.0], begun]
