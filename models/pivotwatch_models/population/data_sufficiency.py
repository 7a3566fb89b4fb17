"""Are there enough moves in a bucket to learn the population's pace from?

A group is held against everyone else *in the same bucket*. With less than one move of everyone in a
bucket there is no everyone else: the expectation is then mostly memory, and a common jump cannot be told from
a group's. The remedy is a wider bucket. Who sends a few requests a week needs a day.
"""

from __future__ import annotations

from pivotwatch_models.settings import DAY_MS, HOUR_MS

LEAST_MOVES, GOOD_MOVES = 1.0, 2.0
LEAST_BUCKETS = 12
WIDTHS = (5 * 60_000, 15 * 60_000, HOUR_MS, 6 * HOUR_MS, DAY_MS, 7 * DAY_MS)


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

    >>> advised_width(40, 240, HOUR_MS) == DAY_MS, advised_width(40, 12, DAY_MS)
    (True, None)
    """
    if buckets < LEAST_BUCKETS or moves >= LEAST_MOVES * buckets:
        return None
    wider = [width for width in WIDTHS if width > width_ms]
    enough = [width for width in wider if moves * width >= GOOD_MOVES * buckets * width_ms]
    return next(iter(enough), wider[-1] if wider else None)
