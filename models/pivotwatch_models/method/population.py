"""Constants of the population's side: cohorts, hazards, and how far ordinary groups differ.

Durations named in buckets follow the width of a bucket; decays per hour do not.
"""

from __future__ import annotations

import dataclasses

from pivotwatch_models.settings import DAY_MS, HOUR_MS


@dataclasses.dataclass(frozen=True, slots=True)
class Cohorts:
    """Accounts that may be expected to move at a like pace are one cohort: volume × age × exposure.

    Attributes
    ----------
    volume_edges
        Upper edges of the bands of requests in a bucket; one more band lies above.
    coarse_bands
        For each of these bands, the coarse band of its cohort. With all seven each would learn too slowly.
    first_activity_edges
        Buckets since the release: levels of exposure of an account at its first activity since.
    gap_edges
        Buckets since the last activity: levels of exposure of an account that was active since the release.
    """

    volume_edges: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    coarse_bands: tuple[int, ...] = (0, 1, 1, 2, 2, 2, 2)
    first_activity_edges: tuple[int, ...] = (12, 48)
    gap_edges: tuple[int, ...] = (1, 3, 8, 24)


@dataclasses.dataclass(frozen=True, slots=True)
class Hazard:
    """The population's hazard.

    Attributes
    ----------
    prior
        Events, and expected events, that a cohort starts with: its relative pace starts at 1.
    pseudo_risk
        Accounts at risk that are added to a bucket at the slow mean of the hazard. Steadies small buckets.
    slow
        Weight of the past in the slow mean of the hazard, per bucket.
    decay_per_hour
        Decay of a cohort's sums. Cohorts change their pace within days of a release.
    """

    prior: float = 2.0
    pseudo_risk: float = 20.0
    slow: float = 0.8
    decay_per_hour: float = 0.995


@dataclasses.dataclass(frozen=True, slots=True)
class Newcomers:
    """Accounts never seen before.

    Attributes
    ----------
    prior
        Newcomers, and events of theirs, that every comparison starts with. Before newcomers of
        other groups are known, as many events are expected as the group has newcomers, so they cannot raise
        its score.
    """

    prior: float = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class AlwaysActive:
    """Accounts that are active bucket after bucket, compared with accounts that pause.

    Attributes
    ----------
    away
        Assumed buckets since the last activity, per level of exposure 4, 5, … The first is 1 by definition.
    prior
        First uses that are added to a bucket's rate at its slow mean.
    slow
        Weight of the past in the slow means, per bucket.
    surge_ratio, surge_deviations
        The others surge when their first uses are over this multiple of their slow mean by so many standard
        deviations. Then every activity has the same chance (an outage with fallback moves everybody).
    least_time
        Share of the always-active accounts' time that the others must have. With less, the band is not scored
        in this bucket, because too few are left to compare with.
    """

    away: tuple[float, ...] = (1.0, 2.5, 6.0, 16.0, 48.0)
    prior: float = 3.0
    slow: float = 0.9
    surge_ratio: float = 2.0
    surge_deviations: float = 2.0
    least_time: float = 0.2


@dataclasses.dataclass(frozen=True, slots=True)
class Heterogeneity:
    """How far the paces of ordinary groups lie apart.

    Attributes
    ----------
    least_theta
        Lowest normal limit θ₀ of the speed ratio.
    usual_theta
        θ₀ before anything is learned.
    quantile
        θ₀ is e to the power of this many σ of ln pace: 92 of 100 ordinary groups are slower, and the
        other 8 exceed the limit.
    sure
        Standard errors by which the spread must exceed the usual one before θ₀ rises.
    outlier_ratio, outlier_excess_network, outlier_excess_other
        A group is an outlier, and kept out of the hazard, when its events are this multiple of the typical
        and exceed them by so many standard deviations. Sign-up batches and payment instruments are strata of
        age and company: leaving them out as soon would leave nobody to learn the pace of new accounts from.
    too_fast_ratio, too_fast_excess
        From a group so fast nothing is learned about ordinary ones.
    most_exceptions
        Share of all expected events that groups too fast may hold. With more, they are not an exception.
    least_expected
        Groups with fewer expected events are left out.
    """

    least_theta: float = 1.5
    usual_theta: float = 2.0
    quantile: float = 1.4
    sure: float = 5.0
    outlier_ratio: float = 2.0
    outlier_excess_network: float = 2.0
    outlier_excess_other: float = 4.0
    too_fast_ratio: float = 2.0
    too_fast_excess: float = 3.0
    most_exceptions: float = 1 / 3
    least_expected: float = 1e-6


@dataclasses.dataclass(frozen=True, slots=True)
class Sufficiency:
    """What is said about a release whose data are few.

    Attributes
    ----------
    learning_first_uses
        First uses outside flagged groups before which a release is shown as learning.
    least_moves, good_moves
        First uses of everyone per bucket: fewer than the first are too few, a wider bucket has the second.
    least_buckets
        Buckets before which no advice is given.
    widths_ms
        Widths of a bucket that are advised.
    """

    learning_first_uses: int = 100
    least_moves: float = 1.0
    good_moves: float = 2.0
    least_buckets: int = 12
    widths_ms: tuple[int, ...] = (5 * 60_000, 15 * 60_000, HOUR_MS, 6 * HOUR_MS, DAY_MS, 7 * DAY_MS)
