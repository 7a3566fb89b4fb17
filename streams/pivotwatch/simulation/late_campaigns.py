"""Campaigns that begin long after a release, or that move to a model which was never released."""

from __future__ import annotations

import dataclasses

from pivotwatch.simulation.adoption import NEVER
from pivotwatch.simulation.campaigns import CampaignPlan, run_plan
from pivotwatch.simulation.catalogue import MODELS
from pivotwatch.simulation.rhythm import DAY, HOUR
from pivotwatch.simulation.scenario_setup import Setup
from pivotwatch.simulation.world import Kind

NETWORKS = 20
_UNRELEASED = MODELS.index("k-2")


def late_plan(days: float, *, spread: bool = False) -> CampaignPlan:
    """The plan of a campaign that begins so many days after the release.

    Parameters
    ----------
    spread
        Whether it is spread over 20 networks with honest accounts; else it has one.
    """
    where = f"{NETWORKS} networks" if spread else "one network"
    plan = CampaignPlan(
        "late-spread" if spread else "late",
        "late",
        f"{where}, from day {days:g} on",
        300 if spread else 150,
        starts=24 * days,
    )
    if not spread:
        return plan
    kinds = (Kind.HOSTING, Kind.PROXY, Kind.PROVIDER)
    return dataclasses.replace(plan, networks=NETWORKS, kinds=kinds, honest=0.4)


def run_late(setup: Setup, days: float, *, spread: bool = False, new: bool = False) -> None:
    """Add a campaign that begins so many days after the release.

    Parameters
    ----------
    new
        Whether its accounts sign up shortly before they move; else they are as old as others.
    """
    campaign = run_plan(setup, late_plan(days, spread=spread))
    if not new:
        return
    accounts, rows = setup.world.accounts, campaign.rows
    first = accounts["adopts"][rows] - setup.rng.integers(0, DAY // 2, len(rows))
    accounts["first"][rows] = first
    accounts["created"][rows] = first - setup.rng.integers(0, HOUR, len(rows))


def move_to_unreleased(setup: Setup, *, spread: bool = False) -> None:
    """Add a campaign that moves to an old model on day 5. Nothing is released, and nobody else moves."""
    setup.timeline = dataclasses.replace(setup.timeline, target=_UNRELEASED)
    accounts = setup.world.accounts
    accounts["adopts"] = accounts["tries"] = NEVER
    campaign = run_plan(setup, late_plan(5.0, spread=spread))
    setup.world.accounts["primary_share"][campaign.rows] = 1.0
