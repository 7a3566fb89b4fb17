"""The figures of one group in an incident: events seen and expected since the onset, and its scores."""

from __future__ import annotations

import dataclasses
import math

from pivotwatch_models.base.counts import Group
from pivotwatch_models.groups.group_state import GroupState, Sums
from pivotwatch_models.method import STATE
from pivotwatch_models.release_watch import ReleaseWatch

_CONTINUITY = STATE.residual.continuity


@dataclasses.dataclass(slots=True)
class Evidence:
    """The evidence against one group at the moment.

    Attributes
    ----------
    log_r
        Score: ln R of pace and split together, the highest since the incident opened.
    theta
        Normal limit θ₀ of the speed ratio.
    first_uses, switches
        Events seen and expected since the onset.
    adwin
        Whether ADWIN saw a rise of the group's standardised residual since the onset.
    e_bh
        Whether e-BH picked the group, and its score never crossed its own threshold.
    log_pace, log_split
        The highest scores of pace and split alone; None before there is evidence of the kind.

    Examples
    --------
    >>> Evidence(first_uses=(12, 0.5), switches=(11, 0.5)).hazard_ratio
    15.333333333333334
    """

    log_r: float = -math.inf
    theta: float = 0.0
    first_uses: tuple[int, float] = (0, 0.0)
    switches: tuple[int, float] = (0, 0.0)
    adwin: bool = False
    e_bh: bool = False
    log_pace: float | None = None
    log_split: float | None = None

    @property
    def sums(self) -> Sums:
        """First uses seen and expected, then switches seen and expected."""
        return *self.first_uses, *self.switches

    @property
    def hazard_ratio(self) -> float:
        """Speed ratio: ΣS / (ΣE + 0.5) over both types of event."""
        seen = self.first_uses[0] + self.switches[0]
        return seen / (self.first_uses[1] + self.switches[1] + _CONTINUITY)


def newest(watch: ReleaseWatch, group: Group, before: Evidence, base: Sums, onset: int) -> Evidence:
    """The evidence of a watched group after the bucket that was scored last.

    Parameters
    ----------
    before
        The group's evidence after the bucket before. Scores never fall.
    base
        Events of the watch that are not the incident's. The sums are those of the watch less these, not
        those of the detector: the detector begins new sums whenever W was 0, while members add up.
    onset
        Bucket in which the incident began.
    """
    state = watch.groups[group]
    sums = minus(state.watch_events(), base)
    score = max(state.log_r, before.log_r)
    _, by_e_bh = watch.report_rule.crossed(group)
    return Evidence(
        score,
        state.detector.theta,
        (sums[0], max(0.0, sums[1])),
        (sums[2], max(0.0, sums[3])),
        before.adwin or state.adwin.rose_since(onset),
        before.e_bh or (by_e_bh and score < watch.threshold),
        _highest(before.log_pace, state.detector.log_r),
        _highest(before.log_split, state.split.detector.log_r),
    )


def base_of(state: GroupState, before: Evidence) -> Sums:
    """Events of the watch that are not an incident's when it opens, given what the incident had before.

    Events between a resolution and a new opening are left out, as their accounts are.
    """
    return minus(minus(state.watch_events(), state.excursion_events()), before.sums)


def older_base_of(state: GroupState, before: Evidence) -> Sums:
    """The same for an incident that an older program opened, which stored no base."""
    known = max(before.sums, state.excursion_events(), key=lambda sums: sums[1] + sums[3])
    return minus(state.watch_events(), known)


def minus(a: Sums, b: Sums) -> Sums:
    """The difference, entry by entry."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]


def _highest(known: float | None, score: float) -> float | None:
    return known if score == -math.inf else score if known is None else max(known, score)
