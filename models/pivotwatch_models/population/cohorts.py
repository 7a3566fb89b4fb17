"""Cohorts: accounts that may be expected to move at a like pace.

A cohort is a band of volume, an age (young or not) and a level of exposure: since when the account could have
moved. What an account has decided shows at its next activity. So an account that was away for half a day is
likelier to have moved than one that is active every hour. Real adopters move mostly at their first activity
after a release, and accounts that were never seen before most of all.
"""

from __future__ import annotations

import numpy as np

from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.method import STATE

_EDGES = np.array(STATE.cohorts.volume_edges)
_COARSE = np.array(STATE.cohorts.coarse_bands)
_FIRST = np.array(STATE.cohorts.first_activity_edges)
_GAPS = np.array(STATE.cohorts.gap_edges)
BANDS = len(_COARSE)
ALWAYS_ACTIVE = 2 + len(_FIRST)
"""Level of exposure of accounts that were active in the bucket before too."""
EXPOSURES = ALWAYS_ACTIVE + len(_GAPS) + 1
COHORTS = len(set(STATE.cohorts.coarse_bands)) * 2 * EXPOSURES
NEWCOMER_COHORTS = np.arange(COHORTS) % EXPOSURES == 0
"""Which cohorts hold accounts that were never seen before."""
ALWAYS_ACTIVE_COHORTS = np.arange(COHORTS) % EXPOSURES == ALWAYS_ACTIVE
"""Which cohorts hold accounts that were active in the bucket before too."""
SETTLED_COHORTS = ALWAYS_ACTIVE_COHORTS & (np.arange(COHORTS) // EXPOSURES % 2 == 0)
"""The same without young accounts: newcomers stay active for hours after their first request."""
BAND_NAMES = ("1 request", "2 to 4 requests", "5 or more requests")


def volume_band(n: Ints) -> Ints:
    """Band of the requests in a bucket: ≤ 1, 2, 4, 8, 16, 32, more.

    Examples
    --------
    >>> volume_band(np.array([1, 2, 3, 32, 33])).tolist()
    [0, 1, 2, 5, 6]
    """
    return np.searchsorted(_EDGES, n, side="left").astype(np.int64)


def exposure(previous: Ints, bucket: int, released: int) -> Ints:
    """Level of exposure of each account, 0 … 8.

    ======= =====================================================================================
    level   account
    ======= =====================================================================================
    0       never seen before
    1, 2, 3 first activity since the release: within 12 buckets of it, within 48, later
    4 … 8   active since the release, the last time 1, up to 3, up to 8, up to 24, more buckets ago
    ======= =====================================================================================

    Parameters
    ----------
    previous
        Last active bucket of each account before this one; -1: none.
    bucket, released
        Index of this bucket, and of the first that lies wholly after the release.

    Examples
    --------
    >>> exposure(np.array([-1, 90, 119, 117, 100]), bucket=120, released=100).tolist()
    [0, 2, 4, 5, 7]
    """
    later = ALWAYS_ACTIVE + np.searchsorted(_GAPS, bucket - previous, side="left")
    first = 1 + int(np.searchsorted(_FIRST, bucket - released, side="right"))
    return np.where(previous < 0, 0, np.where(previous >= released, later, first))


def cohort(band: Ints, young: Ints, exposed: Ints) -> Ints:
    """Number of the cohort of each account, 0 … 53.

    Parameters
    ----------
    band
        Band of volume, 0 … 6 (`volume_band`).
    young
        1 for a young account, else 0.
    exposed
        Level of exposure (`exposure`).

    Examples
    --------
    >>> one = np.array([1])
    >>> cohort(6 * one, one, 8 * one).tolist() == [COHORTS - 1]
    True
    """
    return (_COARSE[band] * 2 + young) * EXPOSURES + exposed
