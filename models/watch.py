"""The watch of one release: population clock, group detectors, and what each group did.

Fed one completed bucket at a time. It says which groups have crossed; what becomes of a crossing is
the business of the incidents.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from models.account import EVENT_TYPES, FIRST_USE
from models.corroboration import Corroboration, residual
from models.counts import NO_TRAFFIC, Group, Ints, ModelCounts, Mover, Traffic
from models.fdr import e_bh, smallest_nameable
from models.group import GroupEDetector
from models.population import DECAY_PER_HOUR, Expectation, PopulationClock
from models.releases import Release
from models.settings import DAY_MS, Settings

HORIZON_MS = 7 * DAY_MS
MASKED_RATIO, MASKED_EXCESS = 2.0, 4.0
LEARNT_AFTER = 100
"""First uses seen outside flagged groups, after which a release is no longer `learning`."""


@dataclasses.dataclass(slots=True)
class GroupWatch:
    """One group during one watch.

    Attributes
    ----------
    onset
        Per type of event, the bucket in which the present excursion of W began.
    moves
        (bucket, account, young) of the present excursion: kept only while W is above 0.
    excursion, before
        Traffic since the onset, and before it during this watch.
    seen, expected
        Events of both types over the whole watch, for θ₀.
    last_risk
        The last bucket with an account at risk.
    """

    detector: GroupEDetector
    second: Corroboration
    onset: list[int]
    moves: list[tuple[int, str, bool]] = dataclasses.field(default_factory=list)
    excursion: Traffic = NO_TRAFFIC
    before: Traffic = NO_TRAFFIC
    seen: int = 0
    expected: float = 0.0
    last_risk: int = -1

    @property
    def flagged(self) -> bool:
        """Is the group kept out of the population's hazard?

        Because its CUSUM copy says so, or because over the watch it moved more than twice as fast as
        expected and by four standard deviations. The second is for campaigns that are a good part of the
        population: while they are in its hazard, no group of them is much over it (masking).
        """
        excess = (self.seen - self.expected) / math.sqrt(self.expected + 0.5)
        return self.detector.flagged or (
            self.seen >= MASKED_RATIO * self.expected and excess >= MASKED_EXCESS
        )

    @property
    def began(self) -> int:
        """Onset of the excursion, by the type of event with the larger W."""
        return self.onset[self.detector.leading]

    def members(self) -> dict[str, tuple[int, bool]]:
        """Accounts with an event since the onset: first such bucket, and whether young."""
        members: dict[str, tuple[int, bool]] = {}
        for bucket, account, young in self.moves:
            if bucket >= self.began:
                members.setdefault(account, (bucket, young))
        return members

    def counted(self) -> tuple[int, float, int, float]:
        """Events seen and expected since the onset: first use, then switch."""
        d = self.detector
        return d.seen[0], d.expected[0], d.seen[1], d.expected[1]


class ReleaseWatch:
    """Everything that is learnt about one release.

    Parameters
    ----------
    release, settings
        What is watched, and the parameters of the method.
    theta
        θ₀ of a group, asked once when the group is first seen in this watch.
    """

    version = 1

    def __init__(self, release: Release, settings: Settings, theta: Callable[[Group], float]) -> None:
        self.release = release
        self.settings = settings
        self.theta = theta
        self.threshold = math.log(settings.buckets_per_day / settings.alert_budget)
        self.horizon = settings.buckets(HORIZON_MS)
        decay = settings.decay(DECAY_PER_HOUR)
        self.clocks = tuple(PopulationClock(decay) for _ in EVENT_TYPES)
        self.groups: dict[Group, GroupWatch] = {}
        self.history: list[tuple[int, Traffic, int]] = []
        self.surge = Corroboration()
        self.e_bh_threshold = math.inf

    @property
    def learning(self) -> bool:
        """Has the population clock still to see enough first uses?"""
        return self.clocks[0].seen < LEARNT_AFTER

    def score(self, bucket: int, counts: ModelCounts) -> None:
        """Take one completed bucket."""
        flagged = self._flagged_sets(counts)
        seen, expected, at_risk = [], [], np.zeros(len(counts.groups), dtype=np.int64)
        for kind, clock in enumerate(self.clocks):
            s, result, risk = _expect(clock, counts, counts.risk[kind], counts.events[kind], flagged)
            seen.append(s.tolist())
            expected.append(result.expected.tolist())
            at_risk += risk
            if kind == FIRST_USE:
                self.surge.update(bucket, result.hazard)
        for i, group in enumerate(counts.groups):
            if at_risk[i]:
                self._update(bucket, group, (seen[0][i], expected[0][i], seen[1][i], expected[1][i]))
            self._travel(group, counts.traffic[i])
        self._note_moves(bucket, counts.movers)
        self.history.append((bucket, counts.total, int(counts.events[0].sum())))

    def crossed(self, group: Group) -> tuple[bool, bool]:
        """Has the group crossed, by its own threshold and by e-BH over all groups?"""
        log_r = self.groups[group].detector.log_r
        return log_r >= self.threshold, log_r >= self.e_bh_threshold

    def candidates(self) -> list[Group]:
        """Groups whose evidence is over either threshold, sorted."""
        least = min(self.threshold, self.e_bh_threshold)
        return sorted(g for g, state in self.groups.items() if state.detector.log_r >= least)

    def rearm(self, group: Group) -> None:
        """Start the evidence of a group anew, when its incident is resolved."""
        state = self.groups[group]
        state.detector = GroupEDetector(self.threshold, state.detector.theta)
        state.moves, state.excursion = [], Traffic()

    def population(self, since: int) -> tuple[Traffic, list[tuple[int, int]]]:
        """Traffic of everyone since a bucket, and first uses per bucket."""
        rows = [row for row in self.history if row[0] >= since]
        return sum((t for _, t, _ in rows), Traffic()), [(b, moved) for b, _, moved in rows]

    def _flagged_sets(self, counts: ModelCounts) -> Ints:
        flagged = np.array([(s := self.groups.get(g)) is not None and s.flagged for g in counts.groups])
        sets = np.zeros(len(counts.risk[0]), dtype=bool)
        if flagged.any():
            sets[counts.pair_set[flagged[counts.pair_group]]] = True
        return sets

    def _update(self, bucket: int, group: Group, x: tuple[int, float, int, float]) -> None:
        state = self.groups.get(group)
        if state is None:
            detector = GroupEDetector(self.threshold, self.theta(group))
            state = self.groups[group] = GroupWatch(detector, Corroboration(), [bucket, bucket])
        if state.detector.quiet:
            state.before, state.excursion, state.moves = state.before + state.excursion, Traffic(), []
        state.detector.update(x)
        for kind, updates in enumerate(state.detector.since):
            if updates == 1:
                state.onset[kind] = bucket
        leading = state.detector.leading
        state.second.update(bucket, residual(x[2 * leading], x[2 * leading + 1]))
        state.seen += x[0] + x[2]
        state.expected += x[1] + x[3]
        state.last_risk = bucket

    def _travel(self, group: Group, traffic: Traffic) -> None:
        if (state := self.groups.get(group)) is not None:
            state.excursion = state.excursion + traffic

    def _note_moves(self, bucket: int, movers: list[Mover]) -> None:
        for mover in movers:
            for group in mover.groups:
                self.groups[group].moves.append((bucket, mover.account, mover.young))

    def nameable(self) -> list[float]:
        """Ln R of the groups that e-BH might name."""
        least = smallest_nameable() + math.log(self.horizon)
        return [r for state in self.groups.values() if (r := state.detector.log_r) >= least]

    def hypotheses(self, bucket: int) -> int:
        """Number of groups that had an account at risk within the horizon."""
        return sum(1 for state in self.groups.values() if state.last_risk > bucket - self.horizon)

    def snapshot(self) -> dict[str, Any]:
        """State without the groups, JSON-able."""
        return {
            "release": dataclasses.astuple(self.release),
            "clocks": [clock.snapshot() for clock in self.clocks],
            "surge": self.surge.snapshot(),
            "history": [[b, *dataclasses.astuple(t), moved] for b, t, moved in self.history],
            "e_bh": None if self.e_bh_threshold == math.inf else self.e_bh_threshold,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue exactly where `snapshot` was taken (groups: `restore_group`)."""
        for clock, values in zip(self.clocks, state["clocks"], strict=True):
            clock.restore(values)
        self.surge = Corroboration.restored(state["surge"])
        self.history = [(b, Traffic(*t), moved) for b, *t, moved in state["history"]]
        self.e_bh_threshold = math.inf if state["e_bh"] is None else state["e_bh"]

    def snapshot_group(self, group: Group) -> list[Any]:
        """State of one group, JSON-able."""
        s = self.groups[group]
        traffic = [dataclasses.astuple(s.excursion), dataclasses.astuple(s.before)]
        totals = [s.seen, s.expected, s.last_risk]
        return [s.detector.snapshot(), s.second.snapshot(), s.onset, s.moves, traffic, totals]

    def restore_group(self, group: Group, state: list[Any]) -> None:
        """Put one group back."""
        detector, second, onset, moves, (excursion, before), (seen, expected, last_risk) = state
        self.groups[group] = GroupWatch(
            GroupEDetector.restored(self.threshold, detector),
            Corroboration.restored(second),
            list(onset),
            [(b, account, young) for b, account, young in moves],
            Traffic(*excursion),
            Traffic(*before),
            seen,
            expected,
            last_risk,
        )


