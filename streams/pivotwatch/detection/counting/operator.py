"""The accounts step: counts per bucket, models per account, one record per bucket.

One instance serves one partition of ``requests``. Per event it only counts
(`pivotwatch.detection.counting.open_buckets`);
when a bucket closes it brings every active account's models up to date by array operations and sends
one record of sums (`pivotwatch.contracts.bucket_record`). Thereby millions of events become one record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from msgspec.structs import replace

from pivotwatch.contracts.bucket_content import Body, Finding, LatePart, ModelBody, encoded
from pivotwatch.contracts.bucket_record import encode
from pivotwatch.contracts.dead_letters import undecodable
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.detection.counting.account_table import AccountTable
from pivotwatch.detection.counting.aggregates import Cells
from pivotwatch.detection.counting.bucket_activity import BucketActivity
from pivotwatch.detection.counting.dictionary import Names
from pivotwatch.detection.counting.event_time import QUORUM, Quorum
from pivotwatch.detection.counting.group_sets import NamedSets
from pivotwatch.detection.counting.model_tracker import FOLLOWED, OVER, ModelTracker
from pivotwatch.detection.counting.open_bucket_codec import pack_buckets, unpack_buckets
from pivotwatch.detection.counting.open_buckets import TOO_LATE, Buckets
from pivotwatch.engine.state_migration import Migration, migrated
from pivotwatch_models.accounts.share_models import AccountModels, Changes, PageHinkley
from pivotwatch_models.base.arrays import Mask
from pivotwatch_models.base.columns import pack, unpack
from pivotwatch_models.method import DECISION, STATE
from pivotwatch_models.settings import Settings

STATE_VERSION = 3
MAX_SEGMENTS = 64
NAMES = 1 << 20
"""Number of the shard that holds the names of models, far above those of accounts and of segments."""
COUNTED = ("events", "late", "failed", "dropped_models", "forgotten_models")


class CountingOperator:
    """Everything that is known of the accounts of one partition.

    Parameters
    ----------
    settings
        Parameters of the method.
    partition, partitions
        Which partition of how many.
    shards
        Number of shards that the accounts are divided into in a snapshot.
    quorum
        How many accounts and networks must agree on the time of the partition.
    """

    version = STATE_VERSION

    def __init__(
        self,
        settings: Settings,
        partition: int,
        partitions: int,
        shards: int = 64,
        quorum: Quorum = QUORUM,
    ) -> None:
        self.settings = settings
        self.partition = partition
        self.partitions = partitions
        self.roster = AccountTable(settings, shards)
        self.names = Names(self.roster, settings.aliases)
        self.buckets = Buckets(settings, self.names, self._close, self._close_late, self._bad, quorum=quorum)
        self.known = ModelTracker(settings.buckets(STATE.membership.keep_ms))
        self.candidates: dict[str, AccountModels] = {}
        self.finished = False
        self._counted: Counter[str] = Counter()
        self._idle = False
        self._told = False
        self._outputs: list[Output] = []
        self._late: list[LatePart] = []
        self._joined_late: dict[int, int] = {}
        self._dirty: set[int] = set()
        self._segments = 0
        self._rewrite = False

    def process(self, records: Sequence[InputRecord]) -> list[Output]:
        """Count the records' events; returns dead letters and the records of buckets that closed."""
        self.buckets.process(records)
        return self._take()

    def idle_due(self, closed: int) -> int | None:
        """The bucket up to which to close when another partition has closed ``closed``; None when it is."""
        return closed if self.buckets.next is None or closed >= self.buckets.next else None

    def idle(self, bucket: int) -> list[Output]:
        """Close every bucket up to and including ``bucket``."""
        self._idle = True
        self.buckets.settle()
        if self.buckets.next is None:
            self.buckets.next = bucket
        self.buckets.close_before(bucket + 1)
        self._idle = False
        return self._take()

    def final(self) -> list[Output]:
        """Close every open bucket and declare the partition finished."""
        if self.finished:
            return []
        self.buckets.end()
        bound = self.buckets.next or 0
        self._outputs += encode(
            self.partition, bound, bound, Body(), width=self.settings.bucket_ms, final=True
        )
        self.finished = True
        return self._take()

    def _take(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs

    def _bad(self, record: InputRecord, raw: bytes | None, position: int | None, error: BadEvent) -> None:
        self._outputs.append(undecodable(record, raw, position, error, ("requests", self.partition)))

    def _close_late(self, bucket: int, cells: Cells) -> None:
        """Count what came late of an earlier bucket; the next record reports it.

        Late events say which accounts have used a model by now, so nobody counts as a mover later on because
        the first use came late. Events that came too late say no more than that.
        """
        self._counted["events"] += cells.requests
        activity = BucketActivity(self.settings, self.names, bucket)
        activity.read(cells.whole())
        of_models = []
        for model in sorted(self.candidates):
            at_risk, used = self.candidates[model].update_late(activity.rows, activity.chosen(model))
            of_models.append(self._late_model(activity, model, at_risk, used))
        joined = self.roster.settle(bucket, activity.rows, activity.sets, activity.n)
        for group, accounts in joined.items():
            self._joined_late[group] = self._joined_late.get(group, 0) + accounts
        self._dirty |= set(np.unique(self.roster.columns["shard"][activity.rows]).tolist())
        if bucket != TOO_LATE:
            body = replace(activity.body(), models=of_models)
            self._late.append(LatePart(bucket=bucket, body=body))

    def _late_model(self, activity: BucketActivity, model: str, at_risk: Mask, used: Mask) -> ModelBody:
        """What late events say about one candidate: first uses alone."""
        nobody = np.zeros(len(used), dtype=bool)
        done, everybody = activity.cohorts(~at_risk), activity.cohorts(~nobody)
        return ModelBody(
            model=model,
            first=min(self.known.names[model].first, activity.bucket),
            total=activity.total(model),
            traffic=encoded(activity.traffic(model)),
            done=(encoded(done), encoded(everybody)),
            events=(encoded(activity.cohorts(used)), encoded([])),
            movers=encoded(activity.movers((used, nobody))),
            findings=[],
            blocks=encoded([]),
        )

    def _close(self, bucket: int, since: int, cells: Cells) -> None:
        """Bring the models up to date with a closed bucket and send its record."""
        self._counted["events"] += cells.requests
        self.known.expire(bucket)
        self._follow()  # What is forgotten now and used again in this bucket begins anew.
        body, of_models = Body(), []
        if cells.requests:
            activity = BucketActivity(self.settings, self.names, bucket)
            activity.read(cells.whole())
            self.known.take(bucket, activity.use)
            self._follow()
            body = activity.body()
            for model in sorted(self.candidates):
                of_models.append(self._model(bucket, activity, model))
            self._dirty |= set(np.unique(self.roster.columns["shard"][activity.rows]).tolist())
            joined = self.roster.settle(bucket, activity.rows, activity.sets, activity.n)
        else:
            joined = {}
        for group, accounts in self._joined_late.items():
            joined[group] = joined.get(group, 0) + accounts
        left, gone, swept = self.roster.sweep(since, bucket, self.buckets.accounts)
        self._dirty |= swept
        for models in self.candidates.values():
            models.forget(gone)
        b = self.buckets
        b.time.forget(gone)
        body = replace(
            body,
            models=of_models,
            watermark=b.watermark(),
            late=b.late,
            dropped_models=self.known.dropped,
            forgotten_models=self.known.forgotten,
            invalid=b.invalid,
            failed=b.failed,
            late_groups=encoded(sorted([*group, n] for group, n in b.late_groups.items())),
            joined=encoded(self.roster.named(joined)),
            left=encoded(self.roster.named(left)),
            late_parts=self._late,
        )
        self._late, self._joined_late = [], {}
        self._counted.update(late=b.late, failed=b.failed)
        b.reset_counters()
        if left and self.roster.tidy():
            self.names.forget_sets()
        if self.names.crowded:
            self.buckets.forget_names()
        self._rewrite = True
        self._outputs += encode(
            self.partition,
            since,
            bucket,
            body,
            width=self.settings.bucket_ms,
            first=not self._told,
            idle=self._idle,
        )
        self._told = True

    def _follow(self) -> None:
        """Keep models for what is followed, and for nothing else."""
        followed = self.known.followed()
        self.candidates = {model: self.candidates.get(model) or self._new_models() for model in followed}

    def _new_models(self) -> AccountModels:
        return AccountModels(PageHinkley.calibrated(self.settings.bucket_ms))

    def _model(self, bucket: int, activity: BucketActivity, model: str) -> ModelBody:
        """What the bucket says about one candidate."""
        models = self.candidates[model]
        n, k = activity.n, activity.chosen(model)
        changes = models.update(bucket, activity.rows, n, k, (int(n.sum()), int(k.sum())))
        first_done, switch_done = (activity.cohorts(~mask) for mask in changes.at_risk)
        first, switch = (activity.cohorts(mask) for mask in changes.events)
        return ModelBody(
            model=model,
            first=self.known.names[model].first,
            total=activity.total(model),
            traffic=encoded(activity.traffic(model)),
            done=(encoded(first_done), encoded(switch_done)),
            events=(encoded(first), encoded(switch)),
            movers=encoded(activity.movers(changes.events)),
            findings=self._findings(bucket, activity, models, changes, k),
            blocks=encoded(activity.blocks(model, changes.blocks)),
        )

    def _findings(
        self, bucket: int, activity: BucketActivity, models: AccountModels, changes: Changes, k: Any
    ) -> list[Finding]:
        """Accounts that Page-Hinkley found within a week of their move, with ``min_events`` requests."""
        requests = self.roster.columns["requests"][activity.rows] + activity.n
        sudden = bucket - models.moving_since(activity.rows) < self.settings.buckets(
            DECISION.account_findings.sudden_ms
        )
        found = np.flatnonzero(changes.drift & sudden & (requests >= self.settings.min_events))
        rows = activity.rows[found]
        since, usual = models.moving_since(rows), models.usual_residual(rows)
        return sorted(
            (
                self.roster.names[row],
                activity.set_index(i),
                int(s),
                int(activity.n[i]),
                int(k[i]),
                round(1000 * u),
            )
            for i, row, s, u in zip(
                found.tolist(), rows.tolist(), since.tolist(), usual.tolist(), strict=True
            )
        )

    def counters(self) -> dict[str, int]:
        """What this object has counted, and the watermark, in epoch milliseconds."""
        b = self.buckets
        numbers = {
            "events": self._counted["events"] + b.requests(),
            "held": len(b.held),
            "late": self._counted["late"] + b.late,
            "failed": self._counted["failed"] + b.failed,
            "dropped_models": self._counted["dropped_models"] + self.known.dropped,
            "forgotten_models": self._counted["forgotten_models"] + self.known.forgotten,
        }
        watermark = b.watermark()
        return numbers | ({"watermark_ms": watermark} if watermark else {})

    def meta(self) -> bytes:
        """The part of the state that belongs into the marker."""
        return orjson.dumps(
            {
                "version": STATE_VERSION,
                "buckets": self.buckets.snapshot(),
                "dropped": self.known.dropped,
                "forgotten": self.known.forgotten,
                "segments": self._segments,
                "finished": self.finished,
            }
            | ({} if self._told else {"told": False})
        )

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        """Shards that changed. The counts of open buckets are segments behind the account shards.

        A segment holds what was counted since the one before, so that a checkpoint writes what is new
        and not everything. They are written anew as one when a bucket has closed or there are many.
        The names of models have a shard of their own, since they may not fit into a marker.
        """
        taken = self.buckets.take_recent()
        shards = {}
        dirty = range(self.roster.shards) if full else sorted(self._dirty)
        if dirty:
            columns, named = self.roster.columns, NamedSets(self.roster)
            named.name(columns["home"][np.isin(columns["shard"], dirty)])
            for number in dirty:
                shards[number] = self._pack_shard(number, named)
        self._dirty.clear()
        if full or self._rewrite:
            shards[NAMES] = orjson.dumps(self.known.snapshot())
        if full or self._rewrite or self._segments >= MAX_SEGMENTS:
            shards |= {self.roster.shards + i: b"" for i in range(1, self._segments)}
            self._segments, taken, self._rewrite = 0, self.buckets.open, False
        if any(taken.values()) or self._segments == 0:
            shards[self.roster.shards + self._segments] = pack_buckets(taken, self.names)
            self._segments += 1
        return shards

    def _pack_shard(self, shard: int, named: NamedSets) -> bytes:
        rows = self.roster.in_shard(shard)
        roster, own = self.roster.snapshot(rows, *named.some(self.roster.columns["home"][rows]))
        columns = [own, *(m.snapshot(rows) for _, m in sorted(self.candidates.items()))]
        arrays = {str(i): np.frombuffer(state, dtype=np.uint8) for i, state in enumerate(columns)}
        # With the bucket from which each is followed: what is left of an earlier time is not taken for it.
        models = [[model, self.known.names[model].since] for model in sorted(self.candidates)]
        return pack(arrays, version=STATE_VERSION, models=models, roster=roster)

    def restore(self, meta: bytes, shards: Mapping[int, bytes]) -> None:
        """Continue exactly where ``meta`` and ``shards`` were taken."""
        state = migrated(
            orjson.loads(meta), "the state of accounts", version=STATE_VERSION, migrations=MIGRATIONS
        )
        self.finished = state["finished"]
        self.known.restore(state["names"] if "names" in state else orjson.loads(shards.get(NAMES) or b"[]"))
        self.known.dropped, self.known.forgotten = state["dropped"], state["forgotten"]
        self._segments, self._told = state["segments"], state.get("told", True)
        self._follow()
        for number, content in sorted(shards.items()):
            if number < self.roster.shards:
                self._unpack_shard(content)
            elif content and number != NAMES:
                for bucket, run in unpack_buckets(content, self.names):
                    self.buckets.add_open(bucket, run)
        self.buckets.restore(state["buckets"])  # By now the names have their numbers.
        restored = self.counters()
        self._counted.subtract({name: restored[name] for name in COUNTED})

    def _unpack_shard(self, content: bytes) -> None:
        arrays, fields = unpack(content)
        rows = self.roster.restore(fields["roster"], arrays["0"].tobytes())
        for i, stored in enumerate(fields["models"], start=1):
            # Version 1 told no bucket: nothing could be followed twice.
            model, since = (stored, None) if isinstance(stored, str) else stored
            if model in self.candidates and since in (None, self.known.names[model].since):
                self.candidates[model].restore(rows, arrays[str(i)].tobytes())


def _names_apart(state: dict[str, Any]) -> dict[str, Any]:
    """Version 1 kept every name for ever, in the marker, and not when it was used last."""
    last = state["buckets"][0] or 0
    candidates = set(state.pop("candidates"))
    used = state.pop("used", {})
    names = [
        [name, first, max(first, last - 1), used.get(name, 0), 0, *place]
        for name, first in state.pop("first_seen").items()
        for place in [(FOLLOWED, first) if name in candidates else (OVER, -1)]
    ]
    return {**state, "dropped": state.get("dropped", 0), "forgotten": 0, "names": names}


def _agreed_time(state: dict[str, Any]) -> dict[str, Any]:
    """Version 2 took the highest event time for the time of the partition, and held nothing."""
    time = [0, 0, [0, 0], [[], [], []], [[], [], []]]
    return {**state, "buckets": [*state["buckets"], [0, time, [0, [], []]]]}


MIGRATIONS: dict[int, Migration] = {1: _names_apart, 2: _agreed_time}
