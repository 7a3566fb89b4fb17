"""Whether a bucket holds enough first uses to learn the population's pace from.

A group is compared with everyone else *in the same bucket*. With less than one first use of everyone in a
bucket there is nobody to compare with: the expectation is then mostly memory, and a jump of everyone cannot
be told from a jump of one group. The remedy is a wider bucket. A population that sends a few requests a week
needs buckets of a day.
"""

from __future__ import annotations

from pivotwatch_models.method import DECISION

_SUFFICIENCY = DECISION.sufficiency


def advised_width(moves: int, buckets: int, width_ms: int) -> int | None:
    """Width of bucket to use instead, in milliseconds, when the data are too sparse for this one; else None.

    Parameters
    ----------
    moves
        First uses of a model since its watch began.
    buckets
        Number of buckets since then. Before the twelfth the answer is None.
    width_ms
        Their width, in milliseconds.

    Examples
    --------
    Forty accounts tried a model in its first ten days:

    >>> from pivotwatch_models.settings import DAY_MS, HOUR_MS
    >>> advised_width(40, 240, HOUR_MS) == DAY_MS, advised_width(40, 12, DAY_MS)
    (True, None)
    """
    if buckets < _SUFFICIENCY.least_buckets or moves >= _SUFFICIENCY.least_moves * buckets:
        return None
    wider = [width for width in _SUFFICIENCY.widths_ms if width > width_ms]
    needed = _SUFFICIENCY.good_moves * buckets * width_ms
    enough = [width for width in wider if moves * width >= needed]
    return next(iter(enough), wider[-1] if wider else None)