def name_jointly(watches: Sequence[ReleaseWatch], bucket: int) -> None:
    """Set the e-BH threshold over all groups of all watched releases: e = R/H, G = groups × releases."""
    shown = [log_r for watch in watches for log_r in watch.nameable()]
    threshold = math.inf
    if shown:
        log_horizon = math.log(watches[0].horizon)
        hypotheses = sum(watch.hypotheses(bucket) for watch in watches)
        log_e = e_bh([log_r - log_horizon for log_r in shown], max(1, hypotheses))
        # The least ln R that is named, not a sum: rounding could lift that over the group on the edge.
        threshold = min((r for r in shown if r - log_horizon >= log_e), default=math.inf)
    for watch in watches:
        watch.e_bh_threshold = threshold


def _expect(
    clock: PopulationClock, counts: ModelCounts, risk: Ints, events: Ints, flagged: Ints
) -> tuple[Ints, Expectation, Ints]:
    """Per group the events seen, the clock's expectation, and the accounts at risk, for one type of event."""
    groups, free = len(counts.groups), ~flagged
    by_group = _sum_pairs(risk, counts.pair_set, counts.pair_group, groups)
    seen = _sum_pairs(events, counts.pair_set, counts.pair_group, groups).sum(axis=1)
    free_pair = free[counts.pair_set]
    own = counts.pair_set[free_pair], counts.pair_group[free_pair]
    total_risk, total_events = risk[free].sum(axis=0), events[free].sum(axis=0)
    outside_risk = total_risk - _sum_pairs(risk, *own, groups)
    outside_events = total_events.sum() - _sum_pairs(events, *own, groups).sum(axis=1)
    result = clock.update(total_risk, total_events, by_group, outside_risk, outside_events)
    return seen, result, by_group.sum(axis=1)


def _sum_pairs(values: Ints, pair_set: Ints, pair_group: Ints, groups: int) -> Ints:
    """Sum the rows of the sets into the groups that they contain."""
    out = np.zeros((groups, values.shape[1]), dtype=np.int64)
    np.add.at(out, pair_group, values[pair_set])
    return out
