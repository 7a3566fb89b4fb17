"""Constants of the detectors of groups, and of what is kept of a group."""

from __future__ import annotations

import dataclasses

from pivotwatch_models.settings import DAY_MS


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """The e-detector of a group's speed ratio.

    Attributes
    ----------
    multiples
        μ: alternatives that are tested, as multiples of the normal limit. A mean over a grid of powers of 2
        loses at most ln 5 nats against the best of them.
    onset_multiple
        μ of the CUSUM copy W that dates the onset and flags the group.
    dispersion_shape
        κ: shape of the gamma factor by which the pace of an honest group varies from bucket to bucket. Of
        simulated honest groups 1/κ is up to 0.25, of most under 0.1.
    flagged_above
        W above which a group is kept out of the population's hazard.
    horizon_ms
        H: head start of a detector, in buckets of this time. Half of the alert budget of the first week is
        spent on a move that begins with the watch. Also the horizon of e-BH.

    References
    ----------
    J. Shin, A. Ramdas, A. Rinaldo, E-detectors (2023). J. F. Lawless, Negative binomial and mixed Poisson
    regression, Canadian Journal of Statistics 15 (1987).
    """

    multiples: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0, 32.0)
    onset_multiple: float = 4.0
    dispersion_shape: float = 10.0
    flagged_above: float = 4.0
    horizon_ms: int = 7 * DAY_MS


@dataclasses.dataclass(frozen=True, slots=True)
class Split:
    """The e-detector of accounts that split their traffic alike.

    Attributes
    ----------
    windows
        Neighbouring deciles [from, to) that are tested. The two ends are left out: honest adopters go over
        with nearly all of their traffic or hardly any.
    theta
        Members of a group may prefer a split this many times as often as everyone and still be normal.
    alternative
        q: share of a campaign's accounts that lie in the window.
    least_judged
        Accounts of others that must be judged before a group's splits count as evidence.
    prior_inside, prior_judged
        Accounts inside the window, and judged, that every share starts with.
    confidence
        Standard errors that are added to the share of the others: an upper 95 % bound.
    flagged_above
        Score above which a group is kept out of what is normal.
    """

    windows: tuple[tuple[int, int], ...] = ((1, 5), (2, 6), (3, 7), (4, 8), (5, 9))
    theta: float = 2.0
    alternative: float = 0.85
    least_judged: int = 30
    prior_inside: int = 2
    prior_judged: int = 4
    confidence: float = 1.645
    flagged_above: float = 4.0


@dataclasses.dataclass(frozen=True, slots=True)
class Adwin:
    """The second opinion on a group and on a release (`river.drift.ADWIN`).

    Attributes
    ----------
    delta
        Confidence of the detector.
    clock
        Buckets between two checks.
    """

    delta: float = 1e-3
    clock: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Residual:
    """Standardised difference of events seen and expected.

    Attributes
    ----------
    continuity
        Added to the expected events: (S − E) / √(E + 0.5), and to those of a speed ratio, S / (E + 0.5).
    """

    continuity: float = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class TaughtTheta:
    """θ₀ that the closed watches of a group teach.

    Attributes
    ----------
    prior
        Events, and expected events, that the ratio starts with.
    lowest, highest
        Bounds of θ₀.
    confidence
        Standard errors above the ratio: an upper 95 % bound of a Poisson ratio.
    kept
        Part of the sums that is kept at the close of each watch.
    """

    prior: float = 2.0
    lowest: float = 1.5
    highest: float = 6.0
    confidence: float = 1.645
    kept: float = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Lateness:
    """What is done with events that come after their bucket was closed.

    Attributes
    ----------
    counted_ms
        Events that come this long after the end of their bucket, or sooner, are counted and scored with it.
        Later ones only say which accounts have used a model. The hazards of so long are kept.
    """

    counted_ms: int = DAY_MS


@dataclasses.dataclass(frozen=True, slots=True)
class HourOfDayMethod:
    """Requests of a group by hour of day.

    Attributes
    ----------
    halving_hours
        Hours after which the counts are halved.
    quiet_hours
        Length of the quietest time of the day: a night.
    least_requests, least_hours
        Requests, and hours since the first, before which nothing is said.
    """

    halving_hours: int = 14 * 24
    quiet_hours: int = 8
    least_requests: int = 200
    least_hours: int = 46


@dataclasses.dataclass(frozen=True, slots=True)
class Timeline:
    """What is kept of a group for a person to look at.

    Attributes
    ----------
    lead, lead_step
        Buckets kept while nothing happens, and how many are joined to one row.
    most
        Rows kept at most; beyond that neighbours are joined.
    """

    lead: int = 48
    lead_step: int = 8
    most: int = 96


@dataclasses.dataclass(frozen=True, slots=True)
class WatchBounds:
    """How much one watch keeps. Whoever may send requests may make up groups.

    Attributes
    ----------
    quiet
        Above so many groups those without evidence are forgotten, those with the fewest members first. A
        group takes about 11 kB.
    most
        Above so many, groups with evidence are forgotten too, those with the lowest score first. Groups that
        were part of an incident stay.
    """

    quiet: int = 20_000
    most: int = 40_000


@dataclasses.dataclass(frozen=True, slots=True)
class EvidenceWeights:
    """Weights of pace and split in a group's score.

    Attributes
    ----------
    pace, split
        Fixed beforehand and adding up to 1, so the weighted mean keeps the bound of both.
    """

    pace: float = 0.8
    split: float = 0.2


@dataclasses.dataclass(frozen=True, slots=True)
class ReportRuleMethod:
    """Which groups are reported.

    Attributes
    ----------
    head_start_share
        Part of the first week's alert budget that the head start spends; the threshold is higher by it.
    e_bh_alpha
        False discovery rate of e-BH.
    e_bh_tolerance
        Nats by which rounding may lift a bound of e-BH.
    least_surprise
        A group is reported when the chance that an ordinary group is so fast is under one in this number,
    expected_by_chance
        and when fewer than this many of the watched groups would be so fast by chance.

    References
    ----------
    R. Wang, A. Ramdas, False discovery rate control with e-values, JRSS B 84 (2022).
    """

    head_start_share: float = 0.5
    e_bh_alpha: float = 0.05
    e_bh_tolerance: float = 1e-12
    least_surprise: float = 100.0
    expected_by_chance: float = 0.5
