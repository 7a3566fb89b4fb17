r"""The group e-detector: does this group move faster than θ₀ times everyone else?

In each bucket a group had :math:`S` observed events where the population lets one expect :math:`E`. The null
hypothesis: in each bucket the group's hazard is at most :math:`\theta_0` times that of the others, times a
chance factor of mean one that is a gamma variable of shape :math:`\kappa = 10`, or varies less. (An office
comes in on Monday, all at once. Among simulated honest groups :math:`1/\kappa` was up to 0.25.) Then
:math:`S` is no more dispersed than a negative binomial variable with mean :math:`\theta_0 E`, and for every
:math:`\mu > 1` the likelihood ratio

.. math:: L_\mu = \mu^S \left(\frac{\kappa + \theta_0 E}{\kappa + \mu\,\theta_0 E}\right)^{\kappa + S}

has mean at most one: as a function of :math:`S` it is a power with a base over one, so it is increasing and
convex. Where little is expected it is the ratio of Poisson variables,
:math:`\exp(S \ln\mu - (\mu-1)\,\theta_0 E)`. Where much is expected, one bucket adds at most
:math:`\kappa (r - 1 - \ln r)` nats, :math:`r = S / \theta_0 E`, however large the group. For every
:math:`\mu` the Shiryaev-Roberts sum

.. math:: R_\mu \leftarrow (1 + R_\mu)\, L_\mu

from a head start :math:`R_0` satisfies :math:`E[R_t] \le R_0 + t`. The detector is the mean of the
:math:`R_\mu` over :math:`\mu \in \{2, 4, 8, 16, 32\}` and over its parts: both types of event of all accounts
of the group, and again of its settled accounts that are always active. A campaign that hides among honest
accounts never pauses; they do. A mean keeps the bound.

By Markov's inequality the probability of a false alert by bucket :math:`t` is at most :math:`(R_0 + t)/A` at
threshold :math:`A`, whenever one looks (anytime-valid), *given* the hazard. That the hazard is an estimate is
an error that has to be measured. Campaigns move when a model is released: a head start of a week's buckets
spends half of the first week's alert budget on a move that begins with the watch.

Beside it a CUSUM copy :math:`W \leftarrow \max(0, W + \ln L_4)` dates the onset, and flags the group: while W
is over its limit, the group is kept out of the population's hazard.

References
----------
J. Shin, A. Ramdas, A. Rinaldo, E-detectors: a nonparametric framework for sequential change detection (2023).
M. Pollak, Optimal detection of a change in distribution (1985). Head start: G. V. Moustakides, A. S.
Polunchenko, A. G. Tartakovsky, A numerical approach to performance analysis of quickest change-point
detection procedures (2011). J. F. Lawless, Negative binomial and mixed Poisson regression, Canadian Journal
of Statistics 15 (1987).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

from river import base

from pivotwatch_models.accounts.share_models import EVENT_TYPES, FIRST_USE
from pivotwatch_models.base.log_sums import log_mean_exp, log_one_plus
from pivotwatch_models.method import STATE
from pivotwatch_models.settings import Settings

_MULTIPLES = tuple((mu, math.log(mu)) for mu in STATE.pace.multiples)
_ONSET_MULTIPLE, _LN_ONSET_MULTIPLE = STATE.pace.onset_multiple, math.log(STATE.pace.onset_multiple)
_FLAGGED_ABOVE = STATE.pace.flagged_above
_SHAPE = STATE.pace.dispersion_shape

Counts = Sequence[float]
"""Observed and expected events of each part: first uses, switches, and the same of always-active accounts."""


class GroupEDetector(base.DriftDetector):
    """E-detector of one group for one release, in river's detector interface.

    Parameters
    ----------
    threshold
        Score ln R at which a drift is detected.
    theta
        θ₀, the normal limit of the speed ratio. It may be set again before each update.
    head
        R₀, the head start, in buckets.
    parts
        Number of pairs of observed and expected events in an update. W follows the first two.

    Attributes
    ----------
    log_r
        Score ln R after the last update; ln R₀ before the first.
    cusum
        W of each type of event.
    seen, expected
        Sums of S and E of each part since the W of its type was last 0.
    since
        For each type of event, number of updates since W was last 0.

    Examples
    --------
    In each bucket 0.1 first uses are expected of a group. 15 of its accounts move within three buckets:

    >>> detector = GroupEDetector(threshold=14.7)
    >>> for seen in [0, 0, 1, 4, 6, 5]:
    ...     detector.update((seen, 0.1, 0, 0.1))
    ...     print(seen, round(detector.log_r, 1), detector.drift_detected)
    0 -1.3 False
    0 -0.8 False
    1 0.0 False
    4 5.1 False
    6 15.2 True
    5 23.5 True
    """

    def __init__(
        self,
        threshold: float = Settings().score_threshold,
        theta: float = Settings().theta,
        head: float = 0.0,
        parts: int = len(EVENT_TYPES),
    ) -> None:
        super().__init__()
        self.threshold = threshold
        self.theta = theta
        self.head = head
        self.parts = parts
        self._reset()

    def _reset(self) -> None:
        super()._reset()
        self.log_r = math.log(self.head) if self.head > 0 else -math.inf
        self._log_r = [self.log_r] * (len(_MULTIPLES) * self.parts)
        self.cusum = [0.0, 0.0]
        self.seen = [0] * self.parts
        self.expected = [0.0] * self.parts
        self.since = [0, 0]

    def update(self, x: Counts) -> None:  # type: ignore[override]  # river's detectors of one number take a float
        """Take one bucket: observed and expected events of each part, as in `Counts`."""
        for part in range(self.parts):
            self._update_r(part, x[2 * part], self.theta * x[2 * part + 1])
        for kind in range(len(EVENT_TYPES)):
            self._update_cusum(kind, x)
        self.log_r = log_mean_exp(self._log_r)
        self._drift_detected = self.log_r >= self.threshold

    def correct(self, seen: int, expected: float) -> None:
        r"""Take first uses of an earlier bucket that came late: evidence without a new start.

        :math:`R \leftarrow R \, L`, so :math:`E[R_t] \le R_0 + t` holds as before: no term is added.
        """
        for i, (mu, ln_mu) in enumerate(_MULTIPLES):
            self._log_r[i] += log_factor(seen, self.theta * expected, mu, ln_mu)
        self._update_cusum(FIRST_USE, (seen, expected, *(0, 0.0) * (self.parts - 1)))
        self.log_r = log_mean_exp(self._log_r)
        self._drift_detected = self.log_r >= self.threshold

    def _update_r(self, kind: int, seen: float, expected: float) -> None:
        start = kind * len(_MULTIPLES)
        for i, (mu, ln_mu) in enumerate(_MULTIPLES):
            before = log_one_plus(self._log_r[start + i])
            self._log_r[start + i] = before + log_factor(seen, expected, mu, ln_mu)

    def _update_cusum(self, kind: int, x: Counts) -> None:
        parts = self.parts_of(kind)
        if self.cusum[kind] == 0.0:
            self.since[kind] = 0
            for part in parts:
                self.seen[part], self.expected[part] = 0, 0.0
        scaled = self.theta * x[2 * kind + 1]
        gain = log_factor(int(x[2 * kind]), scaled, _ONSET_MULTIPLE, _LN_ONSET_MULTIPLE)
        self.cusum[kind] = max(0.0, self.cusum[kind] + gain)
        self.since[kind] += 1
        for part in parts:
            self.seen[part] += int(x[2 * part])
            self.expected[part] += x[2 * part + 1]

    def parts_of(self, kind: int) -> range:
        """Indices of the parts of a type of event: all accounts, and always-active accounts."""
        return range(kind, self.parts, len(EVENT_TYPES))

    @property
    def leading(self) -> int:
        """The type of event with the larger W; a tie goes to the switch."""
        return 0 if self.cusum[0] > self.cusum[1] else 1

    @property
    def flagged(self) -> bool:
        """Whether W is over its limit, so that the group is kept out of the population's hazard."""
        return max(self.cusum) > _FLAGGED_ABOVE

    @property
    def quiet(self) -> bool:
        """Whether W is 0 for both types of event."""
        return self.cusum[0] == 0.0 and self.cusum[1] == 0.0

    def snapshot(self) -> list[object]:
        """State, JSON-able (-inf as None)."""
        log_r = [None if r == -math.inf else r for r in self._log_r]
        sums = [list(values) for values in (self.cusum, self.seen, self.expected, self.since)]
        return [log_r, *sums, self.theta]

    @classmethod
    def restored(cls, threshold: float, state: list[object]) -> Self:
        """A detector that continues exactly where `snapshot` was taken."""
        log_r, cusum, seen, expected, since, theta = state
        detector = cls(threshold, float(theta), parts=len(log_r) // len(_MULTIPLES))  # type: ignore[arg-type]  # JSON
        detector._log_r = [-math.inf if r is None else r for r in log_r]  # type: ignore[attr-defined]
        detector.cusum, detector.since = list(cusum), list(since)  # type: ignore[call-overload]
        detector.seen, detector.expected = list(seen), list(expected)  # type: ignore[call-overload]
        detector.log_r = log_mean_exp(detector._log_r)
        detector._drift_detected = detector.log_r >= threshold
        return detector


def log_factor(seen: float, expected: float, mu: float, ln_mu: float) -> float:
    """Logarithm of L_μ of one bucket, with ``expected`` = θ₀E."""
    gained = math.log((_SHAPE + expected) / (_SHAPE + mu * expected))
    return seen * ln_mu + (_SHAPE + seen) * gained
