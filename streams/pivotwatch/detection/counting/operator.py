"""The counting operator: counts requests per bucket, and sends one record per bucket.

One instance serves one partition of ``requests``. It counts each event into an open bucket
(`pivotwatch.detection.counting.event_reader`). When a bucket closes, array operations update every account
that was active in it, and one record of sums goes to ``networks`` (`pivotwatch.contracts.bucket_record`). So
millions of events become one record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from pivotwatch.contracts.bucket_content import Body, LatePart, encoded
from pivotwatch.contracts.bucket_record import encode
from pivotwatch.contracts.dead_letters import undecodable
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.detection.counting.account_table import AccountTable
from pivotwatch.detection.counting.aggregates import Cells
from pivotwatch.detection.counting.bucket_activity import BucketActivity
from pivotwatch.detection.counting.candidates import Candidates
from pivotwatch.detection.counting.dictionary import Dictionary
from pivotwatch.detection.counting.event_reader import EventReader
from pivotwatch.detection.counting.event_time import QUORUM, Quorum
from pivotwatch.detection.counting.open_buckets import TOO_LATE, OpenBuckets
from pivotwatch.detection.counting.state import STATE_VERSION, CountingState
from pivotwatch_models.settings import Settings

SKEWED = 20
"""Number of networks, and of accounts, with skewed clocks that a record names."""
COUNTED = ("events", "late", "failed", "dropped_models", "forgotten_models", "dropped_links")
"""The numbers of `CountingOperator.counters` that only grow."""


class CountingOperator:
    """Counts the events of one partition, and keeps the state of its accounts.

    Parameters
    ----------
    settings
        Parameters of the method.
    partition, partitions
        Number of this partition, and how many there are.
    shards
        Number of shards that the accounts are divided into in a snapshot.
    quorum
        How many accounts and networks must agree on the time of the partition.
    remembered
        Number of requests among which one that a producer sent twice is found; 0: none is.

    Attributes
    ----------
    accounts, candidates, buckets
        The accounts of the partition, their state for every candidate, and the open buckets.
    finished
        Whether the partition is finished.

    Examples
    --------
    >>> from pivotwatch.contracts.records import Line
    >>> operator = CountingOperator(Settings(), partition=0, partitions=1)
    >>> event = b'{"id": "r", "ts": 1770314400000, "account": "acct-1", "model": "m-2", "network": "AS64500"}'
    >>> [letter.topic for letter in operator.process([Line(event), Line(b"not an event")])]
    ['dlq']
    >>> [record.topic for record in operator.final()], operator.counters()["events"]
    (['buckets', 'buckets'], 1)
    """

    version = STATE_VERSION

    def __init__(
        self,
        settings: Settings,
        partition: int,
        partitions: int,
        shards: int = 64,
        *,
        quorum: Quorum = QUORUM,
        remembered: int = 0,
    ) -> None:
        self.settings = settings
        self.partition = partition
        self.partitions = partitions
        self.accounts = AccountTable(settings, shards)
        self.dictionary = Dictionary(self.accounts, settings.aliases, settings.attributes)
        self.buckets = OpenBuckets(
            settings, self.dictionary, self._close, self._close_late, self._bad, quorum=quorum
        )
        self.reader = EventReader(self.buckets, remembered)
        self.candidates = Candidates(settings, self.accounts)
        self.finished = False
        self._state = CountingState(self.accounts, self.candidates, self.reader)
        self._counted: Counter[str] = Counter()
        self._idle = False
        self._reported = False
        self._outputs: list[Output] = []
        self._late_parts: list[LatePart] = []
        self._joined_late: Counter[int] = Counter()

    def process(self, records: Sequence[InputRecord]) -> list[Output]:
        """Count the events of records; returns dead letters, and the records of buckets that closed."""
        self.reader.process(records)
        return self._taken()

    def idle_due(self, closed: int) -> int | None:
        """The bucket up to which to close this partition when it is idle; None when that is closed already.

        Parameters
        ----------
        closed
            The bucket that another partition has closed.
        """
        first_open = self.buckets.watermark.first_open
        return closed if first_open is None or closed >= first_open else None

    def idle(self, bucket: int) -> list[Output]:
        """Close every bucket up to and including ``bucket``; returns their records."""
        self._idle = True
        self.buckets.start()
        if self.buckets.watermark.first_open is None:
            self.buckets.watermark.open_from(bucket)
        self.buckets.close_before(bucket + 1)
        self._idle = False
        return self._taken()

    def final(self) -> list[Output]:
        """Close every open bucket, and declare the partition finished; returns the last records."""
        if self.finished:
            return []
        self.buckets.end()
        bound = self.buckets.watermark.first_open or 0
        self._outputs += encode(
            self.partition, bound, bound, Body(), width=self.settings.bucket_ms, final=True
        )
        self.finished = True
        return self._taken()

    def counters(self) -> dict[str, int]:
        """What this object has counted, and the watermark in epoch milliseconds once there is one."""
        counters, tracker = self.buckets.counters, self.candidates.tracker
        numbers = {
            "events": self._counted["events"] + self.buckets.requests(),
            "held": len(self.buckets.held),
            "late": self._counted["late"] + counters.late,
            "failed": self._counted["failed"] + counters.failed,
            "dropped_models": self._counted["dropped_models"] + tracker.dropped,
            "forgotten_models": self._counted["forgotten_models"] + tracker.forgotten,
            "dropped_links": self._counted["dropped_links"] + counters.dropped_links,
        }
        numbers["repeated"] = 0 if self.reader.recent is None else self.reader.recent.repeated
        watermark = self.buckets.watermark_ms()
        return numbers | ({"watermark_ms": watermark} if watermark else {})

    def meta(self) -> bytes:
        """The small part of the state, which belongs into the manifest."""
        return self._state.meta(finished=self.finished, reported=self._reported)

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        """The shards that changed since the last call, all of them when ``full``; empty: remove it."""
        return self._state.snapshot(full=full)

    def restore(self, meta: bytes, shards: Mapping[int, bytes]) -> None:
        """Continue exactly where ``meta`` and ``shards`` were taken. The operator must be new.

        Raises
        ------
        StateRefused
            When a newer program wrote the state.
        """
        self.finished, self._reported = self._state.restore(meta, shards)
        restored = self.counters()
        self._counted.subtract({name: restored[name] for name in COUNTED})

    def _taken(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs

    def _bad(self, record: InputRecord, raw: bytes | None, position: int | None, error: BadEvent) -> None:
        self._outputs.append(undecodable(record, raw, position, error, ("requests", self.partition)))

    def _close(self, bucket: int, since: int, cells: Cells) -> None:
        """Update the accounts with a closed bucket, and send its record."""
        self.candidates.expire(bucket)
        body, joined = self._counts(bucket, cells) if cells.requests else (Body(), {})
        crowded_out = Counter(self.accounts.take_crowded_out())
        self.buckets.counters.dropped_links += crowded_out.total()
        left = self._sweep(since, bucket) + crowded_out
        body = self._with_reports(body, Counter(joined) + self._joined_late, left)
        self._outputs += encode(
            self.partition,
            since,
            bucket,
            body,
            width=self.settings.bucket_ms,
            first=not self._reported,
            idle=self._idle,
        )
        self._reported = True
        dropped = self.buckets.counters.dropped_links
        self._start_again()
        if (left or dropped) and self.accounts.tidy():
            self.dictionary.forget_sets()
        if self.dictionary.crowded:
            self.buckets.forget_names()
        self._state.mark_closed()

    def _counts(self, bucket: int, cells: Cells) -> tuple[Body, dict[int, int]]:
        """What the counts of a bucket say, and how many accounts joined each group."""
        activity = self._activity(bucket, cells)
        models = self.candidates.close(activity)
        return replace(activity.body(), models=models), self._settle(activity)

    def _close_late(self, bucket: int, cells: Cells) -> None:
        """Count late events of an earlier bucket. The next record reports them.

        Late events show which accounts have used a model by now, so their later uses are not first uses. Of
        events that came too late nothing else is known.
        """
        activity = self._activity(bucket, cells)
        models = self.candidates.close_late(activity)
        self._joined_late.update(self._settle(activity))
        if bucket != TOO_LATE:
            body = replace(activity.body(), models=models)
            self._late_parts.append(LatePart(bucket=bucket, body=body))

    def _activity(self, bucket: int, cells: Cells) -> BucketActivity:
        self._counted["events"] += cells.requests
        activity = BucketActivity(self.settings, self.dictionary, bucket)
        activity.read(cells.whole())
        self.buckets.counters.dropped_links += activity.dropped_links
        return activity

    def _settle(self, activity: BucketActivity) -> dict[int, int]:
        """Note the activity of accounts; returns how many accounts joined each group."""
        rows = activity.rows
        self._state.mark_changed(np.unique(self.accounts.columns["shard"][rows]).tolist())
        return self.accounts.settle(activity.bucket, rows, activity.sets, activity.n)

    def _sweep(self, since: int, bucket: int) -> Counter[int]:
        """Forget accounts that were not active for 90 days; returns how many accounts left each group."""
        left, gone, shards = self.accounts.sweep(since, bucket, self.buckets.counts.accounts)
        self._state.mark_changed(shards)
        self.candidates.forget(gone)
        self.buckets.watermark.time.forget(gone)
        return Counter(left)

    def _with_reports(self, body: Body, joined: Mapping[int, int], left: Mapping[int, int]) -> Body:
        """The content with everything that it reports beside the counts."""
        counters, tracker, time = self.buckets.counters, self.candidates.tracker, self.buckets.watermark.time
        skewed_networks, skewed_accounts = time.skewed_networks(), time.skewed_accounts()
        return replace(
            body,
            watermark=self.buckets.watermark_ms(),
            late=counters.late,
            dropped_models=tracker.dropped,
            forgotten_models=tracker.forgotten,
            dropped_links=counters.dropped_links,
            invalid=counters.invalid,
            failed=counters.failed,
            late_groups=encoded(counters.groups()),
            skewed=self._furthest(skewed_networks, self.dictionary.network_names),
            skewed_accounts_total=len(skewed_accounts),
            skewed_accounts=self._furthest(skewed_accounts, self.accounts.names),
            joined=encoded(self.accounts.named(joined)),
            left=encoded(self.accounts.named(left)),
            late_parts=self._late_parts,
        )

    @staticmethod
    def _furthest(skewed: Sequence[tuple[int, int]], names: Sequence[str | None]) -> list[tuple[str, int]]:
        """Those whose clock is furthest ahead, by name."""
        found = [(name, ms) for number, ms in skewed if (name := names[number])]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:SKEWED]

    def _start_again(self) -> None:
        """Begin to count what the next record reports."""
        counters = self.buckets.counters
        self._counted.update(late=counters.late, failed=counters.failed, dropped_links=counters.dropped_links)
        counters.reset()
        self._late_parts, self._joined_late = [], Counter()
