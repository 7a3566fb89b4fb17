"""Honest roll-outs: a company moves to the new model, or its programs compare two models."""

from __future__ import annotations

import numpy as np

from pivotwatch.simulation.rhythm import DAY, HOUR, Rhythm, next_local
from pivotwatch.simulation.scenario_setup import Lookalike, Setup
from pivotwatch.simulation.world import Kind, draw_accounts


def roll_out(setup: Setup, *, partial: bool = False, accounts: int = 160) -> None:
    """A company moves to the new model on the first working day after the release.

    Accounts move nearly all of their requests. In a partial roll-out half of the accounts stay, and the
    others move over two days.
    """
    world, rng = setup.world, setup.rng
    size = setup.size(accounts)
    (network,) = world.add_networks([Kind.COMPANY], [int(rng.choice([-8, -5, 1]))])
    tz = int(world.tz[network])
    home = np.full(size, network)
    staff = draw_accounts(rng, home, world.kind, world.tz, begin=world.begin, end=world.end, mean_rate=25.0)
    staff["rhythm"] = np.where(rng.random(size) < 0.93, Rhythm.OFFICE, Rhythm.AUTOMATED)
    staff["tz"] = tz
    staff["away"] = np.where(rng.random(size) < 0.15, 0.15, 0.0)
    staff["alias"] = 0.0
    morning = next_local(setup.after(6), tz, 9)
    moves = morning + (rng.beta(1.2, 1.8, size) * 8 * HOUR).astype(np.int64)
    if partial:
        moves += rng.integers(0, 2, size) * DAY
    staff["adopts"] = moves
    staff["share"] = rng.beta(30.0, 1.2, size)
    if partial:
        staff["share"][rng.random(size) < 0.5] = 0.0
    world.add_accounts(staff)
    name = "part of a company" if partial else "a whole company"
    for kind in ("network", "payment"):
        setup.lookalikes.append(
            Lookalike(
                "rollout", kind, network, morning, 48.0 if partial else 12.0, f"{name} switches at work"
            )
        )


def compare_by_router(setup: Setup, *, accounts: int = 80) -> None:
    """The programs of a company send half of their requests to the new model, to compare two models.

    The programs are honest, but they send requests around the clock like a campaign. Only the sizes of
    their requests vary like those of honest accounts.
    """
    world, rng = setup.world, setup.rng
    size = setup.size(accounts)
    (network,) = world.add_networks([Kind.COMPANY], [int(rng.choice([-8, -5, 1]))])
    home = np.full(size, network)
    programs = draw_accounts(
        rng, home, world.kind, world.tz, begin=world.begin, end=world.end, mean_rate=60.0
    )
    programs["rhythm"] = Rhythm.AUTOMATED
    programs["shape"] = 2.5
    programs["width"] = 1.0
    programs["away"] = 0.0
    programs["alias"] = 0.0
    start = next_local(setup.after(6), int(world.tz[network]), 10)
    programs["adopts"] = start + rng.integers(0, HOUR, size)
    programs["share"] = 0.5
    world.add_accounts(programs)
    for kind in ("network", "payment"):
        why = "programs compare the new model with the old one"
        setup.lookalikes.append(Lookalike("rollout", kind, network, start, 24.0, why))
