"""The networks step: scores every bucket once it is there from every partition, in order.

It owns what is global: the release calendar, one watch per release (population clock and group
detectors), false discovery over all groups, incidents, decisions. One instance, one partition.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from pivotwatch.base.network_classes import SUSPECT, NetworkClass
from pivotwatch.contracts.bucket_record import decode
from pivotwatch.contracts.dead_letters import undecodable
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.detection.alerting.alert_builder import AlertBuilder
from pivotwatch.detection.scoring import migrations
from pivotwatch.detection.scoring.alignment import BucketAlignment
from pivotwatch.detection.scoring.bucket_view import View
from pivotwatch.detection.scoring.control_log import ControlLog, Decision, Entry
from pivotwatch.detection.scoring.status import status
from pivotwatch.engine.state_migration import Migration, migrated
from pivotwatch_models.base.arrays import Mask
from pivotwatch_models.base.counts import Group, ModelCounts
from pivotwatch_models.groups.registry import GroupRecord, GroupRegistry
from pivotwatch_models.groups.report_rule import apply_e_bh
from pivotwatch_models.incidents.lifecycle import Incidents, Surroundings
from pivotwatch_models.incidents.transition import Transition
from pivotwatch_models.method import STATE
from pivotwatch_models.population.always_active import ALWAYS_ACTIVE_GROUPS, POPULATION
from pivotwatch_models.release_calendar import Release, ReleaseCalendar
from pivotwatch_models.release_watch import ReleaseWatch
from pivotwatch_models.settings import Settings

STATE_VERSION = 5
MIGRATIONS: dict[int, Migration] = {2: dict, 3: dict, 4: dict}
"""What is in the marker stayed as it was; the shards are migrated by
`pivotwatch.detection.scoring.migrations`."""
SHARDS = 64


class ScoringOperator:
    """Everything that is known over all partitions.

    Parameters
    ----------
    settings
        Parameters of the method.
    partitions
        Number of partitions of ``requests``.
    network_class
        Knows the class of a network; it is told in alerts and decides nothing.
    """

    version = STATE_VERSION

    def __init__(
        self, settings: Settings, partitions: int, network_class: NetworkClass = lambda _: None
    ) -> None:
        self.settings = settings
        self.inbox = BucketAlignment(partitions, settings.bucket_ms)
        self.controls = ControlLog()
        self.calendar = ReleaseCalendar()
        self.registry = GroupRegistry()
        self.watches: dict[Release, ReleaseWatch] = {}
        self.incidents: dict[Release, Incidents] = {}
        self.verdicts: dict[Group, str] = {}
        self.alerting = AlertBuilder(settings, network_class)
        self._network_class = network_class
        self._dirty: set[Group] = set()

    @property
    def finished(self) -> bool:
        """Has every partition ended, and is everything scored?"""
        return self.inbox.finished

    def process(self, records: Sequence[InputRecord]) -> list[Output]:
        """Take bucket records; returns the alerts and the status of the buckets that could be scored.

        A record that `accounts` did not write becomes a dead letter. One of a newer version raises
        `WrongUse`: it is genuine, and must not be left out.
        """
        outputs: list[Output] = []
        for record in records:
            try:
                self.inbox.put(*decode(record.value))
            except BadEvent as error:
                outputs.append(undecodable(record, record.value, None, error, ("buckets", 0)))
                continue
            while self.inbox.ready() is not None:
                if self.inbox.empty_next and not self.watches and not self.controls.waiting:
                    self.inbox.skip()
                else:
                    outputs += self._score()
        return outputs

    def control(self, topic: str, record: InputRecord) -> list[Output]:
        """Take a record of ``releases`` or ``decisions``."""
        try:
            self.controls.take(topic, record, self.inbox.next)
        except BadEvent as error:
            return [undecodable(record, record.value, None, error, (topic, 0))]
        return []

    def pins(self) -> bytes:
        """All control records that are not yet part of a snapshot."""
        return self.controls.pins()

    def repin(self, pins: bytes) -> None:
        """Take the pinned control records again."""
        self.controls.repin(pins)

    def _score(self) -> list[Output]:
        bucket = self.inbox.next
        assert bucket is not None
        width = self.settings.bucket_ms
        view = View.of(bucket, width, self.inbox.take())
        view.read()
        if not view.empty:
            self.calendar.begin(bucket * width)
        outputs = self._control(bucket)
        view.project(self._note_groups(view))
        outputs += self._end_watches(bucket)
        late = self._score_late(bucket, view)
        counts = self._score_watches(bucket, view)
        for release in counts:
            both = [*late.get(release, ()), *([counts[release]] if counts[release] else [])]
            outputs += self._alerts(bucket, release, self._judge(bucket, release, view, both))
        self._sight(view)
        self._forget_ended(bucket)
        counts_of = {"stale": self.inbox.stale, "forgotten": self.calendar.forgotten}
        outputs.append(status(self.settings, view, self.watches, self.incidents, **counts_of))
        return outputs

    def _alerts(self, bucket: int, release: Release, transitions: list[Transition]) -> list[Output]:
        """Write alerts at once: an incident may pass through several states within one bucket."""
        return [self.alerting.output(bucket, t, self.watches[release]) for t in transitions]

    def _control(self, bucket: int) -> list[Output]:
        """Apply the controls that have effect from this bucket."""
        outputs: list[Output] = []
        for control in self.controls.due(bucket):
            if isinstance(control, Entry):
                self.calendar.enter(control.model, control.released_at)
            else:
                outputs += self._decide(bucket, control)
        return outputs

    def _decide(self, bucket: int, decision: Decision) -> list[Output]:
        entity = decision.entity or self._entity_of(decision.alert_id)
        if entity is None:
            return []
        self.verdicts.pop(entity, None)
        if decision.verdict == "verified":
            self.verdicts[entity] = decision.verdict
        outputs: list[Output] = []
        for release, incidents in sorted(self.incidents.items()):
            outputs += self._alerts(
                bucket, release, incidents.decide(entity, decision.verdict, decision.alert_id)
            )
        return outputs

    def _entity_of(self, alert_id: str | None) -> Group | None:
        for incidents in self.incidents.values():
            for incident in incidents.by_entity.values():
                if incident.alert_id == alert_id:
                    return incident.entity
        return None

    def _note_groups(self, view: View) -> Mask:
        """Bring the records of groups up to date; which of the bucket's groups are watched?"""
        for group, accounts in view.joined().items():
            self.registry.join(group, accounts)
            self._dirty.add(group)
        for group, accounts in view.left().items():
            self.registry.leave(group, accounts)
            self._dirty.add(group)
            if not any(group in watch.groups for watch in self.watches.values()):
                self.registry.forget(group)
        self._note_late(view)
        requests = zip(view.groups, view.traffic[:, 0].tolist(), strict=True)
        watched = [self._note_requests(view, group, sent) for group, sent in requests]
        self._dirty |= set(view.groups)
        return np.array(watched, dtype=bool)

    def _note_late(self, view: View) -> None:
        late_groups = view.late_groups()
        if not late_groups:
            return
        for group in late_groups:
            known = self.registry.get(group)
            if known.late_at < view.bucket - self.settings.buckets(STATE.lateness.counted_ms):
                known.late_since = view.bucket
            known.late_at = view.bucket
            self._dirty.add(group)

    def _note_requests(self, view: View, group: Group, requests: int) -> bool:
        """Take the requests of a group; is it watched?"""
        known = self.registry.get(group)
        known.hours.add(view.bucket * view.width, view.width, requests)
        return self._is_watched(group)

    def _is_watched(self, group: Group) -> bool:
        return self.registry.members(group) >= self.settings.min_members or any(
            group in watch.groups for watch in self.watches.values()
        )

    def _score_late(self, bucket: int, view: View) -> dict[Release, list[ModelCounts]]:
        """Correct the releases that are watched by what came late; their counts."""
        counts: dict[Release, list[ModelCounts]] = {}
        for late in view.late():
            late.read()
            watched = [self._is_watched(group) for group in late.groups]
            late.project(np.array(watched, dtype=bool))
            for release in sorted(self.watches.keys() & self._current(bucket)):
                of_model = late.counts(release, self.calendar.stream_start or 0)
                self.watches[release].correct(bucket, late.bucket, of_model)
                counts.setdefault(release, []).append(of_model)
            self._dirty |= set(late.groups)
        return counts

    def _score_watches(self, bucket: int, view: View) -> dict[Release, ModelCounts | None]:
        """Score every release that is watched; its counts, None when nobody was active."""
        counts: dict[Release, ModelCounts | None] = {}
        for release in sorted(self._current(bucket)):
            if release.model not in view.models and not self.calendar.sighted(release.model):
                continue
            if release not in self.watches:
                watch = self.watches[release] = self._watch(release)
                self.incidents[release] = Incidents(watch, self.settings)
            counts[release] = None
            if not view.empty:
                scored = view.counts(release, self.calendar.stream_start or 0)
                counts[release] = scored
                self.watches[release].score(bucket, scored)
                for group in ALWAYS_ACTIVE_GROUPS:  # so that their state is saved
                    self.registry.get(group)
                self._dirty |= set(ALWAYS_ACTIVE_GROUPS)
        if not view.empty:
            apply_e_bh([self.watches[release].report_rule for release in counts], bucket)
        return counts

    def _judge(
        self, bucket: int, release: Release, view: View, counts: list[ModelCounts]
    ) -> list[Transition]:
        """What the bucket does to the incidents of a release."""
        transitions = self.incidents[release].step(
            bucket,
            counts,
            view.findings(release.model),
            Surroundings(
                lambda group: sys.maxsize if group[0] == POPULATION else self.registry.members(group),
                self.verdicts.get,
                lambda group, since: view.idle or self.registry.late_since(group, since),
                lambda group: group[0] == "network" and self._network_class(group[1]) in SUSPECT,
                self.registry.quiet_share,
            ),
        )
        for transition in transitions:  # a resolution arms groups again that were not active
            self._dirty |= set(transition.incident.groups)
        return transitions

    def _watch(self, release: Release) -> ReleaseWatch:
        return ReleaseWatch(release, self.settings, self.registry.theta, self.registry.members)

    def _end_watches(self, bucket: int) -> list[Output]:
        """Close the watches whose time is over, or whose release was moved in the calendar."""
        outputs = []
        for release in sorted(self.watches.keys() - self._current(bucket)):
            outputs += self._alerts(bucket, release, self.incidents[release].end())
            if bucket * self.settings.bucket_ms < release.released_at + self.settings.watch_ms:
                continue  # struck out or moved in the calendar: a watch cut short teaches nothing
            for group, state in sorted(self.watches[release].groups.items()):
                seen, expected = self.incidents[release].alerted_events(group)
                self.registry.get(group).theta.close_watch(
                    max(0, state.seen - seen), max(0.0, state.expected - expected)
                )
                self._dirty.add(group)
        return outputs

    def _forget_ended(self, bucket: int) -> None:
        for release in self.watches.keys() - self._current(bucket):
            del self.watches[release], self.incidents[release]

    def _current(self, bucket: int) -> set[Release]:
        """The releases that are watched in a bucket."""
        width = self.settings.bucket_ms
        return set(self.calendar.watched(bucket * width, (bucket + 1) * width, self.settings.watch_ms))

    def _sight(self, view: View) -> None:
        """Note new models; what is inferred here is watched from the next bucket on."""
        for model, first in sorted(view.models.items()):
            start = view.bucket * self.settings.bucket_ms
            self.calendar.sight(model, first * self.settings.bucket_ms, start)
            if self.calendar.counts_first_uses(model, start):
                accounts, networks = view.first_uses(model)
                self.calendar.first_uses(model, start, accounts, networks)
        self.calendar.forget(view.bucket * self.settings.bucket_ms, self.settings.watch_ms)

    def counters(self) -> dict[str, int]:
        """Numbers of the present moment."""
        return {"open_incidents": sum(len(incidents.open()) for incidents in self.incidents.values())}

    def meta(self) -> bytes:
        """The part of the state that belongs into the marker."""
        return orjson.dumps({"version": STATE_VERSION, "next": self.inbox.next, "finished": self.finished})

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        """Shards of groups that changed, and one shard with all that is not of a group."""
        groups = set(self.registry.groups) if full else self._dirty
        self._dirty = set()
        own: dict[int, list[Group]] = {number: [] for number in range(SHARDS)}
        changed: set[int] = set(own) if full else set()
        for group in self.registry.groups:
            own[_shard(group)].append(group)
        changed.update(map(_shard, groups))
        shards = {
            number: orjson.dumps([self._group_state(group) for group in sorted(own[number])])
            for number in sorted(changed)
        }
        return shards | {SHARDS: orjson.dumps(self._global_state())}

    def _group_state(self, group: Group) -> list[Any]:
        watched = [
            [release.model, release.released_at, watch.snapshot_group(group)]
            for release, watch in sorted(self.watches.items())
            if group in watch.groups
        ]
        return [*group, self.registry.groups[group].snapshot(), watched]

    def _global_state(self) -> dict[str, Any]:
        return {
            "inbox": self.inbox.snapshot(),
            "controls": self.controls.snapshot(),
            "calendar": self.calendar.snapshot(),
            "verdicts": [[*group, verdict] for group, verdict in sorted(self.verdicts.items())],
            "watches": [
                [watch.snapshot(), self.incidents[release].snapshot()]
                for release, watch in sorted(self.watches.items())
            ],
        }

    def restore(self, meta: bytes, shards: Mapping[int, bytes]) -> None:
        """Continue exactly where ``meta`` and ``shards`` were taken."""
        # Version 1 counted other cohorts of accounts: what it had learnt means nothing today.
        head = orjson.loads(meta)
        migrated(head, "the state of networks", version=STATE_VERSION, migrations=MIGRATIONS)
        version = head["version"]
        state = migrations.global_state(orjson.loads(shards[SHARDS]), version)
        self.inbox.restore(state["inbox"])
        self.controls.restore(state["controls"])
        self.calendar = ReleaseCalendar.restored(state["calendar"])
        self.verdicts = {(kind, name): verdict for kind, name, verdict in state["verdicts"]}
        by_name: dict[tuple[str, int], ReleaseWatch] = {}
        for watched, incidents in state["watches"]:
            release = Release(*watched["release"])
            watch = self.watches[release] = self._watch(release)
            watch.restore(watched)
            self.incidents[release] = Incidents(watch, self.settings)
            self.incidents[release].restore(incidents)
            by_name[release.model, release.released_at] = watch
        for number, content in shards.items():
            if number < SHARDS and content:
                self._restore_groups(orjson.loads(content), by_name, version)
        if version < STATE_VERSION:  # the next checkpoint writes every shard anew
            self._dirty = set(self.registry.groups)

    def _restore_groups(
        self, rows: list[Any], watches: Mapping[tuple[str, int], ReleaseWatch], version: int
    ) -> None:
        is_old = version < STATE_VERSION
        for kind, name, record, watched in rows:
            if is_old:
                record = migrations.group_record(record, version)
            self.registry.groups[kind, name] = GroupRecord.restored(record)
            for model, released_at, state in watched:
                # A clean shard may still hold groups of a watch that has ended since.
                if (watch := watches.get((model, released_at))) is not None:
                    watch.restore_group(
                        (kind, name), migrations.group_state(state, version) if is_old else state
                    )


def _shard(group: Group) -> int:
    return zlib.crc32("\x1f".join(group).encode()) % SHARDS
