r"""The split of an account's traffic once it has used a new model, and its sameness in a group.

Real adopters go over with nearly all of their traffic, or use the new model hardly at all. Extraction sends a
steady part of *every* account's traffic. That shows however slowly the group moves and however
fast the population does, so it is evidence where the pace says nothing.

**Account.** From the bucket after its first use on, an account's requests are counted in two blocks, of at
least 8 and then at least 24 requests; a block ends with the bucket that fills it. Its *split* is the decile
of :math:`k/n`: requests to the model by choice over all. It is *steady* when the two differ by no more than
four deciles. Each account is judged once.

**Group.** For each window :math:`w` of four neighbouring deciles that leaves out the two ends, let
:math:`X = 1` when a judged account is steady and its second split lies in :math:`w`. Null: given the past,
:math:`P(X = 1) \le p_w`, with

.. math:: p_w = \theta_s \,\bigl(\hat p + 1.645 \sqrt{\hat p (1 - \hat p) / (N + 4)}\bigr),
          \qquad \hat p = \frac{c_w + 2}{N + 4},

over the :math:`N` accounts that were judged so far, without those of the group and of groups that stand out
themselves; :math:`\theta_s = 2`: members of a group may prefer a split twice as often as everyone and still
count as ordinary. Per account the factor

.. math:: L_w = \Bigl(\frac{q}{p_w}\Bigr)^{X} \Bigl(\frac{1-q}{1-p_w}\Bigr)^{1-X}, \qquad q = 0.85 > p_w

has mean at most one, as it is linear in :math:`P(X=1)`, increasing, and one at :math:`p_w`. So the
Shiryaev-Roberts sum :math:`R_w \leftarrow (1 + R_w) \prod L_w` over the buckets in which members were judged
satisfies :math:`E[R_t] \le t`; the detector is the mean over :math:`w`, which keeps the bound. There is no
bet (:math:`L = 1`) while :math:`N < 30` or where :math:`p_w \ge q`: in a population that itself splits its
traffic the detector is silent, by design.

A company that moves nearly all of its traffic lies in the left-out ends, and can only lower :math:`R`.

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
"""Deciles from, to before."""
_ALTERNATIVE = _SPLIT.alternative


def ordinary(judged: int, inside: Sequence[int]) -> list[float]:
    """The most that is ordinary per window: p_w of ``inside`` of ``judged`` accounts; 1 for too few.

    Examples
    --------
    >>> [round(p, 2) for p in ordinary(1000, [20, 100])]
    [0.06, 0.23]
    >>> ordinary(10, [0])
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
    """E-detector of the sameness of the split in one group, in river's detector interface.

    Parameters
    ----------
    threshold
        ln R at which a drift is detected.

    Attributes
    ----------
    log_r
        ln R after the last update; -inf before the first.

    Examples
    --------
    Of everyone, one in ten splits its traffic; of this group, six judged accounts a bucket, nearly all:

    >>> detector = SplitEDetector(threshold=14.7)
    >>> limits = ordinary(1000, [100] * len(WINDOWS))
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
        """Take one bucket: accounts judged, those steady inside each window, and p_w of each (`ordinary`)."""
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
        """Are the group's accounts kept out of what is ordinary?"""
        return self.log_r > _SPLIT.flagged_above

    @property
    def window(self) -> tuple[int, int]:
        """The window with the most evidence."""
        return WINDOWS[max(range(len(WINDOWS)), key=self._log_r.__getitem__)]

    def snapshot(self) -> list[float | None]:
        """Compact state, JSON-able (-inf as None)."""
        return [None if r == -math.inf else r for r in self._log_r]

    @classmethod
    def restored(cls, state: Sequence[float | None]) -> Self:
        """A detector that continues exactly where `snapshot` was taken."""
        detector = cls()
        detector._log_r = [-math.inf if r is None else r for r in state]
        detector.log_r = log_mean_exp(detector._log_r)
        detector._drift_detected = detector.log_r >= detector.threshold
        return detector
