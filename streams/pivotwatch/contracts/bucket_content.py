"""The content of a bucket record: its form, and what must hold within it.

`networks` checks a record once, when it is complete. What passes can be scored without another look;
what does not was not written by `accounts`.

Tables of integers go straight into arrays: a million accounts give tables of millions of integers, and text
becomes an array in a seventh of the time that lists of Python's integers take.
"""

from __future__ import annotations

from itertools import chain
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Raw

from pivotwatch.base.work import Work, at_once
from pivotwatch.contracts.codec import Text
from pivotwatch.contracts.events import BadEvent
from pivotwatch_models.accounts.share_models import EVENT_TYPES
from pivotwatch_models.accounts.split_blocks import DECILES
from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.population.cohorts import BANDS

NOT_YOUNG, YOUNG, BY_FIRST_SIGHT = 0, 1, 2
AGES = 3
"""Young by the date of creation or not; or, for want of one, seen first within 7 days."""

assert len(EVENT_TYPES) == 2, "the form below has a place for each"

Meta = msgspec.Meta
Count = Annotated[int, Meta(ge=0, le=2**53)]
Number = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Index = Annotated[int, Meta(ge=0, le=2**31)]
Flag = Annotated[int, Meta(ge=0, le=1)]
Age = Annotated[int, Meta(ge=0, lt=AGES)]
Previous = Annotated[int, Meta(ge=-1, le=2**53)]
Size = Annotated[int, Meta(ge=-1, le=2**20)]
Group = tuple[Text, Text]
Tally = tuple[Text, Text, Count]
"""Kind and name of a group, and a number."""
Cohort = tuple[Index, Annotated[int, Meta(ge=0, lt=BANDS)], Age, Previous, Count]
"""Set, band of volume, young, previous active bucket (-1: none), accounts."""
Mover = tuple[Text, Index, Flag, Flag, Age, Previous]
"""Account, set, first use, switch, young, previous active bucket."""
Finding = tuple[Text, Index, Number, Count, Count, Number]
"""Account, set, since when, requests, those to the model, usual residual in thousandths."""
Block = tuple[Text, Index, Flag, Flag, Annotated[int, Meta(ge=0, lt=DECILES)], Size, Size]
"""Account, set, second, steady, decile of the split, sizes in and out."""
Spent = tuple[Count, Count, Count]
"""Tokens in and out, requests with tools."""
Traffic = tuple[Count, Count, Count, Count]
"""Requests, and what they spent."""
ToModel = tuple[Count, Count, Count, Count, Count]
"""Requests by own choice, all, and what these spent."""
GroupToModel = tuple[Index, Count, Count, Count, Count, Count]


NOTHING = Raw(b"[]")


class ModelBody(msgspec.Struct, frozen=True):
    """What the bucket says about one model; ``done`` and ``events`` per type of event."""

    model: Text
    first: Count
    total: ToModel
    traffic: Raw
    done: tuple[Raw, Raw]
    events: tuple[Raw, Raw]
    movers: Raw
    findings: list[Finding]
    blocks: Raw


class Body(msgspec.Struct, frozen=True):
    """The content of a bucket record; when nobody was active, only the counters and tallies are there."""

    requests: Count = 0
    groups: Raw = NOTHING
    sets: Raw = NOTHING
    spent: Spent = (0, 0, 0)
    active: Raw = NOTHING
    traffic: Raw = NOTHING
    models: list[ModelBody] = []
    watermark: Number = -1
    late: Count = 0
    invalid: Count = 0
    failed: Count = 0
    dropped_models: Count = 0
    forgotten_models: Count = 0
    late_groups: Raw = NOTHING
    joined: Raw = NOTHING
    left: Raw = NOTHING

    @property
    def is_active(self) -> bool:
        """Was anybody active?"""
        return len(bytes(self.active).strip(b"[] \t\r\n")) > 0


decode = msgspec.json.Decoder(Body).decode
groups_of = msgspec.json.Decoder(list[Group]).decode
sets_of = msgspec.json.Decoder(list[list[Index]]).decode
tallies_of = msgspec.json.Decoder(list[Tally]).decode
movers_of = msgspec.json.Decoder(list[Mover]).decode
blocks_of = msgspec.json.Decoder(list[Block]).decode
_cohorts_of = msgspec.json.Decoder(list[Cohort]).decode
_traffic_of = msgspec.json.Decoder(list[Traffic]).decode
_to_model_of = msgspec.json.Decoder(list[GroupToModel]).decode


def table(raw: Raw, width: int) -> Ints:
    """Rows of integers that have been checked.

    Examples
    --------
    >>> table(Raw(b"[[1,2],[-3,4]]"), 2).tolist(), table(Raw(b"[]"), 2).shape
    ([[1, 2], [-3, 4]], (0, 2))
    """
    digits = bytes(raw).translate(None, b"[] \t\r\n")
    flat = np.fromstring(digits, dtype=np.int64, sep=",") if digits else np.empty(0, dtype=np.int64)
    return flat.reshape(-1, width)


