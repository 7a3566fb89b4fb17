"""The scenarios of campaigns that begin long after a release, or on a model without one."""

from __future__ import annotations

import functools

from pivotwatch.simulation import late_campaigns
from pivotwatch.simulation.late_campaigns import move_to_unreleased, run_late
from pivotwatch.simulation.scenario import Scenario


def _late(days: int, *, spread: bool, new: bool) -> Scenario:
    where = f"{late_campaigns.NETWORKS} networks" if spread else "one network"
    who = "new" if new else "old"
    return Scenario(
        f"late-{days}{'-new' if new else ''}{'-spread' if spread else ''}",
        f"from day {days} on, {who} accounts, {where}",
        f"A campaign of {who} accounts in {where} begins {days} days after the release.",
        "alert",
        functools.partial(run_late, days=days, spread=spread, new=new),
        days=days + 4.0,
    )


LATE_SCENARIOS = [
    *(_late(days, spread=spread, new=False) for days in (5, 20, 45) for spread in (False, True)),
    *(_late(20, spread=spread, new=True) for spread in (False, True)),
    Scenario(
        "no-release",
        "a model without a release, one network",
        "A campaign in one network moves to an old model on day 5. Nothing is released.",
        "alert",
        move_to_unreleased,
    ),
    Scenario(
        "no-release-spread",
        "a model without a release, 20 networks",
        "A campaign in 20 networks moves to an old model on day 5. Nothing is released.",
        "alert",
        functools.partial(move_to_unreleased, spread=True),
    ),
]
