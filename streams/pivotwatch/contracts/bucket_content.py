"""The content of a bucket record: its type, and the checks that it must pass.

`networks` checks a record once, when all parts are there. A record that passes can be scored without further
checks. A record that fails was not written by `accounts`.

Tables stay JSON until they are needed and then become arrays: a million accounts give tables of millions of
integers, and numpy reads the text in a seventh of the time that a list of Python integers takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Any

import msgspec
import numpy as np
import orjson
from msgspec import Meta, Raw

from pivotwatch.contracts.codec import Text, explain
from pivotwatch.contracts.events import BadEvent
from pivotwatch_models.accounts.share_models import EVENT_TYPES
from pivotwatch_models.accounts.split_blocks import DECILES
from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.population.cohorts import BANDS

NOT_YOUNG, YOUNG, BY_FIRST_SIGHT = 0, 1, 2
AGES = 3
"""Ages of accounts: not young; created within 7 days; creation unknown, and first seen within 7 days."""

assert len(EVENT_TYPES) == 2, "the types below have a place for each"

Count = Annotated[int, Meta(ge=0, le=2**53)]
Number = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Index = Annotated[int, Meta(ge=0, le=2**31)]
Flag = Annotated[int, Meta(ge=0, le=1)]
Age = Annotated[int, Meta(ge=0, lt=AGES)]
Previous = Annotated[int, Meta(ge=-1, le=2**53)]
Size = Annotated[int, Meta(ge=-1, le=2**20)]
Group = tuple[Text, Text]
"""Kind and id."""
Tally = tuple[Text, Text, Count]
"""Kind and id of a group, and a number."""
Cohort = tuple[Index, Annotated[int, Meta(ge=0, lt=BANDS)], Age, Previous, Count]
"""Set, volume band, age, previous active bucket (-1: none), accounts."""
Mover = tuple[Text, Index, Flag, Flag, Age, Previous]
"""Account, set, whether first use, whether switch, age, previous active bucket."""
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
"""Index of a group, then as `ToModel`."""

NOTHING = Raw(b"[]")


def _rows(row: Any) -> Meta:
    """What the schema says of a table that is read later."""
    return Meta(extra_json_schema=msgspec.json.schema(list[row]))


Groups = Annotated[Raw, _rows(Group)]
Sets = Annotated[Raw, _rows(list[Index])]
Tallies = Annotated[Raw, _rows(Tally)]
Cohorts = Annotated[Raw, _rows(Cohort)]
Movers = Annotated[Raw, _rows(Mover)]
Blocks = Annotated[Raw, _rows(Block)]
Traffics = Annotated[Raw, _rows(Traffic)]
GroupsToModel = Annotated[Raw, _rows(GroupToModel)]


def _empty() -> Any:
    return msgspec.field(default_factory=lambda: NOTHING)


class ModelBody(msgspec.Struct, frozen=True, kw_only=True):
    """What the bucket says about one model. Pairs hold first uses, then switches."""

    model: Annotated[Text, Meta(description="The model.")]
    first: Annotated[Count, Meta(description="The first bucket in which the partition saw it.")]
    total: Annotated[
        ToModel,
        Meta(
            description="Requests to it by the account's own choice; all; tokens in; tokens out; with tools."
        ),
    ]
    traffic: Annotated[
        GroupsToModel, Meta(description="The same per group that used it: index into groups, then as total.")
    ]
    done: Annotated[
        tuple[Cohorts, Cohorts],
        Meta(description="Active accounts that had had the event before, per set and cohort: as active."),
    ]
    events: Annotated[
        tuple[Cohorts, Cohorts],
        Meta(description="Accounts that had the event in this bucket, per set and cohort: as active."),
    ]
    movers: Annotated[
        Movers,
        Meta(
            description="Accounts that had an event: account, index into sets, whether it was a first use, "
            "whether it was a switch, age, previous active bucket (-1: none)."
        ),
    ]
    findings: Annotated[
        list[Finding],
        Meta(
            description="Accounts that moved by themselves: account, index into sets, bucket in which it "
            "began, requests, requests to the model, usual residual in thousandths."
        ),
    ]
    blocks: Annotated[
        Blocks,
        Meta(
            description="Accounts that completed a block of 8 requests: account, index into sets, whether it "
            "is the second block, whether the split is steady, decile of the split, sizes in and out (16 ln "
            "of the mean tokens; -1: none)."
        ),
    ]


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one partition over one bucket."""

    groups: Annotated[Groups, Meta(description="Groups that sent requests, in order: kind, id.")] = _empty()
    sets: Annotated[
        Sets, Meta(description="Sets of groups that an account belongs to: indexes into groups.")
    ] = _empty()
    requests: Annotated[Count, Meta(description="Requests that were counted.")] = 0
    spent: Annotated[Spent, Meta(description="Their tokens in, tokens out; requests with tools.")] = (0, 0, 0)
    active: Annotated[
        Cohorts,
        Meta(
            description="Accounts that sent them, per set and cohort: index into sets, volume band, age (0 "
            "not young, 1 young, 2 young by first sight), previous active bucket (-1: none), accounts."
        ),
    ] = _empty()
    traffic: Annotated[
        Traffics, Meta(description="Per group: requests, tokens in, tokens out, requests with tools.")
    ] = _empty()
    models: Annotated[
        list[ModelBody], Meta(description="Every model that is followed, in order of its name.")
    ] = msgspec.field(default_factory=list)
    watermark: Annotated[
        Number, Meta(description="Watermark of the partition, epoch milliseconds; negative: none.")
    ] = -1
    late: Annotated[Count, Meta(description="Late events since the last record, left out.")] = 0
    dropped_models: Annotated[
        Count, Meta(description="Models, left out, because too many appeared at once.")
    ] = 0
    forgotten_models: Annotated[
        Count, Meta(description="Model names that were forgotten, because there were too many.")
    ] = 0
    invalid: Annotated[Count, Meta(description="Events since the last record that became dead letters.")] = 0
    failed: Annotated[Count, Meta(description="Failed requests since the last record, not counted.")] = 0
    late_groups: Annotated[Tallies, Meta(description="Late events per group: kind, id, events.")] = _empty()
    joined: Annotated[
        Tallies, Meta(description="Accounts that joined a group in this bucket: kind, id, accounts.")
    ] = _empty()
    left: Annotated[
        Tallies, Meta(description="Accounts that left a group (90 days without it): kind, id, accounts.")
    ] = _empty()
    late_parts: Annotated[
        list[LatePart], Meta(description="What came late of earlier buckets since the last record.")
    ] = []

    @property
    def is_active(self) -> bool:
        """Whether any account sent requests."""
        return len(bytes(self.active).strip(b"[] \t\r\n")) > 0


