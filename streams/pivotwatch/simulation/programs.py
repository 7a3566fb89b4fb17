"""Programs with the rhythms of real clients, and the keys of a reseller."""

from __future__ import annotations

import numpy as np

from pivotwatch.simulation.adoption import NEVER
from pivotwatch.simulation.rhythm import HOUR, PROGRAMS, RHYTHMS, Rhythm
from pivotwatch.simulation.scenario_setup import Lookalike, Setup
from pivotwatch.simulation.world import Kind, draw_accounts

ACCOUNTS_PER_NETWORK = 25


def add_programs(setup: Setup, *, ratio: float, even: bool = False, adopting: float = 0.0) -> None:
    """Add programs in networks of their own, pinned to the old model.

    Parameters
    ----------
    ratio
        Programs for each honest account.
    even
        Whether they are equally active in every hour; else they have the rhythms of real clients.
    adopting
        Share of the networks of programs that adopt the model, one after the other.
    """
    world, rng = setup.world, setup.rng
    size = max(12, round(ratio * world.honest))
    count = max(1, round(size / ACCOUNTS_PER_NETWORK))
    networks = world.add_networks([Kind.HOSTING] * count, [0] * count)
    nth = np.arange(size) % count
    home = np.array(networks)[nth]
    rows = draw_accounts(rng, home, world.kind, world.tz, begin=world.begin, end=world.end, mean_rate=100.0)
    kinds = len(RHYTHMS) - PROGRAMS
    rows["rhythm"] = Rhythm.STEADY if even else PROGRAMS + rng.integers(0, kinds, size)
    rows["tz"] = 0 if even else rng.integers(0, 24, size)
    rows["shape"], rows["width"], rows["away"] = 2.5, 1.0, 0.0
    rows["alias"], rows["payment"] = 0.0, -1
    rows["first"], rows["last"] = world.begin, world.end
    rows["created"] = np.minimum(rows["created"], world.begin - HOUR)
    starts = np.full(count, NEVER)
    movers = round(adopting * count)
    starts[:movers] = world.release + rng.integers(0, world.end - world.release, movers)
    own = starts[nth]
    spread = rng.integers(0, 12 * HOUR, size)
    rows["adopts"] = np.where(own == NEVER, NEVER, own + spread)
    rows["share"] = rng.beta(18.0, 1.5, size)
    world.add_accounts(rows)
    for network, start in zip(networks[:movers], starts[:movers].tolist(), strict=True):
        why = "the programs of one owner move to the new model"
        setup.lookalikes.append(Lookalike("rollout", "network", network, start, 48.0, why))


def resell(setup: Setup, *, keys: int = 20) -> None:
    """The keys of one reseller move to the new model within an hour, with all of their requests."""
    world, rng = setup.world, setup.rng
    (network,) = world.add_networks([Kind.HOSTING], [0])
    rows = draw_accounts(
        rng,
        np.full(keys, network),
        world.kind,
        world.tz,
        begin=world.begin,
        end=world.end,
        mean_rate=300.0,
    )
    rows["rate"] = 300.0 * rng.uniform(0.5, 1.5, keys)
    rows["rhythm"], rows["tz"] = Rhythm.AUTOMATED, 0
    rows["shape"], rows["width"], rows["away"], rows["alias"] = 2.5, 1.0, 0.0, 0.0
    rows["first"], rows["last"] = world.begin, world.end
    rows["created"] = np.minimum(rows["created"], world.begin - HOUR)
    start = setup.after(30)
    rows["adopts"] = start + rng.integers(0, HOUR, keys)
    rows["share"], rows["payment"] = 1.0, network
    world.add_accounts(rows)
    for kind in ("network", "payment"):
        why = "the keys of one reseller move at once"
        setup.lookalikes.append(Lookalike("rollout", kind, network, start, 24.0, why))
