r"""What one candidate model means to every account of a partition.

Online models per account and candidate, fed once per closed bucket in which the
account was active (:math:`n > 0` requests, :math:`k` of them to the candidate by choice):

**Tempered CUSUM** of the account's share of the candidate, for shares
:math:`s \in \{0.3, 0.6, 0.9\}` against an idle share :math:`q_0 = 0.08`,

.. math::

    W_s \leftarrow \max\Bigl(0,\; W_s + f \bigl[k \ln \tfrac{s}{q_0}
        + (n-k) \ln \tfrac{1-s}{1-q_0}\bigr]\Bigr),
    \qquad f = \frac{1}{1 + (n-1)\rho},\; \rho = 0.15.

The factor :math:`f` tempers the likelihood: requests of one account within one bucket are not
independent (:math:`\rho` is their correlation). The account *switches* when
:math:`\max_s W_s \ge \ln 50`. Its *first use* is its first :math:`k > 0`. Both happen at most once.

**Page-Hinkley** on :math:`x = k/n - (\sum k - k)/(\sum n - n)`, the account's share less the share
of everyone else in its partition, zeros included. The recursion is that of
`river.drift.PageHinkley` (``mode="up"``), carried out on whole columns; the tests hold it equal to
river's detector to the last bit, update by update.

What part of its traffic it sends from then on is measured in two blocks
(`pivotwatch_models.groups.split_detector`).

The models say that an account moved. Whether that is remarkable depends on how everyone else
moved, which is the business of the population clock and the group e-detector.

References
----------
E. S. Page (1954), Continuous inspection schemes, Biometrika 41. G. Lorden (1971), Procedures for
reacting to a change in distribution.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pivotwatch_models.accounts.split_blocks import Blocks, end_blocks, split_fields
from pivotwatch_models.base.arrays import Floats, Ints, Mask
from pivotwatch_models.base.columns import Columns
from pivotwatch_models.method import STATE
from pivotwatch_models.settings import HOUR_MS

_SWITCH, _PAGE_HINKLEY = STATE.switch, STATE.page_hinkley
_SWITCH_AT = math.log(_SWITCH.likelihood_ratio)

FIRST_USE, SWITCH = 0, 1
EVENT_TYPES = ("first_use", "switch")

USED, SWITCHED, DRIFTED = 1, 2, 4


@dataclasses.dataclass(frozen=True, slots=True)
class PageHinkley:
    """Parameters of the account finding, as of `river.drift.PageHinkley`."""

    threshold: float
    min_instances: int = _PAGE_HINKLEY.min_instances
    delta: float = _PAGE_HINKLEY.delta
    alpha: float = _PAGE_HINKLEY.alpha

    @classmethod
    def calibrated(cls, bucket_ms: int) -> Self:
        """Parameters for a width of bucket.

        An honest account that moves for good adds the same per day whatever the width, so the threshold
        falls as the width grows. Over a week after a simulated release the greatest statistic of an honest
        account was 42 with buckets of 1 h, 9.3 with 6 h and 2.2 with 24 h.

        Examples
        --------
        >>> [PageHinkley.calibrated(hours * HOUR_MS).threshold for hours in (1, 6, 24)]
        [60.0, 10.0, 2.5]
        """
        hours, least = _PAGE_HINKLEY.threshold_hours, _PAGE_HINKLEY.threshold_least
        return cls(threshold=max(least, hours * HOUR_MS / bucket_ms))


@dataclasses.dataclass(frozen=True, slots=True)
class Changes:
    """What one bucket changed, aligned with the rows it was given.

    ``at_risk`` and ``events`` hold one mask per event type; ``drift`` marks account findings;
    ``blocks`` are those of `pivotwatch_models.groups.split_detector` that ended.
    """

    at_risk: tuple[Mask, Mask]
    events: tuple[Mask, Mask]
    drift: Mask
    blocks: Blocks


class AccountModels:
    """The models of every account for one candidate model.

    Parameters
    ----------
    page_hinkley
        Parameters of the account finding.

    Examples
    --------
    An account that makes three requests a bucket goes from none to all of them:

    >>> models = AccountModels(PageHinkley(threshold=2.0))
    >>> row = np.array([0])
    >>> for bucket in range(20):
    ...     k = np.array([3 if bucket >= 12 else 0])
    ...     changes = models.update(bucket, row, np.array([3]), k, others=(1000, 20))
    ...     for event, mask in zip(EVENT_TYPES, changes.events):
    ...         if mask[0]:
    ...             print(bucket, event)
    ...     if changes.drift[0]:
    ...         print(bucket, "finding, moving since", models.moving_since(row)[0])
    12 first_use
    12 switch
    14 finding, moving since 12
    """

    def __init__(self, page_hinkley: PageHinkley) -> None:
        self.page_hinkley = page_hinkley
        self.columns = Columns(
            {
                "flags": ("u1", 0),
                **{f"w{i}": ("f4", 0.0) for i in range(len(_SWITCH.shares))},
                "n": ("i4", 0),
                "mean": ("f8", 0.0),
                "sum": ("f8", 0.0),
                "min": ("f8", math.inf),
                "since": ("i4", -1),
                **split_fields(),
            }
        )

    def update(self, bucket: int, rows: Ints, n: Ints, k: Ints, others: tuple[int, int]) -> Changes:
        """Take one closed bucket.

        Parameters
        ----------
        bucket
            Index of the bucket.
        rows
            The accounts active in it, each once.
        n, k
            Requests of each, and those to the candidate by choice (0 ≤ k ≤ n, n ≥ 1).
        others
            Requests of the whole partition in the bucket and those to the candidate by choice;
            the account's own are taken off here.
        """
        self.columns.reserve(int(rows.max()) + 1 if len(rows) else 0)
        flags = self.columns["flags"][rows]
        at_risk = ((flags & USED) == 0, (flags & SWITCHED) == 0)
        used = at_risk[FIRST_USE] & (k > 0)
        switched = at_risk[SWITCH] & self._cusum(rows, n, k)
        drift = self._page_hinkley(bucket, rows, share_residual(n, k, *others), flags)
        flags = flags & ~np.uint8(DRIFTED)
        flags |= used * np.uint8(USED) | switched * np.uint8(SWITCHED) | drift * np.uint8(DRIFTED)
        self.columns["flags"][rows] = flags
        blocks = end_blocks(self.columns, rows, n, k, ~at_risk[FIRST_USE])
        return Changes(at_risk, (used, switched), drift & (k > 0), blocks)

    def _cusum(self, rows: Ints, n: Ints, k: Ints) -> Mask:
        factor = 1.0 / (1.0 + (n - 1) * _SWITCH.correlation)
        over = np.zeros(len(rows), dtype=np.bool_)
        idle = _SWITCH.idle_share
        for i, share in enumerate(_SWITCH.shares):
            gain = k * math.log(share / idle) + (n - k) * math.log((1 - share) / (1 - idle))
            w = np.maximum(0.0, self.columns[f"w{i}"][rows] + factor * gain)
            self.columns[f"w{i}"][rows] = w
            over |= w >= _SWITCH_AT
        return over

    def _page_hinkley(self, bucket: int, rows: Ints, x: Floats, flags: NDArray[np.uint8]) -> Mask:
        """River's update in river's order of operations, so that the floats are the same."""
        columns, p = self.columns, self.page_hinkley
        fresh = (flags & DRIFTED) != 0  # river starts anew at the update after a drift
        n = np.where(fresh, 0, columns["n"][rows]) + 1
        mean = np.where(fresh, 0.0, columns["mean"][rows])
        mean = mean + (1.0 / n) * (x - mean)
        total = p.alpha * np.where(fresh, 0.0, columns["sum"][rows]) + (x - mean) - p.delta
        least = np.where(fresh, math.inf, columns["min"][rows])
        lower = total < least
        least = np.where(lower, total, least)
        columns["n"][rows] = n
        columns["mean"][rows] = mean
        columns["sum"][rows] = total
        columns["min"][rows] = least
        columns["since"][rows] = np.where(lower, bucket + 1, columns["since"][rows])
        return (n >= p.min_instances) & (total - least > p.threshold)

    def moving_since(self, rows: Ints) -> Ints:
        """The bucket after the last minimum of the Page-Hinkley sum: where the move began."""
        return self.columns["since"][rows].astype(np.int64)

    def usual_residual(self, rows: Ints) -> Floats:
        """Mean of x so far: how far the account usually is from everyone else."""
        return self.columns["mean"][rows].astype(np.float64)

    def forget(self, rows: Ints) -> None:
        """Make rows as new, for other accounts to take."""
        self.columns.reserve(int(rows.max()) + 1 if len(rows) else 0)
        self.columns.clear(rows)

    def snapshot(self, rows: Ints) -> bytes:
        """State of the given rows."""
        self.columns.reserve(int(rows.max()) + 1 if len(rows) else 0)
        return self.columns.snapshot(rows)

    def restore(self, rows: Ints, state: bytes) -> None:
        """Continue exactly where `snapshot` was taken."""
        self.columns.restore(rows, state)


def share_residual(n: Ints, k: Ints, total_n: int, total_k: int) -> Floats:
    """The account's share less that of everyone else: k/n − (Σk − k)/(Σn − n).

    Examples
    --------
    >>> share_residual(np.array([4, 10]), np.array([2, 0]), total_n=14, total_k=2).tolist()
    [0.5, -0.5]
    """
    rest = total_n - n
    return k / n - np.where(rest > 0, (total_k - k) / np.maximum(rest, 1), 0.0)
