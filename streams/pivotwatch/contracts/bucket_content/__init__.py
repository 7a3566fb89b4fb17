"""The content of a bucket record: its type, how it is written and read, and the checks that it must pass.

* `Body` is the type. It has one `ModelBody` per candidate, and one `LatePart` per earlier bucket with late
  events.
* Most of its fields are tables. A table stays JSON until it is needed: `encoded` writes one, `table`, `sets`
  and the functions ``…_of`` read one. A million accounts give tables of millions of integers, and numpy reads
  the JSON seven times as fast as a list of Python integers.
* `check` checks the whole content once. After that it can be scored without further checks. `accounts` never
  writes content that fails the check.

Other rooms import these names from here.
"""

from pivotwatch.contracts.bucket_content.body import Body, LatePart, ModelBody, decode
from pivotwatch.contracts.bucket_content.checks import check
from pivotwatch.contracts.bucket_content.tables import (
    AGES,
    BY_FIRST_SIGHT,
    NOT_YOUNG,
    YOUNG,
    Block,
    Finding,
    Mover,
    ToModel,
    blocks_of,
    encoded,
    groups_of,
    movers_of,
    sets,
    table,
    tallies_of,
)

__all__ = [
    "AGES",
    "BY_FIRST_SIGHT",
    "NOT_YOUNG",
    "YOUNG",
    "Block",
    "Body",
    "Finding",
    "LatePart",
    "ModelBody",
    "Mover",
    "ToModel",
    "blocks_of",
    "check",
    "decode",
    "encoded",
    "groups_of",
    "movers_of",
    "sets",
    "table",
    "tallies_of",
]
