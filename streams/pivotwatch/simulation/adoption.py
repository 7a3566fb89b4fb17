"""How an honest population adopts a new model.

Early adopters switch a few hours after the release, the majority after days and laggards after weeks.
Some accounts never switch. Most adopters move nearly all of their traffic to the new model; the others
keep using several models. Before they switch, many accounts try the new model now and then. A few testers
have it before the release.

The accounts of a network are not independent: each network has its own pace.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from pivotwatch.simulation.rhythm import DAY, HOUR

NEVER = 2**62


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """How fast a population adopts a new model.

    Attributes
    ----------
    early, majority, laggards
        Shares of the accounts; the rest never adopts the model.
    early_hours, majority_days, laggard_days
        Mean delays after the release.
    trials
        Share of the accounts that try the new model before they may adopt it.
    network_spread
        Standard deviation of the logarithm of the pace of a network.
    """

    early: float
    early_hours: float
    majority: float
    majority_days: float
    laggards: float
    laggard_days: float
    trials: float = 0.15
    network_spread: float = 0.35


PACES: dict[str, Pace] = {
    "slow": Pace(0.015, 12.0, 0.30, 12.0, 0.30, 30.0),
    "normal": Pace(0.04, 8.0, 0.45, 5.5, 0.25, 20.0),
    # Half of the accounts adopt within one to two days, most of them at their first request.
    "fast": Pace(0.36, 3.0, 0.34, 1.6, 0.20, 6.0),
    # More than half of the accounts adopt at their first request after the release.
    "surge": Pace(0.62, 1.5, 0.18, 1.0, 0.10, 4.0),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Uptake:
    """When, and for what share of its requests, each account uses the new model.

    Attributes
    ----------
    adopts, tries
        Epoch milliseconds from which the account uses or tries the model, or `NEVER`.
    share, trial
        Shares of its requests that go to the model from then on.
    """

    adopts: npt.NDArray[np.int64]
    share: npt.NDArray[np.float32]
    tries: npt.NDArray[np.int64]
    trial: npt.NDArray[np.float32]


def draw_uptake(
    rng: np.random.Generator,
    pace: Pace,
    release: int,
    *,
    network: npt.NDArray[np.int64],
    networks: int,
    cautious: npt.NDArray[np.bool_],
    testers: int,
) -> Uptake:
    """Draw the uptake of every account.

    Parameters
    ----------
    network, networks
        Home network of each account, and number of networks.
    cautious
        Whether an account is half as likely to adopt the model, such as a program with a fixed model.
    testers
        Number of accounts that have the model up to two days before the release.
    """
    size = len(network)
    own_pace = np.exp(rng.normal(0.0, pace.network_spread, networks))[network]
    lot = rng.random(size) * np.where(cautious, 2.0, 1.0)
    delay = np.full(size, np.inf)
    bounds = np.cumsum([pace.early, pace.majority, pace.laggards])
    early = lot < bounds[0]
    majority = (lot >= bounds[0]) & (lot < bounds[1])
    laggard = (lot >= bounds[1]) & (lot < bounds[2])
    draws = rng.standard_exponential((3, size))
    delay[early] = (draws[0] * pace.early_hours * HOUR)[early]
    # A sum of two exponentials starts slowly and gives an S-shaped curve.
    delay[majority] = ((draws[1] + draws[2]) * own_pace * pace.majority_days / 2 * DAY)[majority]
    delay[laggard] = (draws[1] * own_pace * pace.laggard_days * DAY)[laggard]
    whole = rng.random(size) < 0.75
    share = np.where(whole, rng.beta(18.0, 1.5, size), rng.beta(3.0, 4.0, size))

    tries = np.where(
        rng.random(size) < pace.trials,
        rng.standard_exponential(size) * pace.majority_days * DAY / 2,
        np.inf,
    )
    trial = rng.beta(1.5, 20.0, size)
    chosen = rng.choice(size, min(testers, size), replace=False)
    tries[chosen] = -rng.random(len(chosen)) * 2 * DAY
    trial[chosen] = 0.2
    return Uptake(
        _moment(release, delay), share.astype(np.float32), _moment(release, tries), trial.astype(np.float32)
    )


def _moment(release: int, delay: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    moment = np.full(len(delay), NEVER, dtype=np.int64)
    known = np.isfinite(delay)
    moment[known] = release + delay[known].astype(np.int64)
    return moment
