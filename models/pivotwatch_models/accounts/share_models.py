r"""Models of single accounts for one candidate model: first use, switch, and the finding of an account alone.

The models are fed once per closed bucket, with the accounts that were active in it: :math:`n > 0` requests,
:math:`k` of them to the candidate by the account's own choice.

**First use.** The first :math:`k > 0`.

**Switch.** A tempered CUSUM of the account's share of the candidate tests the shares
:math:`s \in \{0.3, 0.6, 0.9\}` against an idle share :math:`q_0 = 0.08`,

.. math::

    V_s \leftarrow \max\Bigl(0,\; V_s + f \bigl[k \ln \tfrac{s}{q_0}
        + (n-k) \ln \tfrac{1-s}{1-q_0}\bigr]\Bigr),
    \qquad f = \frac{1}{1 + (n-1)\rho},\; \rho = 0.15.

The factor :math:`f` tempers the likelihood, as requests of one account within one bucket are not independent
(:math:`\rho` is their correlation). The account switches when :math:`\max_s V_s \ge \ln 50`. First use and
switch happen at most once per account and candidate.

**Account finding.** Page-Hinkley on :math:`x = k/n - (\sum k - k)/(\sum n - n)`: the account's share less the
share of everyone else in its partition, buckets with :math:`k = 0` included. The recursion is that of
`river.drift.PageHinkley` with ``mode="up"``, on whole columns. Tests hold it equal to river's detector to the
last bit, update by update.

The split of the account's traffic from then on is measured in two blocks
(`pivotwatch_models.accounts.split_blocks`).

These models say that an account moved. Whether that is remarkable depends on how everyone else moved: see
`pivotwatch_models.population.hazard` and `pivotwatch_models.groups.pace_detector`.

References
----------
E. S. Page, Continuous inspection schemes, Biometrika 41 (1954). G. Lorden, Procedures for reacting to a
change in distribution, Annals of Mathematical Statistics 42 (1971).
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
    """Parameters of the account finding, with the names of `river.drift.PageHinkley`."""

    threshold: float
    min_instances: int = _PAGE_HINKLEY.min_instances
    delta: float = _PAGE_HINKLEY.delta
    alpha: float = _PAGE_HINKLEY.alpha

    @classmethod
    def calibrated(cls, bucket_ms: int) -> Self:
        """Parameters for a width of bucket, in milliseconds.

        The statistic of an honest account that moves for good grows by the same per day whatever the width,
        so the threshold falls as the width grows.

        Examples
        --------
        >>> [PageHinkley.calibrated(hours * HOUR_MS).threshold for hours in (1, 6, 24)]
        [60.0, 10.0, 2.5]
        """
        hours, least = _PAGE_HINKLEY.threshold_hours, _PAGE_HINKLEY.threshold_least
        return cls(threshold=max(least, hours * HOUR_MS / bucket_ms))


@dataclasses.dataclass(frozen=True, slots=True)
class Changes:
    """What one bucket changed; every mask has one entry per row that was given.

    Attributes
    ----------
    at_risk
        For each type of event, which accounts had not had it before.
    events
        For each type of event, which accounts had it now.
    drift
        Which accounts have a finding.
    blocks
        Blocks that ended.
    """

    at_risk: tuple[Mask, Mask]
    events: tuple[Mask, Mask]
    drift: Mask
    blocks: Blocks


class AccountModels:
    """The models of every account of a partition for one candidate model.

    Parameters
    ----------
    page_hinkley
        Parameters of the account finding.

    Examples
    --------
    An account makes three requests per bucket. From bucket 12 on all go to the candidate:

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
            Requests of each, and those to the candidate by choice (0 ≤ k ≤ n, n ≥ 1), (accounts,).
        others
            Requests of the whole partition in the bucket, and those to the candidate by choice. The account's
            own are subtracted here.
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

    def update_late(self, rows: Ints, n: Ints, k: Ints) -> tuple[Mask, Mask]:
        """Take requests of an earlier bucket that came late; returns who was at risk, and who began.

        An account that switches by them does not switch later on: otherwise all accounts of a network that
        was late would seem to switch together when it is on time again.

        Parameters
        ----------
        rows
            The accounts that sent them, each once.
        n, k
            Requests of each, and those to the candidate by choice.
        """
        self.columns.reserve(int(rows.max()) + 1 if len(rows) else 0)
        flags = self.columns["flags"][rows]
        at_risk = (flags & USED) == 0
        used = at_risk & (k > 0)
        switched = ((flags & SWITCHED) == 0) & self._cusum(rows, n, k)
        self.columns["flags"][rows] = flags | used * np.uint8(USED) | switched * np.uint8(SWITCHED)
        return at_risk, used

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
        """Update as river does, in the same order of operations, so that the floats are the same."""
        columns, p = self.columns, self.page_hinkley
        fresh = (flags & DRIFTED) != 0  # river starts again at the update after a drift.
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
        """The bucket in which each move began: the one after the last minimum of the Page-Hinkley sum."""
        return self.columns["since"][rows].astype(np.int64)

    def usual_residual(self, rows: Ints) -> Floats:
        """Mean of x so far: by how much the account's share usually exceeds everyone else's."""
        return self.columns["mean"][rows].astype(np.float64)

    def forget(self, rows: Ints) -> None:
        """Set rows back to new, for other accounts to use."""
        self.columns.reserve(int(rows.max()) + 1 if len(rows) else 0)
        self.columns.clear(rows)

    def snapshot(self, rows: Ints) -> bytes:
        """State of the given rows, as bytes."""
        self.columns.reserve(int(rows.max()) + 1 if len(rows) else 0)
        return self.columns.snapshot(rows)

    def restore(self, rows: Ints, state: bytes) -> None:
        """Continue exactly where `snapshot` was taken."""
        self.columns.restore(rows, state)


def share_residual(n: Ints, k: Ints, total_n: int, total_k: int) -> Floats:
    """Share of each account less the share of everyone else, k/n − (Σk − k)/(Σn − n), (accounts,).

    Examples
    --------
    >>> share_residual(np.array([4, 10]), np.array([2, 0]), total_n=14, total_k=2).tolist()
    [0.5, -0.5]
    """
    rest = total_n - n
    return k / n - np.where(rest > 0, (total_k - k) / np.maximum(rest, 1), 0.0)
