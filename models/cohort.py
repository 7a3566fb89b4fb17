"""Cohorts: accounts that may be expected to move at a like pace.

A cohort is a band of volume, whether the account is young, and its exposure: has it been active
since the release before? Real adopters move mostly at their first activity after a release, so the
hazard of an exposed account that has not moved is far lower.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BANDS = 7
COHORTS = BANDS * 2 * 2
_EDGES = np.array([1, 2, 4, 8, 16, 32])


def volume_band(n: NDArray[np.int64]) -> NDArray[np.int64]:
    """Band of the requests in a bucket: ≤ 1, 2, 4, 8, 16, 32, more.

    Examples
    --------
    >>> volume_band(np.array([1, 2, 3, 32, 33])).tolist()
    [0, 1, 2, 5, 6]
    """
    return np.searchsorted(_EDGES, n, side="left").astype(np.int64)


Ints = NDArray[np.int64]


def cohort(band: Ints, young: Ints, exposed: Ints) -> Ints:
    """Numbers of cohorts, 0 … 27.

    Examples
    --------
    >>> one = np.array([1])
    >>> cohort(6 * one, one, one).tolist() == [COHORTS - 1]
    True
    """
    return (band * 2 + young) * 2 + exposed
