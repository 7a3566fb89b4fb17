"""Constants of incidents: merging, news, severity, and what a move looks like."""

from __future__ import annotations

import dataclasses

from pivotwatch_models.settings import DAY_MS, HOUR_MS


@dataclasses.dataclass(frozen=True, slots=True)
class Merging:
    """When two incidents become one.

    Attributes
    ----------
    onset_ms
        Onsets differ by at most this.
    shared_members
        Share of the smaller side's members that both have, at least.
    """

    onset_ms: int = 6 * HOUR_MS
    shared_members: float = 0.3


@dataclasses.dataclass(frozen=True, slots=True)
class News:
    """When an open incident sends another alert, and when it is resolved.

    Attributes
    ----------
    score_growth
        Nats by which the score must grow: ten times the evidence.
    member_growth
        Factor by which the members must grow.
    quiet_ms
        An incident is resolved after this long without news, with all detectors quiet.
    """

    score_growth: float = 2.3
    member_growth: int = 2
    quiet_ms: int = DAY_MS


@dataclasses.dataclass(frozen=True, slots=True)
class SeverityMethod:
    """Figures that raise the severity.

    Attributes
    ----------
    high_ratio, high_members
        Speed ratio and members of an incident that may be high,
    high_young
        when this share of the members is young, or when something else corroborates it.
    extraction_members
        Members from which on the pattern of extraction is high by itself.
    critical_groups, critical_exchanges
        Merged groups, or exchanges with the model, from which on a high incident is critical.
    """

    high_ratio: float = 10.0
    high_members: int = 20
    high_young: float = 0.5
    extraction_members: int = 10
    critical_groups: int = 3
    critical_exchanges: int = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class PatternMethod:
    """What distinguishes a company's roll-out from extraction; measured on simulated roll-outs and campaigns.

    Attributes
    ----------
    least_blocks
        Blocks (or sizes) below which nothing is said.
    part_deciles
        Deciles [from, to) of a split that is a part of the traffic; nearly all of it lies above.
    whole_share
        Share of the blocks with nearly all of the traffic that is a roll-out's.
    part_share, part_ratio
        Share of the blocks with a part of it that is extraction's, and the multiple of everyone's share.
    alike, varied
        Spread of sizes, over everyone's: extraction's at most, and a roll-out's at least.
    least_spread
        Spread of everyone's sizes, in ln(tokens per request), below which sizes say nothing.
    office_share, clock_share
        Share of requests in the eight quietest hours: a roll-out's at most, and extraction's at least. A
        third of the requests falls in a third of the day when they run around the clock.
    """

    least_blocks: int = 8
    part_deciles: tuple[int, int] = (2, 8)
    whole_share: float = 0.75
    part_share: float = 0.6
    part_ratio: float = 1.5
    alike: float = 0.4
    varied: float = 0.7
    least_spread: float = 0.05
    office_share: float = 0.12
    clock_share: float = 0.25


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """Figures of an alert that are shown.

    Attributes
    ----------
    synchrony_ms
        Members that moved within this time moved together.
    normal_range, normal_deviations
        Part of the counts of a normal group that lies in its normal range, and the same in standard
        deviations of a large count.
    """

    synchrony_ms: int = 3 * HOUR_MS
    normal_range: float = 0.95
    normal_deviations: float = 1.96
