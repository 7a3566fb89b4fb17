"""The watch of one release: the population's hazard, the detectors of the groups, and which are reported.

A watch takes one completed bucket at a time and says which groups are reported. What becomes of a reported
group is decided by the incidents (`pivotwatch_models.incidents.lifecycle`).
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from pivotwatch_models.accounts.share_models import EVENT_TYPES, FIRST_USE
from pivotwatch_models.base.counts import NO_TRAFFIC, Group, ModelCounts, Traffic
from pivotwatch_models.groups.adwin import Corroboration
from pivotwatch_models.groups.group_state import GroupState
from pivotwatch_models.groups.move_shape import MoveShape
from pivotwatch_models.groups.report_rule import ReportRule, report_threshold
from pivotwatch_models.groups.timeline import LEAD, Row
from pivotwatch_models.groups.watched_groups import WatchedGroups
from pivotwatch_models.method import STATE
from pivotwatch_models.population.always_active import ALWAYS_ACTIVE_GROUPS
from pivotwatch_models.population.expectations import PopulationExpectations, TypeExpectation
from pivotwatch_models.population.history import BucketTotals, PopulationHistory
from pivotwatch_models.release_calendar import Release
from pivotwatch_models.settings import Settings


class ReleaseWatch:
    """Everything that is learned about one release.

    Parameters
    ----------
    release, settings
        What is watched, and the parameters of the method.
    theta
        Normal limit θ₀ that was learned about a group in earlier watches; None where there were none.
    members
        Accounts of a group. One with fewer than ``min_members`` is neither watched nor an e-BH hypothesis.

    Attributes
    ----------
    population
        What everyone else lets one expect of a group.
    watched
        The groups, their detectors and evidence.
    report_rule
        Which groups are reported.
    history
        Traffic and first uses of everyone per bucket.
    surge
        ADWIN on the population's hazard of first uses.
    shape
        Splits and sizes of everyone who uses the model.
    """

    def __init__(
        self,
        release: Release,
        settings: Settings,
        theta: Callable[[Group], float | None],
        members: Callable[[Group], int] = lambda _: sys.maxsize,
    ) -> None:
        self.release = release
        self.settings = settings
        self.threshold = report_threshold(settings)
        horizon = settings.buckets(STATE.pace.horizon_ms)
        self.population = PopulationExpectations(settings)
        self.watched = WatchedGroups(settings, self.threshold, horizon, theta, members)
        self.report_rule = ReportRule(self.watched, horizon, release.released_at // settings.bucket_ms)
        self.history = PopulationHistory()
        self.surge = Corroboration()
        self.shape = MoveShape()

    @property
    def groups(self) -> dict[Group, GroupState]:
        """The watched groups and their states."""
        return self.watched.states

    @property
    def learning(self) -> bool:
        """Whether too few first uses were seen so far for a firm expectation."""
        return self.population.learning

    def score(self, bucket: int, counts: ModelCounts) -> None:
        """Take one completed bucket."""
        self.watched.measure_heterogeneity()
        flagged = counts.sets_touching(self.watched.flagged())
        flagged_cohorts = self.watched.flagged_cohorts()
        age = bucket - self.release.released_at // self.settings.bucket_ms
        reported = counts.sets_touching(set(self.report_rule.reported()))
        always_active = self.population.compare_always_active(age, counts, reported)
        by_type = []
        for kind in range(len(EVENT_TYPES)):
            own = self.watched.newcomers(kind, counts.groups)
            by_type.append(self.population.expect(kind, counts, flagged, flagged_cohorts, own))
        self.population.remember(bucket, by_type[FIRST_USE].hazard)
        self.surge.update(bucket, by_type[FIRST_USE].hazard)
        events = _rows(by_type, "seen", "expected")
        always = _rows(by_type, "always_seen", "always_expected")
        newcomers = _rows(by_type, "newcomers", "newcomer_events")
        at_risk = [any(row) for row in _rows(by_type, "at_risk")]
        for i, group in enumerate(counts.groups):
            if at_risk[i] and self.watched.is_watched(group):
                state = self.watched.update(bucket, group, events[i], always[i])
                state.newcomers = [n + more for n, more in zip(state.newcomers, newcomers[i], strict=True)]
            self.watched.add_traffic(bucket, group, counts.traffic[i], events[i])
        for group, (accounts, seen, expected) in zip(ALWAYS_ACTIVE_GROUPS, always_active, strict=True):
            first_uses = seen, expected, 0, 0.0
            if accounts:
                self.watched.update(bucket, group, first_uses)
            self.watched.add_traffic(bucket, group, NO_TRAFFIC, first_uses)
        self.watched.note_movers(bucket, counts.movers)
        for block in counts.blocks:
            self.shape.add(block)
        self.watched.note_blocks(bucket, counts.blocks)
        moved, risk = int(counts.events[FIRST_USE].sum()), int(counts.at_risk[FIRST_USE].sum())
        self.history.append(BucketTotals(bucket, counts.total, moved, risk))

    def correct(self, bucket: int, earlier: int, counts: ModelCounts) -> None:
        """Take what came late of an earlier bucket, before the present one is scored.

        Each group is compared with what everyone else did in the *earlier* bucket. What came late is left out
        of the population's hazard: it was estimated from those who were on time.

        Parameters
        ----------
        bucket, earlier
            The bucket that is about to be scored, and the one that the counts are of.
        counts
            Accounts that sent late events and their first uses. An account that was active on time in the
            earlier bucket too counts as at risk twice, so E is rather too large than too small.
        """
        at_risk, seen, expected = self.population.expect_late(earlier, counts)
        for i, group in enumerate(counts.groups):
            events = int(seen[i]), float(expected[i]), 0, 0.0
            if at_risk[i] and self.watched.is_watched(group):
                self.watched.correct(bucket, group, events)
            self.watched.add_traffic(bucket, group, counts.traffic[i], events)
        self.history.append_late(bucket, counts.total)
        self.watched.note_movers(bucket, counts.movers)

    def rows(self, group: Group, since: int) -> list[tuple[Row, Traffic]]:
        """The timeline of a group from up to 48 buckets before ``since``, with everyone's traffic."""
        if (state := self.groups.get(group)) is None:
            return []
        rows = [row for row in state.timeline.rows() if row.end > since - LEAD]
        return [(row, self.history.between(row.start, row.end)) for row in rows]

    def snapshot(self) -> dict[str, Any]:
        """State without the groups, JSON-able."""
        return {
            "release": dataclasses.astuple(self.release),
            "population": self.population.snapshot(),
            "surge": self.surge.snapshot(),
            "history": self.history.snapshot(),
            "splits": self.watched.splits.tally,
            "shape": self.shape.snapshot(),
            "e_bh": None if self.report_rule.e_bh_threshold == math.inf else self.report_rule.e_bh_threshold,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue exactly where `snapshot` was taken (groups: `restore_group`)."""
        self.population.restore(state["population"])
        self.surge = Corroboration.restored(state["surge"])
        self.history = PopulationHistory.restored(state["history"])
        self.report_rule.e_bh_threshold = math.inf if state["e_bh"] is None else state["e_bh"]
        self.watched.splits.tally = state["splits"]
        self.shape = MoveShape.restored(state["shape"])

    def snapshot_group(self, group: Group) -> list[Any]:
        """State of one group, JSON-able."""
        return self.groups[group].snapshot()

    def restore_group(self, group: Group, state: list[Any]) -> None:
        """Put one group back."""
        self.groups[group] = GroupState.restored(self.threshold, state)


def _rows(by_type: Sequence[TypeExpectation], *fields: str) -> list[tuple[Any, ...]]:
    """One row per group: the fields of the first type of event, then those of the second."""
    columns = (getattr(one, field).tolist() for one in by_type for field in fields)
    return list(zip(*columns, strict=True))
