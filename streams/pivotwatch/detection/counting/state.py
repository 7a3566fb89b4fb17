"""The stored state of a counting operator: what a checkpoint saves, and how it is restored and migrated.

The state has a small part, `CountingState.meta`, and shards, each with a number:

* **Account shards** (0, 1, …): the accounts of one hash value, with their groups and their state for every
  candidate. A snapshot holds those that changed.
* **Segments** (behind the account shards): counts of open buckets. A segment holds the counts since the
  segment before it, so a checkpoint writes what is new and not everything. When a bucket has closed, or there
  are `MAX_SEGMENTS`, one segment replaces them all.
* **Model names** (`NAMES`): the model names that the partition knows.
* **Last requests** (from `RECENT` on), when they are remembered: one segment each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson

from pivotwatch.base.state_migration import Migration, migrated
from pivotwatch.detection.counting.account_table import AccountTable
from pivotwatch.detection.counting.candidates import Candidates
from pivotwatch.detection.counting.event_reader import EventReader
from pivotwatch.detection.counting.group_sets import NamedSets
from pivotwatch.detection.counting.model_tracker import FOLLOWED, OVER
from pivotwatch.detection.counting.open_bucket_codec import pack_counts, unpack_counts
from pivotwatch_models.base.columns import pack, unpack

STATE_VERSION = 3
MAX_SEGMENTS = 64
NAMES = 1 << 20
"""Number of the shard with the model names, far above those of accounts and segments."""
RECENT = NAMES + 1
"""Number of the first shard with the last requests, when they are remembered."""


class CountingState:
    """Takes and restores the state of one counting operator, and remembers what changed since.

    Parameters
    ----------
    accounts, candidates, reader
        The parts whose state this is. The reader has the open buckets.
    """

    def __init__(self, accounts: AccountTable, candidates: Candidates, reader: EventReader) -> None:
        self._accounts, self._candidates, self._reader = accounts, candidates, reader
        self._buckets = reader.buckets
        self._changed: set[int] = set()
        self._segments = 0
        self._rewrite = False

    def mark_changed(self, shards: Iterable[int]) -> None:
        """Note that accounts of these shards changed."""
        self._changed.update(shards)

    def mark_closed(self) -> None:
        """Note that a bucket closed, so that the segments hold counts that are not open any more."""
        self._rewrite = True

    def meta(self, *, finished: bool, reported: bool) -> bytes:
        """The small part of the state, which belongs into the manifest.

        Parameters
        ----------
        finished
            Whether the partition is finished.
        reported
            Whether the record of a bucket was sent.
        """
        tracker, recent = self._candidates.tracker, self._reader.recent
        return orjson.dumps(
            {
                "version": STATE_VERSION,
                "buckets": self._open_buckets(),
                "dropped": tracker.dropped,
                "forgotten": tracker.forgotten,
                "segments": self._segments,
                "finished": finished,
            }
            | ({} if recent is None else {"recent": recent.meta()})
            | ({} if reported else {"told": False})
        )

    def snapshot(self, *, full: bool) -> dict[int, bytes]:
        """The shards that changed since the last call, all of them when ``full``; empty: remove it."""
        self._buckets.buffer.gather()
        counts = self._buckets.counts.take_recent()
        if self._buckets.links_dropped:
            self._rewrite, self._buckets.links_dropped = True, False
        shards = self._account_shards(range(self._accounts.shards) if full else sorted(self._changed))
        self._changed.clear()
        first = self._accounts.shards
        if full or self._rewrite:
            shards[NAMES] = orjson.dumps(self._candidates.tracker.snapshot())
        if full or self._rewrite or self._segments >= MAX_SEGMENTS:
            shards |= {first + i: b"" for i in range(1, self._segments)}
            self._segments, counts, self._rewrite = 0, self._buckets.counts.saved, False
        if any(counts.values()) or self._segments == 0:
            shards[first + self._segments] = pack_counts(counts, self._buckets.dictionary)
            self._segments += 1
        if self._reader.recent is not None:
            recent = self._reader.recent.snapshot(full=full)
            shards |= {RECENT + slot: content for slot, content in recent.items()}
        return shards

    def restore(self, meta: bytes, shards: Mapping[int, bytes]) -> tuple[bool, bool]:
        """Put back what `meta` and `snapshot` gave; returns ``finished`` and ``reported``.

        Raises
        ------
        StateRefused
            When a newer program wrote the state.
        """
        state = migrated(
            orjson.loads(meta), "the state of accounts", version=STATE_VERSION, migrations=MIGRATIONS
        )
        tracker = self._candidates.tracker
        tracker.restore(state["names"] if "names" in state else orjson.loads(shards.get(NAMES) or b"[]"))
        tracker.dropped, tracker.forgotten = state["dropped"], state["forgotten"]
        self._segments = state["segments"]
        self._candidates.follow()
        for number, content in sorted(shards.items()):
            if number < self._accounts.shards:
                self._restore_accounts(content)
            elif content and number < NAMES:
                for bucket, run in unpack_counts(content, self._buckets.dictionary):
                    self._buckets.counts.add_saved(bucket, run)
        if self._reader.recent is not None and "recent" in state:
            recent = {number - RECENT: content for number, content in shards.items() if number >= RECENT}
            self._reader.recent.restore(state["recent"], recent)
        self._restore_open_buckets(state["buckets"])  # By now the names have their numbers.
        reported = state.get("told", True)
        self._buckets.watermark.has_closed = reported
        return state["finished"], reported

    def _account_shards(self, numbers: Iterable[int]) -> dict[int, bytes]:
        columns, numbers = self._accounts.columns, list(numbers)
        if not numbers:
            return {}
        named = NamedSets(self._accounts)
        named.name(columns["home"][np.isin(columns["shard"], numbers)])
        return {number: self._account_shard(number, named) for number in numbers}

    def _account_shard(self, number: int, named: NamedSets) -> bytes:
        rows = self._accounts.in_shard(number)
        table, columns = self._accounts.snapshot(rows, *named.some(self._accounts.columns["home"][rows]))
        followed, states = self._candidates.snapshot(rows)
        arrays = {str(i): np.frombuffer(state, np.uint8) for i, state in enumerate([columns, *states])}
        return pack(arrays, version=STATE_VERSION, models=followed, roster=table)

    def _restore_accounts(self, content: bytes) -> None:
        arrays, fields = unpack(content)
        rows = self._accounts.restore(fields["roster"], arrays["0"].tobytes())
        # Version 1 has names alone, without a bucket: no model was followed twice.
        followed = [(each, None) if isinstance(each, str) else tuple(each) for each in fields["models"]]
        states = {each: arrays[str(i)].tobytes() for i, each in enumerate(followed, start=1)}
        self._candidates.restore(rows, states)

    def _open_buckets(self) -> list[Any]:
        """The state of the open buckets but for their counts, JSON-able."""
        buckets, names = self._buckets, self._buckets.dictionary
        buckets.buffer.gather()
        watermark = buckets.watermark
        time = watermark.time.snapshot(names.accounts.names.__getitem__, names.network_names.__getitem__)
        return [
            watermark.first_open,
            watermark.agreed,
            watermark.close_at,
            *buckets.counters.snapshot(),
            self._reader.origins.snapshot(),
            [watermark.waiting, time, buckets.held.snapshot()],
        ]

    def _restore_open_buckets(self, state: list[Any]) -> None:
        buckets, names = self._buckets, self._buckets.dictionary
        watermark = buckets.watermark
        watermark.first_open, watermark.agreed, watermark.close_at, *counters, origins, more = state
        watermark.waiting, time, held = more
        buckets.counters.restore(counters)
        watermark.time.restore(time, names.accounts.row, lambda name: names.network(name) if name else 0)
        buckets.held.restore(held)
        self._reader.origins.restore(origins)


def _with_model_names(state: dict[str, Any]) -> dict[str, Any]:
    """From version 1, which never forgot a name, and did not know when a name was used last."""
    last = state["buckets"][0] or 0
    candidates = set(state.pop("candidates"))
    used = state.pop("used", {})
    names = [
        [name, first, max(first, last - 1), used.get(name, 0), 0, *place]
        for name, first in state.pop("first_seen").items()
        for place in [(FOLLOWED, first) if name in candidates else (OVER, -1)]
    ]
    return {**state, "dropped": state.get("dropped", 0), "forgotten": 0, "names": names}


def _with_agreed_time(state: dict[str, Any]) -> dict[str, Any]:
    """From version 2: the latest event time was that of the partition; no event was held, no link dropped."""
    time = [0, 0, 0, [[], [], [], []]]
    *buckets, origins = state["buckets"]
    return {**state, "buckets": [*buckets, 0, origins, [0, time, [0, [], []]]]}


MIGRATIONS: dict[int, Migration] = {1: _with_model_names, 2: _with_agreed_time}
"""From each version the function that makes the next one of its meta."""
