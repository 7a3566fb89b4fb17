"""Events at an honest provider that a detector must not mistake for a campaign."""

from __future__ import annotations

import dataclasses

import numpy as np

from pivotwatch.simulation.adoption import NEVER
from pivotwatch.simulation.catalogue import ALIAS, MODELS
from pivotwatch.simulation.rhythm import DAY, HOUR
from pivotwatch.simulation.scenario_setup import Lookalike, Setup
from pivotwatch.simulation.world import Delay, Kind, draw_accounts


def upgrade_alias(setup: Setup, *, named: bool = True) -> None:
    """Most accounts request the alias, which resolves to the new model from the release on.

    Parameters
    ----------
    named
        Whether events contain the alias (``requested_model``).
    """
    accounts = setup.world.accounts
    users = setup.rng.random(len(accounts)) < 0.6
    accounts["alias"] = np.where(users, 0.9, 0.0)
    setup.timeline = dataclasses.replace(setup.timeline, alias_moves=setup.world.release, alias_named=named)
    setup.add_population_event("alias-upgrade", setup.world.release, None, alias=ALIAS)


def outage(setup: Setup) -> None:
    """The most used old model is down for three hours; most of its requests fall back to the new one."""
    begin, end = setup.after(20), setup.after(23)
    setup.timeline = dataclasses.replace(setup.timeline, outage=(begin, end))
    setup.add_population_event("outage", begin, end, out=MODELS[0])


def withdrawal(setup: Setup) -> None:
    """The new model is withdrawn 36 hours after its release, and returns 36 hours later."""
    begin, end = setup.after(36), setup.after(72)
    setup.timeline = dataclasses.replace(setup.timeline, withdrawn=(begin, end))
    setup.add_population_event("withdrawal", begin, end)


def burst(setup: Setup) -> None:
    """Three networks of different kinds send eight times as many requests for six hours."""
    world = setup.world
    sizes = world.sizes()
    for number, kind in enumerate((Kind.PROVIDER, Kind.COMPANY, Kind.PROXY)):
        numbers = np.flatnonzero((world.kind == kind) & (sizes > 0))
        if not len(numbers):
            continue
        network = int(numbers[np.argsort(-sizes[numbers], kind="stable")[min(1, len(numbers) - 1)]])
        begin = setup.after(18 + 12 * number)
        rows = world.home(network)
        world.accounts["boost_from"][rows] = begin
        world.accounts["boost_until"][rows] = begin + 6 * HOUR
        world.accounts["boost"][rows] = 8.0
        setup.lookalikes.append(
            Lookalike("burst", "network", network, begin, 6.0, "more requests, no switch")
        )


def roaming(setup: Setup) -> None:
    """Nearly half of the accounts spend half of their hours in other networks, often in one of 5 proxies."""
    world, rng = setup.world, setup.rng
    accounts = world.accounts
    size = len(accounts)
    accounts["away"] = np.where(rng.random(size) < 0.45, 0.5, accounts["away"])
    shared = world.add_networks([Kind.PROXY] * 5, [0] * 5)
    through = rng.random((size, 3)) < 0.5
    accounts["roams"] = np.where(through, rng.choice(shared, (size, 3)), accounts["roams"])
    for network in shared:
        why = "accounts of many networks use it"
        setup.lookalikes.append(Lookalike("roaming", "network", network, world.release, 168.0, why))


def newcomers(setup: Setup) -> None:
    """The release attracts a third more accounts; most of them start with the new model.

    One network gets a whole class of new accounts within two days.
    """
    world, rng = setup.world, setup.rng
    crowd = max(24, round(0.3 * world.honest))
    school = setup.size(60)
    sizes = world.sizes()
    home = rng.choice(len(sizes), crowd + school, p=sizes / sizes.sum())
    providers = np.flatnonzero(world.kind == Kind.PROVIDER)
    place = int(providers[len(providers) // 2])
    home[crowd:] = place
    rows = draw_accounts(rng, home, world.kind, world.tz, begin=world.begin, end=world.end, mean_rate=12.0)
    arrival = rng.standard_exponential(crowd + school) * 2.0 * DAY
    arrival[crowd:] = rng.uniform(12 * HOUR, 60 * HOUR, school)
    rows["first"] = world.release + arrival.astype(np.int64)
    rows["created"] = rows["first"] - rng.integers(0, HOUR, crowd + school)
    rows["last"] = world.end
    begins_new = rng.random(crowd + school) < 0.6
    rows["adopts"] = np.where(begins_new, rows["first"], NEVER)
    rows["share"] = rng.beta(8.0, 1.5, crowd + school)
    world.add_accounts(rows)
    why = "a class signs up and begins with the new model"
    setup.lookalikes.append(Lookalike("newcomers", "network", place, setup.after(12), 48.0, why))


def late_delivery(setup: Setup) -> None:
    """From 12 hours before the release, events of one large network are delivered three to six hours late."""
    world = setup.world
    network = int(np.argsort(-world.sizes(), kind="stable")[1])
    since, until = setup.after(-12), setup.after(48)
    world.delays.append(Delay(network, 3 * HOUR, 6 * HOUR, since, until))
    why = "its events are delivered three to six hours late"
    setup.lookalikes.append(Lookalike("late-delivery", "network", network, since, 60.0, why))
