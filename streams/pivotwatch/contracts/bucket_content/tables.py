"""The tables of a bucket record: the types of their rows, and how a table is written and read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Any

import msgspec
import numpy as np
import orjson
from msgspec import Meta, Raw

from pivotwatch.contracts.codec import Text
from pivotwatch_models.accounts.split_blocks import DECILES
from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.population.cohorts import BANDS

NOT_YOUNG, YOUNG, BY_FIRST_SIGHT = 0, 1, 2
AGES = 3
"""Ages of accounts: not young; created within 7 days; creation unknown and first seen within 7 days."""

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
"""Account, set, whether first use, whether switch, age, previous active bucket (-1: none)."""
Finding = tuple[Text, Index, Number, Count, Count, Number]
"""Account, set, bucket in which it began, requests, requests to the model, usual residual in thousandths."""
Block = tuple[Text, Index, Flag, Flag, Annotated[int, Meta(ge=0, lt=DECILES)], Size, Size]
"""Account, set, whether second block, whether steady, decile of the split, sizes in and out."""
Spent = tuple[Count, Count, Count]
"""Tokens in, tokens out, requests with tools."""
Traffic = tuple[Count, Count, Count, Count]
"""Requests, then as `Spent`."""
ToModel = tuple[Count, Count, Count, Count, Count]
"""Requests by the account's own choice, all requests, then as `Spent` for all of them."""
GroupToModel = tuple[Index, Count, Count, Count, Count, Count]
"""Index of a group, then as `ToModel`."""

NOTHING = Raw(b"[]")


def _rows(row: Any) -> Meta:
    """The schema of a table that is read later."""
    return Meta(extra_json_schema=msgspec.json.schema(list[row]))


Groups = Annotated[Raw, _rows(Group)]
Sets = Annotated[Raw, _rows(list[Index])]
Tallies = Annotated[Raw, _rows(Tally)]
Cohorts = Annotated[Raw, _rows(Cohort)]
Movers = Annotated[Raw, _rows(Mover)]
Blocks = Annotated[Raw, _rows(Block)]
Traffics = Annotated[Raw, _rows(Traffic)]
GroupsToModel = Annotated[Raw, _rows(GroupToModel)]

groups_of = msgspec.json.Decoder(list[Group]).decode
sets_of = msgspec.json.Decoder(list[list[Index]]).decode
tallies_of = msgspec.json.Decoder(list[Tally]).decode
movers_of = msgspec.json.Decoder(list[Mover]).decode
blocks_of = msgspec.json.Decoder(list[Block]).decode
cohorts_of = msgspec.json.Decoder(list[Cohort]).decode
traffic_of = msgspec.json.Decoder(list[Traffic]).decode
to_model_of = msgspec.json.Decoder(list[GroupToModel]).decode


def encoded(rows: Sequence[Any] | Ints) -> Raw:
    """A table as JSON.

    Parameters
    ----------
    rows
        Rows of names and integers, or an array of integers, shape (rows, columns).

    Examples
    --------
    >>> bytes(encoded(np.array([[1, 2], [3, 4]])))
    b'[[1,2],[3,4]]'
    """
    return Raw(orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY))


def table(raw: Raw, width: int) -> Ints:
    """Array of a table of integers that has been checked, shape (rows, width).

    Parameters
    ----------
    raw
        The table as JSON.
    width
        Number of columns.

    Examples
    --------
    >>> table(Raw(b"[[1,2],[-3,4]]"), 2).tolist(), table(Raw(b"[]"), 2).shape
    ([[1, 2], [-3, 4]], (0, 2))
    """
    digits = bytes(raw).translate(None, b"[] \t\r\n")
    flat = np.fromstring(digits, dtype=np.int64, sep=",") if digits else np.empty(0, dtype=np.int64)
    return flat.reshape(-1, width)


def sets(raw: Raw) -> tuple[Ints, Ints]:
    """Number of groups of each set, and the groups of all sets one after another.

    Examples
    --------
    >>> [part.tolist() for part in sets(Raw(b"[[],[3],[0,2]]"))]
    [[0, 1, 2], [3, 0, 2]]
    """
    rows = sets_of(raw)
    sizes = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    return sizes, np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(sizes.sum()))
