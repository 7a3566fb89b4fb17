"""Everything that scoring remembers between buckets, and its stored form.

The state is stored in ``SHARDS`` shards of groups and one shard with all that is not of a group. Each group
belongs to the shard of the CRC-32 of its name. A snapshot contains the shards whose groups changed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from pivotwatch.base.state_migration import Migration, migrated
from pivotwatch.detection.scoring import migrations
from pivotwatch.detection.scoring.alignment import BucketAlignment
from pivotwatch.detection.scoring.control_log import ControlLog
from pivotwatch_models.base.counts import Group
from pivotwatch_models.groups.registry import GroupRecord, GroupRegistry
from pivotwatch_models.incidents.lifecycle import Incidents
from pivotwatch_models.release_calendar import Release, ReleaseCalendar
from pivotwatch_models.release_watch import ReleaseWatch
from pivotwatch_models.settings import Settings

STATE_VERSION = 5
MIGRATIONS: dict[int, Migration] = {2: dict, 3: dict, 4: dict}
"""The part in the manifest is the same since version 2; `pivotwatch.detection.scoring.migrations` migrates
the shards. Version 1 counted other cohorts, so what it learned cannot be used."""
SHARDS = 64


class WatchedRelease(NamedTuple):
    """The watch of a release and the incidents that it opened."""

    watch: ReleaseWatch
    incidents: Incidents


class NetworksState:
    """The state of the scoring operator.

    Parameters
    ----------
    settings
        Parameters of the method.
    partitions
        Number of partitions of ``requests``.

    Attributes
    ----------
    alignment
        Bucket records that wait for those of other partitions.
    controls
        Control records that wait for the bucket from which they have effect.
    calendar
        The released models.
    registry
        The groups, beyond a single release.
    watches
        The watched releases.
    verdicts
        Groups and accounts that a person verified, with the verdict.
    changed
        Groups whose state changed since the last snapshot.
    """

    def __init__(self, settings: Settings, partitions: int) -> None:
        self.settings = settings
        self.alignment = BucketAlignment(partitions, settings.bucket_ms)
        self.controls = ControlLog()
        self.calendar = ReleaseCalendar()
        self.registry = GroupRegistry()
        self.watches: dict[Release, WatchedRelease] = {}
        self.verdicts: dict[Group, str] = {}
        self.changed: set[Group] = set()

    def begin_watch(self, release: Release) -> WatchedRelease:
        """Begin the watch of a release."""
        watch = ReleaseWatch(release, self.settings, self.registry.theta, self.registry.members)
        self.watches[release] = watched = WatchedRelease(watch, Incidents(watch, self.settings))
        return watched

    def is_in_a_watch(self, group: Group) -> bool:
        """Whether any watch has learned something about the group."""
        return any(group in watched.watch.groups for watched in self.watches.values())

    def is_watched(self, group: Group) -> bool:
        """Whether the group takes part in the counts of models."""
        return self.registry.members(group) >= self.settings.min_members or self.is_in_a_watch(group)

    def meta(self) -> bytes:
        """The part of the state that belongs into the manifest."""
        head = {
            "version": STATE_VERSION,
            "next": self.alignment.next,
            "finished": self.alignment.finished,
        }
        return orjson.dumps(head)

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        """The shards of the groups that changed, or all (``full``), and the shard that is not of a group."""
        shards = range(SHARDS) if full else sorted({_shard(group) for group in self.changed})
        self.changed = set()
        own: dict[int, list[Group]] = {number: [] for number in range(SHARDS)}
        for group in self.registry.groups:
            own[_shard(group)].append(group)
        stored = {n: orjson.dumps([self._group_state(group) for group in sorted(own[n])]) for n in shards}
        return stored | {SHARDS: orjson.dumps(self._global_state())}

    def _group_state(self, group: Group) -> list[Any]:
        by_watch = [
            [release.model, release.released_at, watched.watch.snapshot_group(group)]
            for release, watched in sorted(self.watches.items())
            if group in watched.watch.groups
        ]
        return [*group, self.registry.groups[group].snapshot(), by_watch]

    def _global_state(self) -> dict[str, Any]:
        return {
            "inbox": self.alignment.snapshot(),
            "controls": self.controls.snapshot(),
            "calendar": self.calendar.snapshot(),
            "verdicts": [[*group, verdict] for group, verdict in sorted(self.verdicts.items())],
            "watches": [
                [watched.watch.snapshot(), watched.incidents.snapshot()]
                for _, watched in sorted(self.watches.items())
            ],
        }

    def restore(self, meta: bytes, shards: Mapping[int, bytes]) -> None:
        """Continue exactly where ``meta`` and ``shards`` were taken. The state must be new.

        Raises
        ------
        StateRefused
            When a newer program wrote it, or one so old that no migration is left.
        """
        head = orjson.loads(meta)
        migrated(head, "the state of networks", version=STATE_VERSION, migrations=MIGRATIONS)
        version = head["version"]
        self._restore_global(migrations.global_state(orjson.loads(shards[SHARDS]), version))
        rows = (orjson.loads(part) for number, part in shards.items() if number < SHARDS and part)
        self._restore_groups((row for shard in rows for row in shard), version)
        if version < STATE_VERSION:  # So that the next checkpoint writes every shard in the new form.
            self.changed = set(self.registry.groups)

    def _restore_global(self, state: dict[str, Any]) -> None:
        self.alignment.restore(state["inbox"])
        self.controls.restore(state["controls"])
        self.calendar = ReleaseCalendar.restored(state["calendar"])
        self.verdicts = {(kind, name): verdict for kind, name, verdict in state["verdicts"]}
        for of_watch, of_incidents in state["watches"]:
            watched = self.begin_watch(Release(*of_watch["release"]))
            watched.watch.restore(of_watch)
            watched.incidents.restore(of_incidents)

    def _restore_groups(self, rows: Iterable[list[Any]], version: int) -> None:
        watches = {(r.model, r.released_at): watched.watch for r, watched in self.watches.items()}
        is_old = version < STATE_VERSION
        for kind, name, record, by_watch in rows:
            own = migrations.group_record(record, version) if is_old else record
            self.registry.groups[kind, name] = GroupRecord.restored(own)
            for model, released_at, state in by_watch:
                # A shard that did not change may still hold groups of a watch that has ended since.
                if (watch := watches.get((model, released_at))) is not None:
                    of_watch = migrations.group_state(state, version) if is_old else state
                    watch.restore_group((kind, name), of_watch)


def _shard(group: Group) -> int:
    return zlib.crc32("\x1f".join(group).encode()) % SHARDS
