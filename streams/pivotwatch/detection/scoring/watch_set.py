"""The watched releases: scores a bucket for each of them and writes the alerts that follow.

A watch begins when its model is seen and ends when its time is over, or when the release is moved in the
calendar or removed from it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np

from pivotwatch.base.network_classes import SUSPECT, NetworkClass
from pivotwatch.contracts.records import Output
from pivotwatch.detection.alerting.alert_builder import AlertBuilder
from pivotwatch.detection.scoring.bucket_view import BucketView
from pivotwatch.detection.scoring.control_log import Decision
from pivotwatch.detection.scoring.model_counter import ModelCounter
from pivotwatch.detection.scoring.networks_state import NetworksState, WatchedRelease
from pivotwatch_models.base.counts import Group, ModelCounts
from pivotwatch_models.groups.report_rule import apply_e_bh
from pivotwatch_models.incidents.lifecycle import Surroundings
from pivotwatch_models.incidents.transition import Transition
from pivotwatch_models.population.always_active import ALWAYS_ACTIVE_GROUPS, POPULATION
from pivotwatch_models.release_calendar import Release

_Counts = dict[Release, list[ModelCounts]]


class WatchSet:
    """Applies buckets and decisions to the watched releases of a state.

    Parameters
    ----------
    state
        The state with the watches.
    network_class
        Returns the class of a network, or None when it is not known.

    Attributes
    ----------
    forgotten_groups
        Number of groups that the watches forgot in the last bucket, because there were too many.
    """

    def __init__(self, state: NetworksState, network_class: NetworkClass) -> None:
        self._state = state
        self._network_class = network_class
        self.forgotten_groups = 0
        self._alert_builder = AlertBuilder(state.settings, network_class)

    def score(self, view: BucketView) -> list[Output]:
        """Score one bucket; returns the alerts."""
        counter = self._counter(view)
        outputs = self._end_watches(view.bucket)
        late = self._correct(view)
        on_time = self._score_watches(view, counter)
        around = self._surroundings(view)
        for release, counts in on_time.items():
            watched = self._state.watches[release]
            every = [*late.get(release, ()), *counts]
            transitions = watched.incidents.step(view.bucket, every, view.findings(release.model), around)
            for transition in transitions:  # A resolution restarts groups, even those that were not active.
                self._state.changed |= set(transition.incident.groups)
            outputs += self._alerts(view.bucket, watched, transitions)
        self.forgotten_groups = sum(self._bound(self._state.watches[release]) for release in on_time)
        return outputs

    def _bound(self, watched: WatchedRelease) -> int:
        """Forget groups of a watch when there are too many; returns how many."""
        groups = watched.watch.watched
        if not groups.too_many:
            return 0
        gone = groups.bound(watched.incidents.groups())
        self._state.changed.update(gone)
        for group in gone:
            if not self._state.is_in_a_watch(group):
                self._state.registry.forget(group)
        return len(gone)

    def decide(self, bucket: int, decision: Decision) -> list[Output]:
        """Apply a person's decision, with effect from ``bucket``; returns the alerts.

        A decision on an alert id that no incident has is ignored.
        """
        entity = decision.entity or self._entity_of(decision.alert_id)
        if entity is None:
            return []
        self._state.verdicts.pop(entity, None)
        if decision.verdict == "verified":
            self._state.verdicts[entity] = decision.verdict
        outputs: list[Output] = []
        for _, watched in sorted(self._state.watches.items()):
            transitions = watched.incidents.decide(entity, decision.verdict, decision.alert_id)
            outputs += self._alerts(bucket, watched, transitions)
        return outputs

    def drop_ended(self, bucket: int) -> None:
        """Forget the watches that have ended before ``bucket`` or in it."""
        for release in self._state.watches.keys() - self._current(bucket):
            del self._state.watches[release]

    def open_incidents(self) -> int:
        """Number of open incidents over all watches."""
        return sum(len(watched.incidents.open()) for watched in self._state.watches.values())

    def _entity_of(self, alert_id: str | None) -> Group | None:
        for watched in self._state.watches.values():
            for incident in watched.incidents.by_entity.values():
                if incident.alert_id == alert_id:
                    return incident.entity
        return None

    def _alerts(
        self, bucket: int, watched: WatchedRelease, transitions: Iterable[Transition]
    ) -> list[Output]:
        """Write alerts at once: an incident may pass through several states within one bucket."""
        return [self._alert_builder.output(bucket, t, watched.watch) for t in transitions]

    def _current(self, bucket: int) -> set[Release]:
        """The releases whose watch includes a bucket."""
        width, watch_ms = self._state.settings.bucket_ms, self._state.settings.watch_ms
        return set(self._state.calendar.watched(bucket * width, (bucket + 1) * width, watch_ms))

    def _counter(self, view: BucketView) -> ModelCounter:
        watched = [self._state.is_watched(group) for group in view.groups]
        return ModelCounter(view, np.array(watched, dtype=bool))

    def _end_watches(self, bucket: int) -> list[Output]:
        """Resolve the incidents of the watches that have ended, and keep the limit θ₀ learned from them.

        A release that was moved in the calendar or removed from it gives no limit: its watch was cut short.
        """
        state, outputs = self._state, []
        for release in sorted(state.watches.keys() - self._current(bucket)):
            watched = state.watches[release]
            outputs += self._alerts(bucket, watched, watched.incidents.end())
            if bucket * state.settings.bucket_ms < release.released_at + state.settings.watch_ms:
                continue
            for group, of_group in sorted(watched.watch.groups.items()):
                seen, expected = watched.incidents.alerted_events(group)
                state.registry.get(group).theta.close_watch(
                    max(0, of_group.seen - seen), max(0.0, of_group.expected - expected)
                )
                state.changed.add(group)
        return outputs

    def _correct(self, view: BucketView) -> _Counts:
        """Correct the watches by what arrived late for earlier buckets; returns these counts."""
        state = self._state
        counts: _Counts = {}
        late_views = list(view.late())
        releases = sorted(state.watches.keys() & self._current(view.bucket)) if late_views else []
        for release in releases:  # A restart since the last bucket has lost how far the groups differ.
            state.watches[release].watch.watched.measure_heterogeneity()
        for late in late_views:
            counter = self._counter(late)
            for release in releases:
                of_model = counter.counts(release, state.calendar.stream_start or 0)
                state.watches[release].watch.correct(view.bucket, late.bucket, of_model)
                counts.setdefault(release, []).append(of_model)
            state.changed |= set(late.groups)
        return counts

    def _score_watches(self, view: BucketView, counter: ModelCounter) -> _Counts:
        """Score every watched release; its counts, none when nobody was active."""
        state = self._state
        counts: _Counts = {}
        for release in sorted(self._current(view.bucket)):
            if release.model not in view.models and not state.calendar.sighted(release.model):
                continue
            watched = state.watches.get(release) or state.begin_watch(release)
            counts[release] = []
            if not view.is_empty:
                of_model = counter.counts(release, state.calendar.stream_start or 0)
                watched.watch.score(view.bucket, of_model)
                counts[release].append(of_model)
        if counts and not view.is_empty:
            for group in ALWAYS_ACTIVE_GROUPS:  # They have a state without being part of any record.
                state.registry.get(group)
            state.changed |= set(ALWAYS_ACTIVE_GROUPS)
        if not view.is_empty:
            apply_e_bh([state.watches[release].watch.report_rule for release in counts], view.bucket)
        return counts

    def _surroundings(self, view: BucketView) -> Surroundings:
        """What the incidents may ask about groups and accounts beyond one release."""
        registry = self._state.registry
        return Surroundings(
            members_of=lambda group: sys.maxsize if group[0] == POPULATION else registry.members(group),
            verdict_of=self._state.verdicts.get,
            late=lambda group, since: view.idle_partitions > 0 or registry.late_since(group, since),
            suspect=lambda group: group[0] == "network" and self._network_class(group[1]) in SUSPECT,
            quiet_share=registry.quiet_share,
        )
