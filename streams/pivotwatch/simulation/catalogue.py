"""The models on offer, and what happens to them: release, alias, outage, withdrawal."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

NEW = "m-2"
ALIAS = "m-latest"
# The new model is the last one. The alias stands for the first until it is moved.
MODELS = ("m-1", "m-1-mini", "k-3", "m-0", "k-2", NEW)
NEW_INDEX = len(MODELS) - 1
OLD_SHARES = np.array([0.46, 0.22, 0.17, 0.09, 0.06])

Interval = tuple[int, int]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True)
class Timeline:
    """What the provider does and when (epoch milliseconds).

    Attributes
    ----------
    release
        When the new model can be used by everyone.
    alias_moves
        From when on the alias stands for the new model.
    alias_named
        Does the log say that the alias was asked for?
    outage
        While the first old model is out; most of its requests fall back to the new one.
    withdrawn
        While the new model is withdrawn; its users go back to what they used before.
    """

    release: int
    alias_moves: int | None = None
    alias_named: bool = True
    outage: Interval | None = None
    withdrawn: Interval | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """The outcome of `choose`, one entry an event.

    Attributes
    ----------
    model
        Index into `MODELS` of the model that answered.
    asked
        Index of the model that was asked for, when another one answered; -1 when the same;
        -2 for the alias.
    failed
        True where the request failed.
    """

    model: Ints
    asked: Ints
    failed: Bools


def choose(
    timeline: Timeline,
    rng: np.random.Generator,
    ts: Ints,
    *,
    new_share: Floats,
    primary: Ints,
    loyal: Floats,
    alias: Floats,
) -> Choice:
    """Draw which model each request goes to.

    Parameters
    ----------
    new_share
        Probability that the account asks for the new model by its own choice.
    primary, loyal
        The old model an account prefers, and the share of its old traffic that goes there.
    alias
        Probability that a request for the alias's first model is made through the alias.
    """
    size = len(ts)
    draw = rng.random((4, size), dtype=np.float32)
    others = np.searchsorted(np.cumsum(OLD_SHARES), draw[1] * np.float32(0.99999))
    old = np.where(draw[0] < loyal, primary, others)
    wants_new = draw[2] < new_share
    if timeline.withdrawn is not None:
        wants_new &= ~_within(ts, timeline.withdrawn)
    model = np.where(wants_new, NEW_INDEX, old)
    asked = np.full(size, -1, dtype=np.int64)

    by_alias = (model == 0) & (draw[3] < alias)
    if timeline.alias_named:
        asked[by_alias] = -2
    if timeline.alias_moves is not None:
        model[by_alias & (ts >= timeline.alias_moves)] = NEW_INDEX

    failed = rng.random(size, dtype=np.float32) < 0.004
    if timeline.outage is not None:
        out = (model == 0) & _within(ts, timeline.outage)
        fate = rng.random(size, dtype=np.float32)
        failed |= out & (fate < 0.1)
        falls_back = out & (fate >= 0.1)
        asked[falls_back & (asked == -1)] = 0
        model[falls_back] = np.where(fate[falls_back] < 0.85, NEW_INDEX, 1)
    return Choice(model, asked, failed)


def _within(ts: Ints, interval: Interval) -> Bools:
    inside: Bools = (ts >= interval[0]) & (ts < interval[1])
    return inside