class LatePart(msgspec.Struct, frozen=True, kw_only=True):
    """What came late of an earlier bucket: who was active then, and first uses of models."""

    bucket: Annotated[Index, Meta(description="Index of the earlier bucket.")]
    body: Annotated[Body, Meta(description="The same as for a bucket, without counters.")]


def encoded(rows: Sequence[Any] | Ints) -> Raw:
    """A table as JSON, in pieces none of which takes long to make; integers may be an array.

    Examples
    --------
    >>> bytes(encoded(np.array([[1, 2], [3, 4]])))
    b'[[1,2],[3,4]]'
    """
    return Raw(orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY))


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
    """Array of a table of integers that has been checked.

    Examples
    --------
    >>> table(Raw(b"[[1,2],[-3,4]]"), 2).tolist(), table(Raw(b"[]"), 2).shape
    ([[1, 2], [-3, 4]], (0, 2))
    """
    digits = bytes(raw).translate(None, b"[] \t\r\n")
    flat = np.fromstring(digits, dtype=np.int64, sep=",") if digits else np.empty(0, dtype=np.int64)
    return flat.reshape(-1, width)


def sets(raw: Raw) -> tuple[Ints, Ints]:
    """Number of groups of each set, and the groups of all sets in a row.

    Examples
    --------
    >>> [part.tolist() for part in sets(Raw(b"[[],[3],[0,2]]"))]
    [[0, 1, 2], [3, 0, 2]]
    """
    rows = sets_of(raw)
    sizes = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    return sizes, np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(sizes.sum()))