def sets(raw: Raw) -> tuple[Ints, Ints]:
    """How many groups each set has, and all of them.

    Examples
    --------
    >>> [part.tolist() for part in sets(Raw(b"[[],[3],[0,2]]"))]
    [[0, 1, 2], [3, 0, 2]]
    """
    rows = sets_of(raw)
    sizes = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    return sizes, np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(sizes.sum()))


def check(content: bytes, bucket: int) -> None:
    """Could `accounts` have written this of the bucket?

    Raises
    ------
    BadEvent
        With what does not hold.

    Examples
    --------
    >>> check(b'{"late":3}', bucket=7)
    >>> check(b'{"late":-3}', bucket=7)
    Traceback (most recent call last):
    pivotwatch.contracts.events.BadEvent: not a bucket: Expected `int` >= 0 - at `$.late`
    """
    at_once(checking(content, bucket))


def checking(content: bytes, bucket: int) -> Work[None]:
    """The work of `check`."""
    try:
        body = decode(content)
        yield from _check(body, bucket)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent(f"not a bucket: {error}") from None


def _check(body: Body, bucket: int) -> Work[None]:
    for raw in (body.joined, body.left, body.late_groups):
        tallies_of(raw)
        yield
    active = yield from _cohorts(body.active)
    own_groups = groups_of(body.groups)
    groups = len(own_groups)
    sizes, flat = sets(body.sets)
    if not body.is_active:
        _traffic_of(body.traffic)
        _hold("somebody was active", not (body.requests or groups or len(sizes) or body.models))
        return
    yield
    _hold("groups differ", len(set(own_groups)) == groups)
    yield
    owner = np.repeat(np.arange(len(sizes)), sizes)
    _hold("a set names groups", bool((flat < groups).all()))
    _hold("a set names a group once", len(np.unique(owner * groups + flat)) == len(flat))
    yield
    everyone = np.array([body.requests, *body.spent])
    _traffic_of(body.traffic)
    yield
    traffic = table(body.traffic, 4)
    _hold("traffic is that of the groups", len(traffic) == groups)
    _hold("traffic is part of everyone's", bool((traffic <= everyone).all()))
    _hold("cohorts name sets", _placed(active, len(sizes), bucket))
    _hold("each active account sent something", float(active[:, 4].sum(dtype=float)) <= body.requests)
    _hold("models differ", len({row.model for row in body.models}) == len(body.models))
    for model in body.models:
        yield
        yield from _check_model(model, len(sizes), active, everyone, traffic, bucket)


def _check_model(  # noqa: PLR0917  # what a model is held against
    model: ModelBody, sets: int, active: Ints, everyone: Ints, traffic: Ints, bucket: int
) -> Work[None]:
    _hold("a model was seen first before", model.first <= bucket)
    _hold("a model's traffic is part of all", _part(np.array([model.total]), everyone))
    _to_model_of(model.traffic)
    yield
    own = table(model.traffic, 6)
    _hold("a model's traffic is of groups", bool((own[:, 0] < len(traffic)).all()))
    _hold("a model's traffic is part of its group's", _part(own[:, 1:], traffic[own[:, 0]]))
    for raws in zip(model.done, model.events, strict=True):
        some = []
        for raw in raws:
            some.append((yield from _cohorts(raw)))
            _hold("cohorts name sets", _placed(some[-1], sets, bucket))
        yield
        _hold("who is done or moves is active", _within_cohorts(active, np.concatenate(some)))
        yield
    movers = movers_of(model.movers)
    yield
    _hold("a mover has a set", all(m[1] < sets and m[5] < bucket for m in movers))
    for f in model.findings:
        _hold("a finding has a set and requests", f[1] < sets and f[2] <= bucket and 0 < f[3] >= f[4])
    yield
    _hold("a block has a set", all(b[1] < sets for b in blocks_of(model.blocks)))


def _cohorts(raw: Raw) -> Work[Ints]:
    """A table of cohorts, its form checked."""
    _cohorts_of(raw)
    yield
    return table(raw, 5)


def _hold(what: str, holds: bool) -> None:
    if not holds:
        raise BadEvent(f"not a bucket: it does not hold that {what}")


def _part(to_model: Ints, of: Ints) -> bool:
    """Requests by choice are part of all of them, and these of those to any model."""
    return bool((to_model[:, 0] <= to_model[:, 1]).all() and (to_model[:, 1:] <= of).all())


def _placed(rows: Ints, sets: int, bucket: int) -> bool:
    return bool((rows[:, 0] < sets).all() and (rows[:, 3] < bucket).all())


def _within_cohorts(active: Ints, some: Ints) -> bool:
    """Are there of no cohort more than are active?"""
    own_set, band, age, previous, accounts = np.concatenate([active, some]).T
    times, when = np.unique(previous, return_inverse=True)
    code = ((own_set * BANDS + band) * AGES + age) * len(times) + when
    codes, place = np.unique(code, return_inverse=True)
    # Sums of floats: exact as far as a genuine record can go.
    there = np.bincount(place[: len(active)], weights=accounts[: len(active)], minlength=len(codes))
    asked = np.bincount(place[len(active) :], weights=accounts[len(active) :], minlength=len(codes))
    return bool((asked <= there).all())
