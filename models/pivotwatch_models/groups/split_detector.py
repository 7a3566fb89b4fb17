r"""The split e-detector: do the accounts of a group send the same part of their traffic to a new model?

Real adopters send nearly all of their traffic to a new model, or hardly any. Extraction sends a steady part
of *every* account's traffic. That shows however slowly the group moves and however fast the population does,
so it is evidence where the pace is none.

**Account.** Its traffic after the first use is measured in two blocks
(`pivotwatch_models.accounts.split_blocks`). The account is *steady* when the splits of both differ by at most
four deciles. Each account is judged once, at the end of its second block.

**Group.** For each window :math:`w` of four neighbouring deciles that leaves out the two ends, let
:math:`X = 1` when a judged account is steady and its second split lies in :math:`w`. The null hypothesis:
given the past, :math:`P(X = 1) \le p_w`, with

.. math:: p_w = \theta_s \,\bigl(\hat p + 1.645 \sqrt{\hat p (1 - \hat p) / (N + 4)}\bigr),
          \qquad \hat p = \frac{c_w + 2}{N + 4},

from the :math:`N` accounts judged so far, of which :math:`c_w` lie in the window, without those of the group
and of flagged groups. :math:`\theta_s = 2`: members of a group may prefer a split twice as often as everyone
and still be normal. Per account the factor

.. math:: L_w = \Bigl(\frac{q}{p_w}\Bigr)^{X} \Bigl(\frac{1-q}{1-p_w}\Bigr)^{1-X}, \qquad q = 0.85 > p_w

has mean at most one: it is linear in :math:`P(X=1)`, increasing, and one at :math:`p_w`. So the
Shiryaev-Roberts sum :math:`R_w \leftarrow (1 + R_w) \prod L_w` over the buckets in which members were judged
satisfies :math:`E[R_t] \le t`. The detector is the mean over :math:`w`, which keeps the bound. There is no
bet (:math:`L = 1`) while :math:`N < 30` or where :math:`p_w \ge q`: in a population that itself splits its
traffic the detector is silent, by design.

A company that moves nearly all of its traffic lies in the ends that are left out, and can only lower
:math:`R`.

References
----------
J. Shin, A. Ramdas, A. Rinaldo, E-detectors (2023). I. Waudby-Smith, A. Ramdas, Estimating means of bounded
random variables by betting, JRSS B (2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

from river import base

from pivotwatch_models.base.log_sums import log_mean_exp, log_one_plus
from pivotwatch_models.method import STATE
from pivotwatch_models.settings import Settings

_SPLIT = STATE.split
WINDOWS = _SPLIT.windows
"""Windows of deciles, [from, to)."""
_ALTERNATIVE = _SPLIT.alternative


def normal_limits(judged: int, inside: Sequence[int]) -> list[float]:
    """Normal limits p_w of all windows; 1 while too few accounts are judged.

    Parameters
    ----------
    judged
        N, accounts judged so far.
    inside
        c_w of each window: steady accounts of them whose split lies in it.

    Examples
    --------
    >>> [round(p, 2) for p in normal_limits(1000, [20, 100])]
    [0.06, 0.23]
    >>> normal_limits(10, [0])
    [1.0]
    """
    if judged < _SPLIT.least_judged:
        return [1.0] * len(inside)
    limits = []
    for count in inside:
        others = judged + _SPLIT.prior_judged
        p = (count + _SPLIT.prior_inside) / others
        limits.append(_SPLIT.theta * (p + _SPLIT.confidence * math.sqrt(p * (1 - p) / others)))
    return limits


class SplitEDetector(base.DriftDetector):
    """E-detector of accounts of one group that split their traffic alike, in river's detector interface.

    Parameters
    ----------
    threshold
        Score ln R at which a drift is detected.

    Attributes
    ----------
    log_r
        Score ln R after the last update; -inf before the first.

    Examples
    --------
    One in ten of everyone splits its traffic. Six accounts of a group are judged per bucket, and nearly all
    do:

    >>> detector = SplitEDetector(threshold=14.7)
    >>> limits = normal_limits(1000, [100] * len(WINDOWS))
    >>> for seen in [0, 5, 6, 6]:
    ...     detector.update((6, [seen] * len(WINDOWS), limits))
    ...     print(seen, round(detector.log_r, 1), detector.drift_detected)
    0 -9.8 False
    5 4.8 False
    6 12.5 False
    6 20.3 True
    """

    def __init__(self, threshold: float = Settings().score_threshold) -> None:
        super().__init__()
        self.threshold = threshold
        self._reset()

    def _reset(self) -> None:
        super()._reset()
        self._log_r = [-math.inf] * len(WINDOWS)
        self.log_r = -math.inf

    def update(self, x: tuple[int, Sequence[int], Sequence[float]]) -> None:  # type: ignore[override]  # river takes a float
        """Take one bucket: accounts judged, steady ones inside each window, and `normal_limits`."""
        judged, inside, limits = x
        for w, (seen, p) in enumerate(zip(inside, limits, strict=True)):
            bet = 0.0
            if p < _ALTERNATIVE:
                bet = seen * math.log(_ALTERNATIVE / p)
                bet += (judged - seen) * math.log((1 - _ALTERNATIVE) / (1 - p))
            self._log_r[w] = log_one_plus(self._log_r[w]) + bet
        self.log_r = log_mean_exp(self._log_r)
        self._drift_detected = self.log_r >= self.threshold

    @property
    def flagged(self) -> bool:
        """Whether the group's accounts are kept out of the normal limits."""
        return self.log_r > _SPLIT.flagged_above

    @property
    def window(self) -> tuple[int, int]:
        """The window with the most evidence, [from, to)."""
        return WINDOWS[max(range(len(WINDOWS)), key=self._log_r.__getitem__)]

    def snapshot(self) -> list[float | None]:
        """State, JSON-able (-inf as None)."""
        return [None if r == -math.inf else r for r in self._log_r]

    @classmethod
    def restored(cls, state: Sequence[float | None]) -> Self:
        """A detector that continues exactly where `snapshot` was taken."""
        detector = cls()
        detector._log_r = [-math.inf if r is None else r for r in state]
        detector.log_r = log_mean_exp(detector._log_r)
        detector._drift_detected = detector.log_r >= detector.threshold
        return detector
