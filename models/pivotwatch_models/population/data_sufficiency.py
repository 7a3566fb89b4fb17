"""Are there enough moves in a bucket to learn the population's pace from?

A group is held against everyone else *in the same bucket*. With less than one move of everyone in a
bucket there is no everyone else: the expectation is then mostly memory, and a common jump cannot be told from
a group's. The remedy is a wider bucket. Who sends a few requests a week needs a day.
"""

from __future__ import annotations

from pivotwatch_models.method import DECISION

_SUFFICIENCY = DECISION.sufficiency


def advised_width(moves: int, buckets: int, width_ms: int) -> int | None:
    """The width of bucket to take when the data are too thin for this one; None when they are not.

    Parameters
    ----------
    moves
        First uses of a model since its watch began.
    buckets
        How many buckets that was; before the twelfth nothing is said.
    width_ms
        Their width in milliseconds.

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
