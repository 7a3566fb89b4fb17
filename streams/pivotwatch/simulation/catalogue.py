"""The models of the provider, and what happens to them: release, alias, outage, withdrawal."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

NEW = "m-2"
BESIDE = "m-2-mini"
ALIAS = "m-latest"
# The old models come first. The alias resolves to the first one until the provider changes it.
MODELS = ("m-1", "m-1-mini", "k-3", "m-0", "k-2", NEW, BESIDE)
NEW_INDEX, BESIDE_INDEX = MODELS.index(NEW), MODELS.index(BESIDE)
OLD_SHARES = np.array([0.46, 0.22, 0.17, 0.09, 0.06])

Interval = tuple[int, int]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True)
class Timeline:
    """What the provider does, and when (epoch milliseconds).

    Attributes
    ----------
    release
        When every account can use the new model.
    alias_moves
        When the alias starts to resolve to the new model.
    alias_named
        Whether the log contains the alias (``requested_model``).
    outage
        When the first old model is down; most of its requests fall back to the new model.
    withdrawn
        When the new model is withdrawn; its users return to old models.
    beside
        When a second new model is released, if one is.
    retired
        When the first old model ends for good, if it does; the second one takes what is left of its requests.
    target
        Index in `MODELS` of the model that accounts adopt. An old one has no release in the stream.
    """

    release: int
    alias_moves: int | None = None
    alias_named: bool = True
    outage: Interval | None = None
    withdrawn: Interval | None = None
    beside: int | None = None
    retired: int | None = None
    target: int = NEW_INDEX


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """The result of `choose`, with one entry per event.

    Attributes
    ----------
    model
        Index in `MODELS` of the model that answered.
    asked
        Index of the requested model when another model answered; -1 when it is the same model; -2 for the
        alias.
    failed
        Whether the request failed.
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
    second: Bools,
    primary: Ints,
    primary_share: Floats,
    alias: Floats,
) -> Choice:
    """Draw the model of each request.

    Parameters
    ----------
    new_share
        Probability that the account chooses the model that it adopts.
    second
        Whether every other of these requests goes to the model that is released beside it.
    primary, primary_share
        The old model that the account prefers, and the share of its requests to old models that goes there.
    alias
        Probability that a request for the first model uses the alias.
    """
    size = len(ts)
    draw = rng.random((4, size), dtype=np.float32)
    others = np.searchsorted(np.cumsum(OLD_SHARES), draw[1] * np.float32(0.99999))
    old = np.where(draw[0] < primary_share, primary, others)
    wants_new = draw[2] < new_share
    if timeline.withdrawn is not None:
        wants_new &= ~_within(ts, timeline.withdrawn)
    model = np.where(wants_new, timeline.target, old)
    if timeline.beside is not None:
        model[wants_new & second & (rng.random(size) < 0.5)] = BESIDE_INDEX
    if timeline.retired is not None:
        model[(model == 0) & (ts >= timeline.retired)] = 1
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
