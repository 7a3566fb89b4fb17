"""Blocks of requests in which the split of an account's traffic is measured.

From the bucket after its first use, an account's requests are counted in two blocks, of at least 8 and then
at least 24 requests. The bucket that fills a block ends it. The *split* of a block is the decile of k / n:
requests to the model by choice, over all requests. `pivotwatch_models.groups.split_detector` says what it is
evidence of.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pivotwatch_models.base.arrays import Ints, Mask
from pivotwatch_models.base.columns import Columns
from pivotwatch_models.method import STATE

DECILES = 10
_BLOCKS = STATE.split_blocks
_UNUSED, _FIRST, _SECOND, _JUDGED = 0, 1, 2, 255
"""Stages of an account. In its second block the stage is 2 + the decile of the first block."""


def decile(n: Ints, k: Ints) -> Ints:
    """Decile of k / n, 0 … 9.

    Examples
    --------
    >>> decile(np.array([8, 8, 8, 8]), np.array([0, 1, 4, 8])).tolist()
    [0, 1, 5, 9]
    """
    tenth: Ints = np.minimum(10 * k // n, DECILES - 1)
    return tenth


class Blocks(NamedTuple):
    """Blocks that a bucket ended, one entry per account.

    Attributes
    ----------
    place
        Index into the rows that `end_blocks` was given.
    second
        Whether it is the second block, with which the account is judged.
    steady
        Whether the splits of both blocks differ by at most four deciles; False for a first block.
    split
        Decile of the block's split, 0 … 9.
    """

    place: Ints
    second: Mask
    steady: Mask
    split: Ints


def split_fields() -> dict[str, tuple[str, float]]:
    """Columns that the blocks of an account need: 3 bytes."""
    return {"stage": ("u1", _UNUSED), "block_n": ("u1", 0), "block_k": ("u1", 0)}


def end_blocks(columns: Columns, rows: Ints, n: Ints, k: Ints, used: Mask) -> Blocks:
    """Add a bucket to the blocks of the accounts; returns the blocks that it ended.

    Parameters
    ----------
    columns
        Has the `split_fields`; changed in place.
    rows, n, k
        Active accounts, their requests, and those to the model by choice, (accounts,).
    used
        Which of them had used the model before this bucket, (accounts,).

    Examples
    --------
    An account sends half of its requests to the model, in three buckets:

    >>> columns, row, one = Columns(split_fields()), np.array([0]), np.array([True])
    >>> columns.reserve(1)
    >>> for n, k in [(5, 2), (5, 3), (40, 20)]:
    ...     blocks = end_blocks(columns, row, np.array([n]), np.array([k]), one)
    ...     print(blocks.split.tolist(), blocks.second.tolist(), blocks.steady.tolist())
    [] [] []
    [5] [False] [False]
    [5] [True] [True]
    """
    stage = columns["stage"][rows]
    place = np.flatnonzero(used & (stage != _JUDGED))
    own, stage = rows[place], np.maximum(stage[place], _FIRST)
    total_n, total_k = columns["block_n"][own] + n[place], columns["block_k"][own] + k[place]
    second = stage > _FIRST
    ended = total_n >= np.where(second, _BLOCKS.second_block, _BLOCKS.first_block)
    split = decile(np.maximum(total_n, 1), total_k)
    columns["stage"][own] = np.where(ended, np.where(second, _JUDGED, _SECOND + split), stage)
    columns["block_n"][own] = np.where(ended, 0, total_n)
    columns["block_k"][own] = np.where(ended, 0, total_k)
    steady = second & (np.abs(stage.astype(np.int64) - _SECOND - split) <= _BLOCKS.steady_within)
    return Blocks(place[ended], second[ended], steady[ended], split[ended])
