"""The groups of one watch: what each did so far, and the evidence of its detectors.

A group is watched from the first bucket in which it has an account at risk and at least ``min_members``
members. Its state then stays until the watch ends, unless there are too many groups (`WatchedGroups.bound`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from heapq import nsmallest

import numpy as np

from pivotwatch_models.accounts.share_models import EVENT_TYPES, FIRST_USE
from pivotwatch_models.base.arrays import Ints, Mask
from pivotwatch_models.base.counts import NO_TRAFFIC, Block, Group, Mover, Traffic
from pivotwatch_models.groups.adwin import Corroboration, residual
from pivotwatch_models.groups.group_state import GroupState
from pivotwatch_models.groups.pace_detector import GroupEDetector
from pivotwatch_models.groups.split_reference import SplitReference
from pivotwatch_models.groups.timeline import Row
from pivotwatch_models.method import STATE
from pivotwatch_models.population.always_active import ALWAYS_ACTIVE_GROUPS, POPULATION
from pivotwatch_models.population.cohorts import ALWAYS_ACTIVE_COHORTS, COHORTS
from pivotwatch_models.population.group_heterogeneity import GroupHeterogeneity, measure
from pivotwatch_models.settings import Settings

PARTS = 2 * len(EVENT_TYPES)
"""Counts of a detector: first uses and switches of all accounts of the group, and of those always active."""

_BOUNDS = STATE.watch_bounds

Events = tuple[int, float, int, float]
"""First uses observed and expected, switches observed and expected."""
NO_EVENTS: Events = (0, 0.0, 0, 0.0)


class WatchedGroups:
    """The state of every group of one watch.

    Parameters
    ----------
    settings
        Parameters of the method.
    threshold
        Score ln R at which a group crosses.
    head_start
        R₀ of a group's pace detector, in buckets.
    learnt_theta
        Normal limit θ₀ that was learned about a group in earlier watches; None when there were none.
    members
        Number of members of a group.

    Attributes
    ----------
    states
        The watched groups.
    heterogeneity
        How far the paces of ordinary groups differ, measured before the present bucket.
    splits
        What is normal for the split of an account's traffic.
    """

    def __init__(
        self,
        settings: Settings,
        threshold: float,
        head_start: int,
        learnt_theta: Callable[[Group], float | None],
        members: Callable[[Group], int],
    ) -> None:
        self.settings = settings
        self.threshold = threshold
        self.head_start = head_start
        self.learnt_theta = learnt_theta
        self.members = members
        self.states: dict[Group, GroupState] = {}
        self.heterogeneity = GroupHeterogeneity()
        self.splits = SplitReference()

    def measure_heterogeneity(self) -> None:
        """Learn from the watch so far how far ordinary groups differ, and which groups stand out."""
        sums = {g: (state.seen, state.expected) for g, state in self.states.items() if g[0] != POPULATION}
        self.heterogeneity = measure(sums, {g for g, state in self.states.items() if state.detector.flagged})
        for (kind, _), state in self.states.items():
            state.is_outlier = self.heterogeneity.is_outlier(kind, state.seen, state.expected)

    def flagged(self) -> set[Group]:
        """The groups that are kept out of the population's hazard."""
        return {group for group, state in self.states.items() if state.flagged}

    def flagged_cohorts(self) -> Mask:
        """Cohorts of always-active accounts that are flagged as a whole, (cohorts,)."""
        flagged = np.zeros((len(ALWAYS_ACTIVE_GROUPS), COHORTS // len(ALWAYS_ACTIVE_GROUPS)), dtype=bool)
        for band, group in enumerate(ALWAYS_ACTIVE_GROUPS):
            flagged[band] = (state := self.states.get(group)) is not None and state.detector.flagged
        out: Mask = flagged.ravel() & ALWAYS_ACTIVE_COHORTS
        return out

    def is_watched(self, group: Group) -> bool:
        """Whether the group is watched, or has enough members to be."""
        return group in self.states or self.members(group) >= self.settings.min_members

    def newcomers(self, kind: int, groups: Sequence[Group]) -> Ints:
        """Newcomers of each group so far, and how many of them had the event, (groups, 2)."""
        return np.array(
            [s.newcomers[2 * kind : 2 * kind + 2] if (s := self.states.get(g)) else (0, 0) for g in groups]
        ).reshape(-1, 2)

    def update(
        self, bucket: int, group: Group, events: Events, always_active: Events = NO_EVENTS
    ) -> GroupState:
        """Take one bucket of a group with accounts at risk.

        Parameters
        ----------
        events
            Events of all of its accounts.
        always_active
            Events of its settled accounts that are always active.
        """
        state = self._state(bucket, group)
        state.detector.update((*events, *always_active))
        for kind, updates in enumerate(state.detector.since):
            if updates == 1:
                state.onset[kind] = bucket
        leading = state.detector.leading
        state.adwin.update(bucket, residual(events[2 * leading], events[2 * leading + 1]))
        state.seen += events[0] + events[2]
        state.expected += events[1] + events[3]
        state.first_uses = [state.first_uses[0] + events[0], state.first_uses[1] + events[1]]
        state.last_risk = bucket
        return state

    def correct(self, bucket: int, group: Group, events: Events) -> None:
        """Take first uses of an earlier bucket that came late, of a group with accounts at risk then."""
        state = self._state(bucket, group)
        quiet = state.detector.quiet
        state.detector.correct(events[0], events[1])
        if quiet and not state.detector.quiet:
            state.onset[FIRST_USE] = bucket
        state.seen += events[0]
        state.expected += events[1]
        state.first_uses = [state.first_uses[0] + events[0], state.first_uses[1] + events[1]]
        state.last_risk = bucket

    def _state(self, bucket: int, group: Group) -> GroupState:
        """The state of a group that has accounts at risk, ready for what a bucket says of it."""
        state = self.states.get(group)
        if state is None:
            detector = GroupEDetector(self.threshold, head=self.head_start, parts=PARTS)
            state = self.states[group] = GroupState(detector, Corroboration(), [bucket, bucket])
        if state.detector.quiet:
            state.before, state.excursion, state.moves = state.before + state.excursion, NO_TRAFFIC, []
            state.split.forget_if_quiet()
        state.detector.theta = self._theta(group)
        return state

    def _theta(self, group: Group) -> float:
        learnt = self.learnt_theta(group)
        if learnt is not None:
            return learnt
        most = self.settings.theta
        return most if group[0] == POPULATION else self.heterogeneity.theta(group[0], most)

    def add_traffic(self, bucket: int, group: Group, traffic: Traffic, events: Events) -> None:
        """Add the requests of a group in a bucket, if the group is watched."""
        if (state := self.states.get(group)) is not None:
            if state.excursion == NO_TRAFFIC:
                state.since = bucket
            state.excursion = state.excursion + traffic
            seen, expected = events[0] + events[2], events[1] + events[3]
            row = Row(bucket, bucket + 1, traffic.requests, traffic.chosen, seen, expected)
            state.timeline.add(row, moving=not state.detector.quiet)

    def note_movers(self, bucket: int, movers: Sequence[Mover]) -> None:
        """Remember which accounts had an event in the bucket."""
        for mover in movers:
            for group in mover.groups:
                if (state := self.states.get(group)) is not None:
                    state.moves.append((bucket, mover.account, mover.young))

    def note_blocks(self, bucket: int, blocks: Sequence[Block]) -> None:
        """Add the blocks that ended in the bucket to the splits of their groups and of everyone."""
        own = {g: state.split for block in blocks for g in block.groups if (state := self.states.get(g))}
        flagged = {g for g, split in own.items() if split.detector.flagged or self.states[g].flagged}
        for group in self.splits.update(bucket, blocks, own, flagged):
            self.states[group].last_risk = bucket

    def restart(self, group: Group) -> None:
        """Start the evidence of a group again from 0; called when its incident is resolved."""
        state = self.states[group]
        state.detector = GroupEDetector(self.threshold, state.detector.theta, parts=PARTS)
        state.moves, state.excursion, state.timeline.incident_open = [], NO_TRAFFIC, False
        state.split.restart()

    @property
    def too_many(self) -> bool:
        """Whether `bound` would forget groups."""
        return len(self.states) > _BOUNDS.quiet

    def bound(self, kept: Container[Group]) -> list[Group]:
        """Forget groups when there are too many; returns them.

        Above `WatchBounds.quiet` groups, those without evidence go, those with the fewest members first.
        Above `WatchBounds.most`, groups with evidence go too, those with the lowest score first. A group that
        has accounts at risk again begins again from 0.

        Parameters
        ----------
        kept
            Groups that stay: those of incidents.
        """
        over = max(0, len(self.states) - _BOUNDS.quiet)
        free = [(g, s) for g, s in self.states.items() if g not in kept and g[0] != POPULATION]
        quiet = [(self.members(g), s.last_risk, g) for g, s in free if s.is_quiet]
        gone = [group for *_, group in nsmallest(over, quiet)]
        over = len(self.states) - len(gone) - _BOUNDS.most
        if over > 0:
            loud = [(s.log_r, g) for g, s in free if not s.is_quiet]
            gone += [group for _, group in nsmallest(over, loud)]
        for group in gone:
            del self.states[group]
        return gone
