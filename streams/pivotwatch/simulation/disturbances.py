"""Things that happen at an honest provider and must not be taken for a campaign."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pivotwatch.simulation.adoption import NEVER
from pivotwatch.simulation.catalogue import ALIAS, MODELS, NEW
from pivotwatch.simulation.rhythm import DAY, HOUR, iso
from pivotwatch.simulation.stage import Honest, Stage
from pivotwatch.simulation.world import Delay, Kind, draw_accounts


def upgrade_alias(stage: Stage, *, named: bool = True) -> None:
    """Most accounts ask for the alias, and at the release it stands for the new model.

    Parameters
    ----------
    named
        Does the log say so (``requested_model``)?
    """
    accounts = stage.world.accounts
    users = stage.rng.random(len(accounts)) < 0.6
    accounts["alias"] = np.where(users, 0.9, 0.0)
    stage.timeline = dataclasses.replace(stage.timeline, alias_moves=stage.world.release, alias_named=named)
    _everybody(stage, "alias-upgrade", stage.world.release, None, alias=ALIAS)


def outage(stage: Stage) -> None:
    """The most used old model is out for three hours; most of its requests fall back to the new one."""
    begin, end = stage.after(20), stage.after(23)
    stage.timeline = dataclasses.replace(stage.timeline, outage=(begin, end))
    _everybody(stage, "outage", begin, end, out=MODELS[0])


def withdrawal(stage: Stage) -> None:
    """The new model is withdrawn a day and a half after its release and returns as long after that."""
    begin, end = stage.after(36), stage.after(72)
    stage.timeline = dataclasses.replace(stage.timeline, withdrawn=(begin, end))
    _everybody(stage, "withdrawal", begin, end)


def burst(stage: Stage) -> None:
    """Three networks of different kinds send eight times their requests for six hours."""
    world = stage.world
    sizes = world.sizes()
    for number, kind in enumerate((Kind.PROVIDER, Kind.COMPANY, Kind.PROXY)):
        numbers = np.flatnonzero((world.kind == kind) & (sizes > 0))
        if not len(numbers):
            continue
        network = int(numbers[np.argsort(-sizes[numbers], kind="stable")[min(1, len(numbers) - 1)]])
        begin = stage.after(18 + 12 * number)
        rows = world.home(network)
        world.accounts["boost_from"][rows] = begin
        world.accounts["boost_until"][rows] = begin + 6 * HOUR
        world.accounts["boost"][rows] = 8.0
        stage.honest.append(Honest("burst", "network", network, begin, 6.0, "more requests, no move"))


def roaming(stage: Stage) -> None:
    """Nearly every second account is elsewhere for half of its hours, often in one of a few proxies."""
    world, rng = stage.world, stage.rng
    accounts = world.accounts
    size = len(accounts)
    accounts["away"] = np.where(rng.random(size) < 0.45, 0.5, accounts["away"])
    shared = world.add_networks([Kind.PROXY] * 5, [0] * 5)
    through = rng.random((size, 3)) < 0.5
    accounts["roams"] = np.where(through, rng.choice(shared, (size, 3)), accounts["roams"])
    for network in shared:
        why = "accounts of everywhere pass through"
        stage.honest.append(Honest("roaming", "network", network, world.release, 168.0, why))


def newcomers(stage: Stage) -> None:
    """The release draws a crowd: a third more accounts, most of which start with the new model.

    One network gets a class of them within two days.
    """
    world, rng = stage.world, stage.rng
    crowd = max(24, round(0.3 * world.honest))
    school = stage.size(60)
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
    stage.honest.append(Honest("newcomers", "network", place, stage.after(12), 48.0, why))


def late_delivery(stage: Stage) -> None:
    """The events of one large network come three to six hours late, from half a day before the release on."""
    world = stage.world
    network = int(np.argsort(-world.sizes(), kind="stable")[1])
    since, until = stage.after(-12), stage.after(48)
    world.delays.append(Delay(network, 3 * HOUR, 6 * HOUR, since, until))
    why = "its events come three to six hours late"
    stage.honest.append(Honest("late-delivery", "network", network, since, 60.0, why))


def _everybody(stage: Stage, kind: str, begin: int, end: int | None, **more: Any) -> None:
    """Note something that happens to all accounts at once."""
    until = None if end is None else iso(end)
    stage.population_events.append({"type": kind, "model": NEW, "onset": iso(begin), "until": until, **more})
