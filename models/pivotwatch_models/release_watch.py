"""The watch of one release: population clock, group detectors, and what each group did.

Fed one completed bucket at a time. It says which groups have crossed; what becomes of a crossing is
the business of the incidents.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
import operator
import sys
from collections.abc import Callable, Container, Generator, Sequence
from typing import Any, NamedTuple

import numpy as np

from pivotwatch_models.accounts.share_models import EVENT_TYPES, FIRST_USE
from pivotwatch_models.base.arrays import Floats, Ints, Mask
from pivotwatch_models.base.counts import NO_TRAFFIC, Block, Group, ModelCounts, Mover, Traffic
from pivotwatch_models.groups.adwin import Corroboration, residual
from pivotwatch_models.groups.e_bh import e_bh, smallest_nameable
from pivotwatch_models.groups.group_state import GroupState
from pivotwatch_models.groups.move_shape import MoveShape
from pivotwatch_models.groups.pace_detector import GroupEDetector
from pivotwatch_models.groups.split_reference import SplitReference
from pivotwatch_models.groups.timeline import LEAD, Row
from pivotwatch_models.population.always_active import GROUPS as STEADY
from pivotwatch_models.population.always_active import KIND as POPULATION
from pivotwatch_models.population.always_active import AlwaysActiveHazard
from pivotwatch_models.population.cohorts import ALWAYS_THERE, COHORTS, NEW_COHORTS, STEADY_COHORTS
from pivotwatch_models.population.data_sufficiency import advised_width
from pivotwatch_models.population.group_heterogeneity import UNUSUAL, GroupHeterogeneity, measure
from pivotwatch_models.population.hazard import DECAY_PER_HOUR, Expectation, PopulationHazard
from pivotwatch_models.population.newcomers import NewcomerHazard
from pivotwatch_models.release_calendar import Release
from pivotwatch_models.settings import DAY_MS, Settings

HORIZON_MS = 7 * DAY_MS
_bucket = operator.attrgetter("bucket")
PARTS = 4
"""Of each group the first uses and switches of all its accounts, and again of those always there."""
SLICE = 1024
"""Groups of a slice."""
LEARNT_AFTER = 100
"""First uses seen outside flagged groups, after which a release is no longer `learning`."""


class Past(NamedTuple):
    """Everyone in one bucket: traffic, first uses, and accounts that had none before."""

    bucket: int
    traffic: Traffic
    first_uses: int
    at_risk: int


class ReleaseWatch:
    """Everything that is learnt about one release.

    Parameters
    ----------
    release, settings
        What is watched, and the parameters of the method.
    theta
        θ₀ that a group's past has taught; None where it has none.
    members
        Accounts of a group. One with fewer than ``min_members`` is not watched, and no hypothesis of e-BH.

    Attributes
    ----------
    spread
        What is ordinary among the groups so far.
    """

    version = 1

    def __init__(
        self,
        release: Release,
        settings: Settings,
        theta: Callable[[Group], float | None],
        members: Callable[[Group], int] = lambda _: sys.maxsize,
    ) -> None:
        self.release = release
        self.settings = settings
        self.theta = theta
        self.members = members
        self.spread = GroupHeterogeneity()
        self.horizon = settings.buckets(HORIZON_MS)
        # Half of the first week's budget is the head start's, so the line is at twice the odds.
        self.threshold = math.log(2 * settings.buckets_per_day / settings.alert_budget)
        decay = settings.decay(DECAY_PER_HOUR)
        self.clocks = tuple(PopulationHazard(decay) for _ in EVENT_TYPES)
        self.beginners = tuple(NewcomerHazard() for _ in EVENT_TYPES)
        self.groups: dict[Group, GroupState] = {}
        self.history: list[Past] = []
        self.surge = Corroboration()
        self.e_bh_threshold = math.inf
        self.splits = SplitReference()
        self.steady = AlwaysActiveHazard()
        self.shape = MoveShape()

    @property
    def learning(self) -> bool:
        """Has the population clock still to see enough first uses?"""
        return self.clocks[0].seen < LEARNT_AFTER

    @property
    def moves_per_bucket(self) -> float:
        """First uses of everyone in a bucket, on average since the watch began."""
        return sum(row.first_uses for row in self.history) / max(1, self._length())

    @property
    def advised_width(self) -> int | None:
        """Width of bucket to take instead when the data are too thin for this one, in milliseconds."""
        moves = sum(row.first_uses for row in self.history)
        return advised_width(moves, self._length(), self.settings.bucket_ms)

    def _length(self) -> int:
        return self.history[-1].bucket - self.history[0].bucket + 1 if self.history else 0

    def score(self, bucket: int, counts: ModelCounts, behind: Container[Group] = ()) -> None:
        """Take one completed bucket; see `scoring`."""
        for _ in self.scoring(bucket, counts, behind):
            pass

    def scoring(
        self, bucket: int, counts: ModelCounts, behind: Container[Group] = ()
    ) -> Generator[None, None, None]:
        """Take one completed bucket in slices: at every ``yield`` it may be left alone for a while.

        Parameters
        ----------
        behind
            Groups whose data come late: what they show now happened at another time, so they are not judged.
        """
        self._measure()
        yield
        flagged = self._sets_of({group for group, state in self.groups.items() if state.flagged}, counts)
        muted, always_there = self._muted(), self._hold_steady(bucket, counts)
        seen, expected, at_risk = [], [], np.zeros(len(counts.groups), dtype=np.int64)
        steady: list[list[Any]] = []
        begun: list[list[int]] = []
        for kind, clock in enumerate(self.clocks):
            s, always, result, risk = _expect(
                clock,
                counts,
                counts.risk[kind] * ~NEW_COHORTS,
                counts.events[kind] * ~NEW_COHORTS,
                flagged,
                muted=muted,
                chance=self.steady.chance,
            )
            new_risk, new_seen, new_expected = self._expect_beginners(kind, counts)
            begun += new_risk.tolist(), new_seen.tolist()
            seen.append((s + new_seen).tolist())
            expected.append((result.expected + new_expected).tolist())
            steady += always.tolist(), result.steady.tolist()
            at_risk += risk + new_risk
            if kind == FIRST_USE:
                self.surge.update(bucket, result.hazard)
            yield
        for i, group in enumerate(counts.groups):
            if i % SLICE == 0:
                yield
            x = seen[0][i], expected[0][i], seen[1][i], expected[1][i]
            if at_risk[i] and self._is_watched(group) and group not in behind:
                self._update(bucket, group, x, [row[i] for row in steady])
                own = self.groups[group].begun
                self.groups[group].begun = [n + row[i] for n, row in zip(own, begun, strict=True)]
            self._travel(bucket, group, counts.traffic[i], x)
        yield
        for group, (risky, moved, usual) in zip(STEADY, always_there, strict=True):
            if risky:
                self._update(bucket, group, (moved, usual, 0, 0.0))
            self._travel(bucket, group, NO_TRAFFIC, (moved, usual, 0, 0.0))
        self._note_moves(bucket, counts.movers)
        yield
        self._note_blocks(bucket, counts.blocks)
        yield
        first_uses, first_risk = int(counts.events[0].sum()), int(counts.risk[0].sum())
        self.history.append(Past(bucket, counts.total, first_uses, first_risk))

    def _expect_beginners(self, kind: int, counts: ModelCounts) -> tuple[Ints, Ints, Floats]:
        """Of those never seen before, per group: accounts, events seen and expected."""
        risk, events = (
            table[kind][:, NEW_COHORTS].sum(axis=1, keepdims=True) for table in (counts.risk, counts.events)
        )
        group_risk, group_events = (
            _sum_pairs(values, counts.pair_set, counts.pair_group, len(counts.groups))[:, 0]
            for values in (risk, events)
        )
        own = np.array(
            [s.begun[2 * kind : 2 * kind + 2] if (s := self.groups.get(g)) else (0, 0) for g in counts.groups]
        ).reshape(-1, 2)
        clock = self.beginners[kind]
        expected = clock.expected(group_risk, own[:, 0], own[:, 1])
        clock.update(int(risk.sum()), int(events.sum()))
        return group_risk, group_events, expected

    def _hold_steady(self, bucket: int, counts: ModelCounts) -> list[tuple[int, int, float]]:
        """Hold those that are always there against those that pause: at risk, seen, expected per band.

        Those of named groups are left out: they are known. Those of groups that only stand out are not, as a
        campaign in many small groups stands out in each and may be named in none.
        """
        age = bucket - self.release.released_at // self.settings.bucket_ms
        named = self._sets_of(set(self.candidates()), counts)
        risk, events = (table[FIRST_USE][~named].sum(axis=0) for table in (counts.risk, counts.events))
        return self.steady.update(age, risk, events)

    def _muted(self) -> Mask:
        """Cohorts that stand out as a whole: kept out of the population's hazard, as flagged groups are."""
        muted = np.zeros((len(STEADY), COHORTS // len(STEADY)), dtype=bool)
        for band, group in enumerate(STEADY):
            muted[band] = (s := self.groups.get(group)) is not None and s.detector.flagged
        out: Mask = muted.ravel() & ALWAYS_THERE
        return out

    def crossed(self, group: Group) -> tuple[bool, bool]:
        """Has the group crossed, by its own threshold and by e-BH over all groups?"""
        log_r = self.groups[group].log_r
        return log_r >= self.threshold, log_r >= self.e_bh_threshold

    def candidates(self) -> list[Group]:
        """Groups whose evidence is over either threshold, and that are unusual for good, sorted."""
        least = min(self.threshold, self.e_bh_threshold)
        return sorted(
            g
            for g, state in self.groups.items()
            if state.log_r >= least and self._is_unusual(g, state, least)
        )

    def _is_unusual(self, group: Group, state: GroupState, least: float) -> bool:
        """Is the pace improbable for a group with a pace of its own, or is it the split that tells?"""
        if group[0] == POPULATION or state.log_split >= least:
            return True
        # Of all that are watched less than half an ordinary group may be expected to be so fast.
        needed = max(UNUSUAL, math.log(2 * len(self.groups)))
        detector = state.detector
        return any(
            self.spread.surprise(group[0], detector.seen[part], detector.expected[part], self.settings.theta)
            >= needed
            for part in detector.parts_of(detector.leading)
        )

    def rearm(self, group: Group) -> None:
        """Start the evidence of a group anew, when its incident is resolved."""
        state = self.groups[group]
        state.detector = GroupEDetector(self.threshold, state.detector.theta, parts=PARTS)
        state.moves, state.excursion, state.series.held = [], NO_TRAFFIC, False
        state.split.rearm()

    def population(self, since: int) -> tuple[Traffic, list[tuple[int, int]]]:
        """Traffic of everyone since a bucket, and first uses per bucket."""
        rows = [row for row in self.history if row.bucket >= since]
        return sum((row.traffic for row in rows), NO_TRAFFIC), [(row.bucket, row.first_uses) for row in rows]

    def rows(self, group: Group, since: int) -> list[tuple[Row, Traffic]]:
        """The series of a group from up to 48 buckets before ``since``, and everyone's traffic meanwhile."""
        if (state := self.groups.get(group)) is None:
            return []
        rows = [row for row in state.series.rows() if row.end > since - LEAD]
        return [(row, self._everyone(row.start, row.end)) for row in rows]

    def _everyone(self, start: int, end: int) -> Traffic:
        first = bisect.bisect_left(self.history, start, key=_bucket)
        last = bisect.bisect_left(self.history, end, lo=first, key=_bucket)
        return sum((row.traffic for row in self.history[first:last]), NO_TRAFFIC)

    def _measure(self) -> None:
        """Learn from what was seen so far what is ordinary, and who stands out."""
        sums = {g: (state.seen, state.expected) for g, state in self.groups.items() if g[0] != POPULATION}
        self.spread = measure(sums, {g for g, state in self.groups.items() if state.detector.flagged})
        for (kind, _), state in self.groups.items():
            state.apart = self.spread.apart(kind, state.seen, state.expected)

    def _is_watched(self, group: Group) -> bool:
        return group in self.groups or self.members(group) >= self.settings.min_members

    def _theta(self, group: Group) -> float:
        learnt = self.theta(group)
        if learnt is None and group[0] == POPULATION:
            return self.settings.theta
        return self.spread.theta(group[0], self.settings.theta) if learnt is None else learnt

    @staticmethod
    def _sets_of(groups: set[Group], counts: ModelCounts) -> Mask:
        """The sets that touch one of the groups, (sets,)."""
        touched = np.array([group in groups for group in counts.groups], dtype=bool)
        sets = np.zeros(len(counts.risk[0]), dtype=bool)
        sets[counts.pair_set[touched[counts.pair_group]]] = True
        return sets

    def _update(
        self,
        bucket: int,
        group: Group,
        x: tuple[int, float, int, float],
        steady: Sequence[float] = (0, 0.0) * 2,
    ) -> None:
        state = self.groups.get(group)
        if state is None:
            detector = GroupEDetector(self.threshold, head=self.horizon, parts=PARTS)
            state = self.groups[group] = GroupState(detector, Corroboration(), [bucket, bucket])
        if state.detector.quiet:
            state.before, state.excursion, state.moves = state.before + state.excursion, NO_TRAFFIC, []
            state.split.calm()
        state.detector.theta = self._theta(group)
        state.detector.update((*x, *steady))
        for kind, updates in enumerate(state.detector.since):
            if updates == 1:
                state.onset[kind] = bucket
        leading = state.detector.leading
        state.second.update(bucket, residual(x[2 * leading], x[2 * leading + 1]))
        state.seen += x[0] + x[2]
        state.expected += x[1] + x[3]
        state.firsts = [state.firsts[0] + x[0], state.firsts[1] + x[1]]
        state.last_risk = bucket

    def _travel(self, bucket: int, group: Group, traffic: Traffic, x: tuple[int, float, int, float]) -> None:
        """Take the requests of a group that has once been at risk."""
        if (state := self.groups.get(group)) is not None:
            if state.excursion == NO_TRAFFIC:
                state.since = bucket
            state.excursion = state.excursion + traffic
            row = Row(bucket, bucket + 1, traffic.requests, traffic.chosen, x[0] + x[2], x[1] + x[3])
            state.series.add(row, moving=not state.detector.quiet)

    def _note_moves(self, bucket: int, movers: list[Mover]) -> None:
        for mover in movers:
            for group in mover.groups:
                if (state := self.groups.get(group)) is not None:
                    state.moves.append((bucket, mover.account, mover.young))

    def _note_blocks(self, bucket: int, blocks: list[Block]) -> None:
        for block in blocks:
            self.shape.add(block)
        own = {g: state.split for block in blocks for g in block.groups if (state := self.groups.get(g))}
        flagged = {g for g, split in own.items() if split.detector.flagged or self.groups[g].flagged}
        for group in self.splits.take(bucket, blocks, own, flagged):
            self.groups[group].last_risk = bucket

    def nameable(self, bucket: int) -> list[float]:
        """Ln R of the groups that e-BH might name: with an account at risk within the horizon."""
        least, recent = smallest_nameable() + math.log(2 * self.horizon), bucket - self.horizon
        states = (state for state in self.groups.values() if state.last_risk > recent)
        return [r for state in states if (r := state.log_r) >= least]

    def hypotheses(self, bucket: int) -> int:
        """Number of groups that had an account at risk within the horizon."""
        return sum(1 for state in self.groups.values() if state.last_risk > bucket - self.horizon)

    def snapshot(self) -> dict[str, Any]:
        """State without the groups, JSON-able."""
        return {
            "release": dataclasses.astuple(self.release),
            "clocks": [clock.snapshot() for clock in self.clocks],
            "beginners": [[clock.risk, clock.events] for clock in self.beginners],
            "surge": self.surge.snapshot(),
            "history": [[b, *traffic.row(), *rest] for b, traffic, *rest in self.history],
            "steady": self.steady.slow,
            "splits": [self.splits.tally, self.shape.snapshot()],
            "e_bh": None if self.e_bh_threshold == math.inf else self.e_bh_threshold,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue exactly where `snapshot` was taken (groups: `restore_group`)."""
        for clock, values in zip(self.clocks, state["clocks"], strict=True):
            clock.restore(values)
        self.beginners = tuple(NewcomerHazard(*row) for row in state["beginners"])
        self.surge = Corroboration.restored(state["surge"])
        self.history = [Past(b, Traffic(*t), uses, risk) for b, *t, uses, risk in state["history"]]
        self.e_bh_threshold = math.inf if state["e_bh"] is None else state["e_bh"]
        self.steady.slow = tuple(state["steady"]) if state["steady"] else None
        self.splits.tally, shape = state["splits"]
        self.shape = MoveShape.restored(shape)

    def snapshot_group(self, group: Group) -> list[Any]:
        """State of one group, JSON-able."""
        return self.groups[group].snapshot()

    def restore_group(self, group: Group, state: list[Any]) -> None:
        """Put one group back."""
        self.groups[group] = GroupState.restored(self.threshold, state)


def name_jointly(watches: Sequence[ReleaseWatch], bucket: int) -> None:
    """Set the e-BH threshold over all groups of all watched releases: e = R/2H, G = groups × releases."""
    shown = [log_r for watch in watches for log_r in watch.nameable(bucket)]
    threshold = math.inf
    if shown:
        # R started at H, so over a horizon of H buckets its mean is at most 2H.
        log_horizon = math.log(2 * watches[0].horizon)
        hypotheses = sum(watch.hypotheses(bucket) for watch in watches)
        log_e = e_bh([log_r - log_horizon for log_r in shown], max(1, hypotheses))
        # The least ln R that is named, not a sum: rounding could lift that over the group on the edge.
        threshold = min((r for r in shown if r - log_horizon >= log_e), default=math.inf)
    for watch in watches:
        watch.e_bh_threshold = threshold


def _expect(
    clock: PopulationHazard,
    counts: ModelCounts,
    risk: Ints,
    events: Ints,
    flagged: Mask,
    *,
    muted: Mask,
    chance: float,
) -> tuple[Ints, Ints, Expectation, Ints]:
    """Of one type of event per group: those seen, of steady accounts, the expectation, accounts at risk."""
    groups, free = len(counts.groups), ~flagged
    by_group = _sum_pairs(risk, counts.pair_set, counts.pair_group, groups)
    seen = _sum_pairs(events, counts.pair_set, counts.pair_group, groups)
    free_pair = free[counts.pair_set]
    own = counts.pair_set[free_pair], counts.pair_group[free_pair]
    total_risk, total_events = risk[free].sum(axis=0), events[free].sum(axis=0)
    outside_risk = total_risk - _sum_pairs(risk, *own, groups)
    outside_events = (total_events - _sum_pairs(events, *own, groups))[:, ~muted].sum(axis=1)
    result = clock.update(
        total_risk, total_events, by_group, outside_risk, outside_events, muted=muted, chance=chance
    )
    return seen.sum(axis=1), seen[:, STEADY_COHORTS].sum(axis=1), result, by_group.sum(axis=1)


def _sum_pairs(values: Ints, pair_set: Ints, pair_group: Ints, groups: int) -> Ints:
    """Sum the rows of the sets into the groups that they contain."""
    out = np.zeros((groups, values.shape[1]), dtype=np.int64)
    np.add.at(out, pair_group, values[pair_set])
    return out
