"""The Theil-Sen slope of a series with its confidence interval, and a chart of the series in one line.

The median of the slopes of all pairs of points is robust against outliers. Its interval (Sen) comes from
Kendall's rank statistic, which assumes only that the noise is exchangeable.

References
----------
P. K. Sen (1968), Estimates of the regression coefficient based on Kendall's tau, JASA 63, 1379-1389.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Sequence

CONFIDENCE_Z = 1.96
MOST_GROWTH, WITHIN = 0.01, 30
"""A series is flat when the upper end of the interval is below this growth (fraction) over so many points."""
LEVELS = "▁▂▃▄▅▆▇█"


@dataclasses.dataclass(frozen=True, slots=True)
class Trend:
    """A line through equidistant points.

    Attributes
    ----------
    level
        Median of the points.
    slope, low, high
        Change per point: the estimate and its 95 % interval.
    points
        Number of points.
    """

    level: float
    slope: float
    low: float
    high: float
    points: int

    @property
    def flat(self) -> bool:
        """Whether the series grows by less than `MOST_GROWTH` over `WITHIN` points (upper interval end)."""
        return self.high * WITHIN < MOST_GROWTH * self.level


def trend(values: Sequence[float]) -> Trend:
    """Fit a line through a series.

    Examples
    --------
    >>> line = trend([100.0, 100.2, 99.9, 100.1, 100.0, 100.1, 99.9, 100.0, 100.2, 100.0])
    >>> line.slope, line.flat
    (0.0, True)
    >>> rising = trend([100 + 0.2 * i for i in range(10)])
    >>> round(rising.slope, 3), rising.flat
    (0.2, False)
    """
    n = len(values)
    slopes = sorted((b - a) / (j - i) for (i, a), (j, b) in itertools.combinations(enumerate(values), 2))
    ties = [values.count(value) for value in set(values)]
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)) / 18
    reach = CONFIDENCE_Z * math.sqrt(variance)
    low = max(0, math.floor((len(slopes) - reach) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + reach) / 2))
    return Trend(statistics.median(values), statistics.median(slopes), slopes[low], slopes[high], n)


def picture(values: Sequence[float]) -> str:
    """Draw a series with one character per point, from the smallest to the largest value.

    Examples
    --------
    >>> picture([1.0, 2.0, 3.0, 8.0])
    '▁▂▃█'
    """
    least, most = min(values), max(values)
    width = (most - least) or 1.0
    return "".join(LEVELS[round((value - least) / width * (len(LEVELS) - 1))] for value in values)
