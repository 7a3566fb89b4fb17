"""The checks that the content of a bucket record must pass.

`networks` checks a record once, when all of its parts are there. Types check single values. The checks here
compare values with each other, so that the sums of no group can contradict the sums over all accounts.
"""

from __future__ import annotations

import msgspec
import numpy as np
from msgspec import Raw

from pivotwatch.contracts.bucket_content.body import Body, LatePart, ModelBody, decode
from pivotwatch.contracts.bucket_content.tables import (
    AGES,
    blocks_of,
    cohorts_of,
    groups_of,
    movers_of,
    sets,
    table,
    tallies_of,
    to_model_of,
    traffic_of,
)
from pivotwatch.contracts.codec import explain
from pivotwatch.contracts.events import BadEvent
from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.population.cohorts import BANDS


def check(content: bytes, bucket: int) -> None:
    """Check the content of the record of a bucket.

    Parameters
    ----------
    content
        The content as JSON, all parts together.
    bucket
        Index of the bucket.

    Raises
    ------
    BadEvent
        With the first check that fails.

    Examples
    --------
    >>> check(b'{"late":3}', bucket=7)
    >>> check(b'{"late":-3}', bucket=7)
    Traceback (most recent call last):
    pivotwatch.contracts.events.BadEvent: not a bucket: late: expected `int` >= 0
    """
    try:
        body = decode(content)
        _check(body, bucket)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent(f"not a bucket: {explain(error)}") from None


def _check(body: Body, bucket: int) -> None:
    for raw in (body.joined, body.left, body.late_groups):
        tallies_of(raw)
    if body.late_parts:
        _check_late(body.late_parts, bucket)
    active = _cohorts(body.active)
    own_groups = groups_of(body.groups)
    groups = len(own_groups)
    sizes, flat = sets(body.sets)
    if not body.is_active:
        traffic_of(body.traffic)
        _require("somebody was active", not (body.requests or groups or len(sizes) or body.models))
        return
    _require("groups differ", len(set(own_groups)) == groups)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    _require("a set names groups", bool((flat < groups).all()))
    _require("a set names a group once", len(np.unique(owner * groups + flat)) == len(flat))
    everyone = np.array([body.requests, *body.spent])
    traffic_of(body.traffic)
    traffic = table(body.traffic, 4)
    _require("traffic is that of the groups", len(traffic) == groups)
    _require("traffic is part of everyone's", bool((traffic <= everyone).all()))
    _require("cohorts name sets", _are_placed(active, len(sizes), bucket))
    _require("each active account sent something", float(active[:, 4].sum(dtype=float)) <= body.requests)
    _require("models differ", len({row.model for row in body.models}) == len(body.models))
    for model in body.models:
        _check_model(model, len(sizes), active, everyone, traffic, bucket)


def _check_late(parts: list[LatePart], bucket: int) -> None:
    buckets = [part.bucket for part in parts]
    _require("late parts are of earlier buckets", sorted(set(buckets)) == buckets and max(buckets) < bucket)
    for part in parts:
        _require("a late part has none of its own", not part.body.late_parts)
        _require("somebody was active", part.body.is_active)
        _check(part.body, part.bucket)


def _check_model(  # noqa: PLR0917  # everything that a model is compared with
    model: ModelBody, sets: int, active: Ints, everyone: Ints, traffic: Ints, bucket: int
) -> None:
    _require("a model was seen first before", model.first <= bucket)
    _require("a model's traffic is part of all", _is_part(np.array([model.total]), everyone))
    to_model_of(model.traffic)
    own = table(model.traffic, 6)
    _require("a model's traffic is of groups", bool((own[:, 0] < len(traffic)).all()))
    _require("a model's traffic is part of its group's", _is_part(own[:, 1:], traffic[own[:, 0]]))
    for raws in zip(model.done, model.events, strict=True):
        some = [_cohorts(raw) for raw in raws]
        for rows in some:
            _require("cohorts name sets", _are_placed(rows, sets, bucket))
        _require("who is done or moves is active", _are_within(active, np.concatenate(some)))
    movers = movers_of(model.movers)
    _require("a mover has a set", all(m[1] < sets and m[5] < bucket for m in movers))
    for f in model.findings:
        _require("a finding has a set and requests", f[1] < sets and f[2] <= bucket and 0 < f[3] >= f[4])
    _require("a block has a set", all(b[1] < sets for b in blocks_of(model.blocks)))


def _cohorts(raw: Raw) -> Ints:
    """Array of a table of cohorts, after checking its rows."""
    cohorts_of(raw)
    return table(raw, 5)


def _require(what: str, holds: bool) -> None:
    if not holds:
        raise BadEvent(f"not a bucket: expected that {what}")


def _is_part(to_model: Ints, of: Ints) -> bool:
    """Whether requests by choice are part of all requests to the model, and those of all requests."""
    return bool((to_model[:, 0] <= to_model[:, 1]).all() and (to_model[:, 1:] <= of).all())


def _are_placed(rows: Ints, sets: int, bucket: int) -> bool:
    """Whether cohorts have a set, and were active before the bucket."""
    return bool((rows[:, 0] < sets).all() and (rows[:, 3] < bucket).all())


def _are_within(active: Ints, some: Ints) -> bool:
    """Whether no cohort has more accounts than are active in it."""
    own_set, band, age, previous, accounts = np.concatenate([active, some]).T
    times, when = np.unique(previous, return_inverse=True)
    code = ((own_set * BANDS + band) * AGES + age) * len(times) + when
    codes, place = np.unique(code, return_inverse=True)
    # Sums of floats are exact up to 2^53.
    there = np.bincount(place[: len(active)], weights=accounts[: len(active)], minlength=len(codes))
    asked = np.bincount(place[len(active) :], weights=accounts[len(active) :], minlength=len(codes))
    return bool((asked <= there).all())
