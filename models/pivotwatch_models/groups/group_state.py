"""What one group did during the watch of one release, and its evidence."""

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
"""First uses observed and expected, switches observed and expected."""

_LN_PACE_WEIGHT, _LN_SPLIT_WEIGHT = math.log(DECISION.weights.pace), math.log(DECISION.weights.split)


@dataclasses.dataclass(slots=True)
class GroupState:
    """One group during one watch.

    Attributes
    ----------
    onset
        For each type of event, the bucket in which the present excursion of W began. An excursion lasts from
        the bucket in which W leaves 0 until it is 0 again.
    adwin
        ADWIN on the group's standardised residual.
    moves
        (bucket, account, young) of every event of the present excursion; kept only while W is above 0.
    excursion, before
        Traffic of the present excursion, and traffic of the watch before it.
    since
        The bucket in which the traffic of the excursion begins: the one in which the first W left 0.
    seen, expected, first_uses
        Events of both types over the whole watch, and the first uses among them, observed and expected.
    last_risk
        The last bucket with an account at risk.
    is_outlier
        Whether its sums stand out among all groups (`pivotwatch_models.population.group_heterogeneity`);
        computed again before every bucket.
    timeline
        Its requests and events over time, for a person to look at.
    split
        What part of their traffic its accounts send to the model.
    newcomers
        For each type of event, its newcomers so far and how many of them had the event at once
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
        r"""Score: ln of the weighted mean of both e-detectors, :math:`0.8\,R_{pace} + 0.2\,R_{split}`.

        Under its own null, whatever the other does, each satisfies :math:`E[R_t] \le t`, after a head start
        :math:`R_0` of the pace. So under "no faster than θ₀ and no more alike than θ_s" the weighted mean
        satisfies :math:`E[R_t] \le 0.8 R_0 + t`: the expectation is linear.
        """
        return log_add(self.detector.log_r + _LN_PACE_WEIGHT, self.log_split)

    @property
    def log_split(self) -> float:
        """Logarithm of the split's part of the score."""
        return self.split.detector.log_r + _LN_SPLIT_WEIGHT

    @property
    def flagged(self) -> bool:
        """Whether the group is kept out of the population's hazard.

        It is when its W is over its limit, or when it is an outlier over the whole watch. The second is for
        campaigns that are a good part of the population: while they are in its hazard, none of their groups
        is much over it (masking).
        """
        return self.detector.flagged or self.is_outlier

    @property
    def is_quiet(self) -> bool:
        """Whether nothing speaks against the group at present: neither its pace, its split nor its sums."""
        return self.detector.quiet and not self.is_outlier and not self.split.evidence_blocks()

    @property
    def began(self) -> int:
        """Onset: of the type of event with the larger W, or of the split's evidence when W is 0."""
        if self.detector.quiet and (alike := self.split.evidence_blocks()):
            return alike[0][0]
        return self.onset[self.detector.leading]

    def members(self) -> dict[str, tuple[int, bool]]:
        """Accounts with an event since the onset or a split that is evidence: (bucket, young) of each."""
        members: dict[str, tuple[int, bool]] = {}
        for bucket, account, young in self.moves:
            if bucket >= self.began:
                members.setdefault(account, (bucket, young))
        for bucket, block in self.split.evidence_blocks():
            members.setdefault(block.account, (bucket, False))
        return members

    def excursion_events(self) -> Sums:
        """Events since the onset: first uses observed and expected, switches observed and expected."""
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
