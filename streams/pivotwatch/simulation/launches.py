"""Honest launches that are not like others: not everyone may move at once, or something makes many move.

Each function changes the honest population of a setup. None of them adds a campaign.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from pivotwatch.simulation.adoption import NEVER
from pivotwatch.simulation.rhythm import DAY, HOUR
from pivotwatch.simulation.scenario_setup import Setup
from pivotwatch.simulation.world import Kind, Rows, draw_accounts

STAGED_HOURS = 48.0
"""Hours after which a staged launch is open to everyone."""
RETIRED_HOURS = 72.0
"""Hours after which the most used old model ends."""


def stage_by_region(setup: Setup) -> None:
    """A fifth of the networks may use the new model at once, the others two days later."""
    world = setup.world
    first = setup.rng.random(len(world.kind)) < 0.2
    _wait(setup, np.flatnonzero(~first[world.accounts["network"][: world.honest]]))


def stage_by_plan(setup: Setup) -> None:
    """Accounts of the larger plans may use the new model at once, the others two days later.

    Most accounts of companies have such a plan, and few others.
    """
    world = setup.world
    company = world.kind[world.accounts["network"][: world.honest]] == Kind.COMPANY
    larger = setup.rng.random(world.honest) < np.where(company, 0.7, 0.1)
    _wait(setup, np.flatnonzero(~larger))


def _wait(setup: Setup, rows: Rows) -> None:
    """Let honest accounts adopt and try the model as if it were released to them later."""
    accounts, hold = setup.world.accounts, int(STAGED_HOURS * HOUR)
    for column in ("adopts", "tries"):
        times = accounts[column][rows]
        # Testers have the model before anyone.
        waits = (times != NEVER) & (times >= setup.world.release)
        accounts[column][rows] = np.where(waits, times + hold, times)


def update_client(setup: Setup, *, named: bool = False) -> None:
    """A new version of a client changes its default model; its users get it within two days.

    The client has 15 % of the accounts: up to twelve companies that use nothing else, and accounts of
    everywhere.

    Parameters
    ----------
    named
        Whether events say which client an account uses (link ``client``).
    """
    world, rng = setup.world, setup.rng
    accounts = world.accounts
    home = accounts["network"][: world.honest]
    client = np.where(rng.random(world.honest) < 0.5, 1, 2)
    sizes = world.sizes()
    companies = np.flatnonzero((world.kind == Kind.COMPANY) & (sizes >= 8))
    chosen = companies[np.argsort(-sizes[companies], kind="stable")][:24:2]
    chosen = chosen[np.cumsum(sizes[chosen]) <= 0.15 * world.honest]
    client[np.isin(home, chosen)] = 0
    missing = round(0.15 * world.honest) - int((client == 0).sum())
    others = np.flatnonzero(client != 0)
    client[rng.choice(others, max(0, missing), replace=False)] = 0
    users = np.flatnonzero(client == 0)
    begin = setup.after(6)
    moves = begin + (rng.beta(1.2, 1.8, len(users)) * 2 * DAY).astype(np.int64)
    accounts["adopts"][users] = np.minimum(accounts["adopts"][users], moves)
    accounts["share"][users] = rng.beta(30.0, 1.2, len(users))
    if named:
        accounts["client"][: world.honest] = client
    setup.add_population_event("client-default", begin, begin + 2 * DAY)


def release_two(setup: Setup) -> None:
    """A second model is released three hours after the first one; half of the adopters use both."""
    world = setup.world
    begin = setup.after(3)
    setup.timeline = dataclasses.replace(setup.timeline, beside=begin)
    size = len(world.accounts)
    wants = setup.rng.random(size) < 0.5
    world.accounts["second"] = np.where(wants, begin, NEVER)


def retire(setup: Setup) -> None:
    """The most used old model ends three days after the release: its users have to move."""
    world, rng = setup.world, setup.rng
    end = setup.after(RETIRED_HOURS)
    setup.timeline = dataclasses.replace(setup.timeline, retired=end)
    accounts = world.accounts
    users = np.flatnonzero(accounts["primary"][: world.honest] == 0)
    moves = users[rng.random(len(users)) < 0.6]
    later = moves[accounts["adopts"][moves] > end]
    accounts["adopts"][later] = end
    accounts["share"][later] = rng.beta(18.0, 1.5, len(later))
    setup.add_population_event("retirement", end, None)


def promote(setup: Setup) -> None:
    """For a day the new model costs nothing: a fifth of the accounts moves, and new ones sign up."""
    world, rng = setup.world, setup.rng
    begin = setup.after(48)
    accounts = world.accounts
    rows = np.flatnonzero(rng.random(world.honest) < 0.2)
    moves = begin + rng.integers(0, DAY, len(rows))
    accounts["adopts"][rows] = np.minimum(accounts["adopts"][rows], moves)
    crowd = max(12, round(0.1 * world.honest))
    sizes = world.sizes()
    home = rng.choice(len(sizes), crowd, p=sizes / sizes.sum())
    new = draw_accounts(rng, home, world.kind, world.tz, begin=world.begin, end=world.end, mean_rate=12.0)
    new["first"] = begin + rng.integers(0, DAY, crowd)
    new["created"] = new["first"] - rng.integers(0, HOUR, crowd)
    new["last"], new["adopts"] = world.end, new["first"]
    new["share"] = rng.beta(8.0, 1.5, crowd)
    world.add_accounts(new)
    setup.add_population_event("promotion", begin, begin + DAY)


def vary_pace(setup: Setup, deviation: float) -> None:
    """Give every network a hazard of its own: the population's, times a gamma variable of mean one.

    The moments at which accounts adopt are dealt out anew, so that networks differ in nothing else. An
    account that is later than a share ``s`` of the population is then later than ``s`` to the power of one
    over its network's factor.

    Parameters
    ----------
    deviation
        Standard deviation of the factor.
    """
    world, rng = setup.world, setup.rng
    honest, accounts = world.honest, world.accounts
    curve = np.sort(accounts["adopts"][:honest])
    shape = deviation**-2
    factor = rng.gamma(shape, 1 / shape, len(world.kind))[accounts["network"][:honest]]
    earlier = 1 - rng.random(honest) ** (1 / np.maximum(factor, 1e-6))
    accounts["adopts"][:honest] = curve[np.minimum((earlier * honest).astype(np.int64), honest - 1)]
    accounts["share"][:honest] = rng.permutation(accounts["share"][:honest])