def check(content: bytes, bucket: int) -> None:
    """Check the content of a record of a bucket.

    Raises
    ------
    BadEvent
        With the check that fails.

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
        _traffic_of(body.traffic)
        _hold("somebody was active", not (body.requests or groups or len(sizes) or body.models))
        return
    _hold("groups differ", len(set(own_groups)) == groups)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    _hold("a set names groups", bool((flat < groups).all()))
    _hold("a set names a group once", len(np.unique(owner * groups + flat)) == len(flat))
    everyone = np.array([body.requests, *body.spent])
    _traffic_of(body.traffic)
    traffic = table(body.traffic, 4)
    _hold("traffic is that of the groups", len(traffic) == groups)
    _hold("traffic is part of everyone's", bool((traffic <= everyone).all()))
    _hold("cohorts name sets", _placed(active, len(sizes), bucket))
    _hold("each active account sent something", float(active[:, 4].sum(dtype=float)) <= body.requests)
    _hold("models differ", len({row.model for row in body.models}) == len(body.models))
    for model in body.models:
        _check_model(model, len(sizes), active, everyone, traffic, bucket)


def _check_late(parts: list[LatePart], bucket: int) -> None:
    buckets = [part.bucket for part in parts]
    _hold("late parts are of earlier buckets", sorted(set(buckets)) == buckets and max(buckets) < bucket)
    for part in parts:
        _hold("a late part has none of its own", not part.body.late_parts)
        _hold("somebody was active", part.body.is_active)
        _check(part.body, part.bucket)


def _check_model(  # noqa: PLR0917  # all that a model is checked with
    model: ModelBody, sets: int, active: Ints, everyone: Ints, traffic: Ints, bucket: int
) -> None:
    _hold("a model was seen first before", model.first <= bucket)
    _hold("a model's traffic is part of all", _part(np.array([model.total]), everyone))
    _to_model_of(model.traffic)
    own = table(model.traffic, 6)
    _hold("a model's traffic is of groups", bool((own[:, 0] < len(traffic)).all()))
    _hold("a model's traffic is part of its group's", _part(own[:, 1:], traffic[own[:, 0]]))
    for raws in zip(model.done, model.events, strict=True):
        some = [_cohorts(raw) for raw in raws]
        for rows in some:
            _hold("cohorts name sets", _placed(rows, sets, bucket))
        _hold("who is done or moves is active", _within_cohorts(active, np.concatenate(some)))
    movers = movers_of(model.movers)
    _hold("a mover has a set", all(m[1] < sets and m[5] < bucket for m in movers))
    for f in model.findings:
        _hold("a finding has a set and requests", f[1] < sets and f[2] <= bucket and 0 < f[3] >= f[4])
    _hold("a block has a set", all(b[1] < sets for b in blocks_of(model.blocks)))


def _cohorts(raw: Raw) -> Ints:
    """Array of a table of cohorts, after checking its rows."""
    _cohorts_of(raw)
    return table(raw, 5)


def _hold(what: str, holds: bool) -> None:
    if not holds:
        raise BadEvent(f"not a bucket: expected that {what}")


def _part(to_model: Ints, of: Ints) -> bool:
    """Whether requests by choice are part of all requests to the model, and those of all requests."""
    return bool((to_model[:, 0] <= to_model[:, 1]).all() and (to_model[:, 1:] <= of).all())


def _placed(rows: Ints, sets: int, bucket: int) -> bool:
    return bool((rows[:, 0] < sets).all() and (rows[:, 3] < bucket).all())


def _within_cohorts(active: Ints, some: Ints) -> bool:
    """Whether no cohort has more accounts than are active in it."""
    own_set, band, age, previous, accounts = np.concatenate([active, some]).T
    times, when = np.unique(previous, return_inverse=True)
    code = ((own_set * BANDS + band) * AGES + age) * len(times) + when
    codes, place = np.unique(code, return_inverse=True)
    # Sums of floats are exact up to 2^53.
    there = np.bincount(place[: len(active)], weights=accounts[: len(active)], minlength=len(codes))
    asked = np.bincount(place[len(active) :], weights=accounts[len(active) :], minlength=len(codes))
    return bool((asked <= there).all())
