"""What one group does during the watch of one release."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Self

from pivotwatch_models.base.counts import NO_TRAFFIC, Traffic
from pivotwatch_models.base.log_sums import log_add
from pivotwatch_models.groups.adwin import Corroboration
from pivotwatch_models.groups.pace_detector import GroupEDetector
from pivotwatch_models.groups.split_reference import GroupSplit
from pivotwatch_models.groups.timeline import Timeline
from pivotwatch_models.method import DECISION

Sums = tuple[int, float, int, float]
"""Events seen and expected: first uses, then switches."""

_LN_PACE_WEIGHT, _LN_SPLIT_WEIGHT = math.log(DECISION.weights.pace), math.log(DECISION.weights.split)


@dataclasses.dataclass(slots=True)
class GroupState:
    """One group during one watch.

    Attributes
    ----------
    onset
        Per type of event, the bucket in which the present excursion of W began.
    moves
        (bucket, account, young) of the present excursion: kept only while W is above 0.
    excursion, before
        Traffic of the present excursion, and before it during this watch.
    since
        The bucket in which the traffic of the excursion begins: that in which the first W left 0.
    seen, expected, first_uses
        Events of both types over the whole watch, for θ₀; and of them the first uses, seen and expected.
    last_risk
        The last bucket with an account at risk.
    is_outlier
        Does it stand out among the groups (`pivotwatch_models.population.group_heterogeneity`)? Found anew
        before every bucket.
    timeline
        What a person needs to see of it over time.
    split
        What part of their traffic its accounts send.
    newcomers
        Per type of event, its accounts never seen before, and how many had it at once
        (`pivotwatch_models.population.newcomers`).
    """

    detector: GroupEDetector
    adwin: Corroboration
    onset: list[int]
    moves: list[tuple[int, str, bool]] = dataclasses.field(default_factory=list)
    excursion: Traffic = NO_TRAFFIC
    before: Traffic = NO_TRAFFIC
    since: int = -1
    seen: int = 0
    expected: float = 0.0
    last_risk: int = -1
    timeline: Timeline = dataclasses.field(default_factory=Timeline)
    split: GroupSplit = dataclasses.field(default_factory=GroupSplit)
    is_outlier: bool = False
    newcomers: list[int] = dataclasses.field(default_factory=lambda: [0, 0, 0, 0])
    first_uses: list[float] = dataclasses.field(default_factory=lambda: [0, 0.0])

    @property
    def log_r(self) -> float:
        r"""Ln of the evidence of both kinds, :math:`0.8\,R_{pace} + 0.2\,R_{split}`.

        Under its own null, whatever the other does, each satisfies :math:`E[R_t] \le t`, but for a head start
        :math:`R_0` of the pace. So under "no faster than θ₀ and no more alike than θ_s" the weighted mean
        satisfies :math:`E[R_t] \le 0.8 R_0 + t`: the expectation is linear.
        """
        return log_add(self.detector.log_r + _LN_PACE_WEIGHT, self.log_split)

    @property
    def log_split(self) -> float:
        """Ln of what the split has in the evidence."""
        return self.split.detector.log_r + _LN_SPLIT_WEIGHT

    @property
    def flagged(self) -> bool:
        """Is the group kept out of the population's hazard?

        Because its CUSUM copy says so, or because it stands out among all groups over the watch. The second
        is for campaigns that are a good part of the population: while they are in its hazard, no group of
        them is much over it (masking).
        """
        return self.detector.flagged or self.is_outlier

    @property
    def began(self) -> int:
        """Onset of the excursion, by the type of event with the larger W; of the split's when W is 0."""
        if self.detector.quiet and (alike := self.split.evidence_blocks()):
            return alike[0][0]
        return self.onset[self.detector.leading]

    def members(self) -> dict[str, tuple[int, bool]]:
        """Accounts with an event since the onset, or whose split is evidence: when, and whether young."""
        members: dict[str, tuple[int, bool]] = {}
        for bucket, account, young in self.moves:
            if bucket >= self.began:
                members.setdefault(account, (bucket, young))
        for bucket, block in self.split.evidence_blocks():
            members.setdefault(block.account, (bucket, False))
        return members

    def excursion_events(self) -> Sums:
        """Events seen and expected since the onset: first use, then switch."""
        d = self.detector
        return d.seen[0], d.expected[0], d.seen[1], d.expected[1]

    def watch_events(self) -> Sums:
        """The same over the whole watch."""
        first_seen, first_expected = int(self.first_uses[0]), self.first_uses[1]
        return first_seen, first_expected, self.seen - first_seen, self.expected - first_expected

    def snapshot(self) -> list[Any]:
        """State, JSON-able."""
        traffic = [self.excursion.row(), self.before.row()]
        totals = [self.since, self.seen, self.expected, self.last_risk, *self.first_uses]
        models = [m.snapshot() for m in (self.detector, self.adwin, self.timeline, self.split)]
        return [models, self.onset, self.moves, traffic, totals, self.newcomers]

    @classmethod
    def restored(cls, threshold: float, state: list[Any]) -> Self:
        """A group that continues exactly where `snapshot` was taken."""
        (detector, adwin, timeline, split), onset, moves, traffic, totals, newcomers = state
        since, seen, expected, last_risk, *first_uses = totals
        excursion, before = (Traffic(*row) for row in traffic)
        return cls(
            GroupEDetector.restored(threshold, detector),
            Corroboration.restored(adwin),
            list(onset),
            [(b, account, young) for b, account, young in moves],
            excursion,
            before,
            since,
            seen,
            expected,
            last_risk,
            Timeline.restored(timeline),
            GroupSplit.restored(split),
            newcomers=list(newcomers),
            first_uses=first_uses,
        )
