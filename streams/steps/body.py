"""The content of a bucket record: its form, and what must hold within it.

`networks` checks a record once, when it is complete. What passes can be scored without another look;
what does not was not written by `accounts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from models.account import EVENT_TYPES
from models.cohort import BANDS
from models.split import DECILES
from streams.events import BadEvent, Text
from streams.steps.activity import AGES

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


class ModelBody(msgspec.Struct, gc=False):
    """What the bucket says about one model; ``done`` and ``events`` per type of event."""

    model: Text
    first: Count
    total: ToModel
    traffic: list[GroupToModel]
    done: tuple[list[Cohort], list[Cohort]]
    events: tuple[list[Cohort], list[Cohort]]
    movers: list[Mover]
    findings: list[Finding]
    blocks: list[Block]


class Body(msgspec.Struct, gc=False):
    """The content of a bucket record; when nobody was active, only the counters and tallies are there."""

    requests: Count = 0
    groups: list[Group] = []
    sets: list[list[Index]] = []
    spent: Spent = (0, 0, 0)
    active: list[Cohort] = []
    traffic: list[Traffic] = []
    models: list[ModelBody] = []
    watermark: Number = -1
    late: Count = 0
    invalid: Count = 0
    failed: Count = 0
    dropped_models: Count = 0
    late_groups: list[Tally] = []
    joined: list[Tally] = []
    left: list[Tally] = []


decode = msgspec.json.Decoder(Body).decode


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
    streams.events.BadEvent: not a bucket: Expected `int` >= 0 - at `$.late`
    """
    try:
        body = decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent(f"not a bucket: {error}") from None
    if not body.active:
        _hold("somebody was active", not (body.requests or body.groups or body.sets or body.models))
        return
    groups, sets = len(body.groups), len(body.sets)
    _hold("groups differ", len(set(body.groups)) == groups)
    _hold("a set names groups", all(len(set(s)) == len(s) and max(s, default=-1) < groups for s in body.sets))
    everyone = (body.requests, *body.spent)
    _hold("traffic is that of the groups", len(body.traffic) == groups)
    _hold("traffic is part of everyone's", all(_within(row, everyone) for row in body.traffic))
    _hold("cohorts name sets", _cohorts(body.active, sets, bucket))
    _hold("each active account sent something", sum(row[4] for row in body.active) <= body.requests)
    _hold("models differ", len({row.model for row in body.models}) == len(body.models))
    active = _by_cohort(body.active)
    for model in body.models:
        _check_model(model, body, active, everyone, bucket)


def _check_model(
    model: ModelBody, body: Body, active: dict[Sequence[int], int], everyone: Sequence[int], bucket: int
) -> None:
    groups, sets = len(body.groups), len(body.sets)
    _hold("a model was seen first before", model.first <= bucket)
    _hold("a model's traffic is part of all", _part(model.total, everyone))
    for g, *row in model.traffic:
        _hold("a model's traffic is part of its group's", g < groups and _part(row, body.traffic[g]))
    for done, events in zip(model.done, model.events, strict=True):
        _hold("cohorts name sets", _cohorts(done, sets, bucket) and _cohorts(events, sets, bucket))
        _hold("who is done or moves is active", _within_cohorts(active, [*done, *events]))
    for m in model.movers:
        _hold("a mover has a set", m[1] < sets and m[5] < bucket)
    for f in model.findings:
        _hold("a finding has a set and requests", f[1] < sets and f[2] <= bucket and 0 < f[3] >= f[4])
    for b in model.blocks:
        _hold("a block has a set", b[1] < sets)


def _hold(what: str, holds: bool) -> None:
    if not holds:
        raise BadEvent(f"not a bucket: it does not hold that {what}")


def _within(some: Iterable[int], of: Iterable[int]) -> bool:
    return all(part <= whole for part, whole in zip(some, of, strict=True))


def _part(to_model: Sequence[int], of: Sequence[int]) -> bool:
    """Requests by choice are part of all of them, and these of those to any model."""
    return to_model[0] <= to_model[1] and _within(to_model[1:], of)


def _cohorts(rows: Iterable[Cohort], sets: int, bucket: int) -> bool:
    return all(row[0] < sets and row[3] < bucket for row in rows)


def _by_cohort(rows: Iterable[Cohort]) -> dict[Sequence[int], int]:
    counts: dict[Sequence[int], int] = {}
    for *place, accounts in rows:
        counts[tuple(place)] = counts.get(tuple(place), 0) + accounts
    return counts


def _within_cohorts(active: dict[Sequence[int], int], some: Iterable[Cohort]) -> bool:
    return all(number <= active.get(place, 0) for place, number in _by_cohort(some).items())
