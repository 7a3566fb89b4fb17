"""Small operators for tests of the engine, and a worker process that runs them.

``python -m tests.kafka.engine_steps ROLE INSTANCE [--until-end] [--reset-state]``, configured through the
environment. An event is ``{"a": account, "t": seconds}``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import orjson

from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch_models.settings import Settings

BUCKET = 100
LATENESS = 20
SHARDS = 64
# An event of this account raises while the file named in the environment exists.
POISON = b"poison"
POISON_FILE = "ENGINE_TEST_POISON"
# Milliseconds per event; the number of the changelog write after which the process kills itself.
SLOW = float(os.environ.get("ENGINE_TEST_SLOW_MS", 0)) / 1000
KILL_AT = int(os.environ.get("ENGINE_TEST_KILL_AT", 0))
# Seconds by which the worker learns too late that its partitions were revoked.
LATE_NEWS = float(os.environ.get("ENGINE_TEST_LATE_NEWS", 0))


class CountingStep:
    """Counts events per bucket and account. A bucket closes when the watermark passes its end."""

    def __init__(self, settings: Settings, partition: int, partitions: int) -> None:
        self.p = partition
        self.watermark = -1
        self.closed = -1
        self.late = 0
        self.totals: list[dict[str, int]] = [{} for _ in range(SHARDS)]
        self.open: dict[int, dict[str, int]] = defaultdict(dict)
        self.dirty: set[int] = set()

    def process(self, records: Sequence[InputRecord]) -> list[Output]:
        out: list[Output] = []
        time.sleep(SLOW * len(records))
        for record in records:
            try:
                event = orjson.loads(record.value or b"")
                account, at = event["a"], event["t"]
            except (orjson.JSONDecodeError, KeyError):
                out.append(Output("dlq", record.key, record.value or b"", (("reason", b"unreadable"),)))
                continue
            if account == POISON.decode() and os.path.exists(os.environ.get(POISON_FILE, "")):
                raise RuntimeError("poisoned")
            if at // BUCKET <= self.closed:
                self.late += 1
                continue
            shard = zlib.crc32(account.encode()) % SHARDS
            self.totals[shard][account] = self.totals[shard].get(account, 0) + 1
            self.dirty.add(shard)
            bucket = self.open[at // BUCKET]
            bucket[account] = bucket.get(account, 0) + 1
            if at > self.watermark:
                self.watermark = at
                out += self._close((at - LATENESS) // BUCKET - 1)
        return out

    def _close(self, until: int) -> list[Output]:
        out = []
        while self.closed < until:
            self.closed += 1
            out.append(self._record(self.closed, self.open.pop(self.closed, {})))
        return out

    def _record(self, bucket: int, counts: dict[str, int], kind: str = "bucket") -> Output:
        body = {
            "p": self.p,
            "b": bucket,
            "kind": kind,
            "late": self.late,
            "counts": dict(sorted(counts.items())),
        }
        return Output("buckets", b"%d.%d.%s" % (self.p, bucket, kind.encode()), orjson.dumps(body))

    def meta(self) -> bytes:
        open_ = {str(bucket): dict(sorted(counts.items())) for bucket, counts in sorted(self.open.items())}
        return orjson.dumps([self.watermark, self.closed, self.late, open_])

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        shards = set(range(SHARDS)) if full else self.dirty
        self.dirty = set()
        return {shard: orjson.dumps(self.totals[shard]) for shard in shards}

    def restore(self, meta: bytes, shards: Mapping[int, bytes]) -> None:
        self.watermark, self.closed, self.late, open_ = orjson.loads(meta)
        self.open = defaultdict(dict, {int(bucket): counts for bucket, counts in open_.items()})
        assert sorted(shards) == list(range(SHARDS))
        for shard, state in shards.items():
            self.totals[shard] = orjson.loads(state)

    def idle_due(self, closed: int) -> int | None:
        return min(closed, max(self.open)) if self.open else None

    def idle(self, bucket: int) -> list[Output]:
        return [*self._close(bucket), self._record(bucket, {}, "idle")]

    def final(self) -> list[Output]:
        totals: dict[str, int] = {}
        for shard in self.totals:
            totals.update(shard)
        return [*self._close(max(self.open, default=self.closed)), self._record(2**31, totals, "final")]


class SummingStep:
    """Sums the bucket records of all partitions. An alert names the control records in effect."""

    def __init__(self, settings: Settings, partitions: int, network_class: Any) -> None:
        self.partitions = partitions
        self.seen: dict[int, dict[int, int]] = defaultdict(dict)
        self.scored = -1
        self.finals: set[int] = set()
        self.controls: list[list[object]] = []
        self.unsaved = 0

    def control(self, topic: str, record: InputRecord) -> list[Output]:
        self.controls.append([topic, record.offset, (record.value or b"").decode(), self.scored + 1])
        self.unsaved += 1
        return []

    def pins(self) -> bytes:
        return orjson.dumps(self.controls[len(self.controls) - self.unsaved :]) if self.unsaved else b""

    def repin(self, pins: bytes) -> None:
        again = orjson.loads(pins)
        self.controls += again
        self.unsaved = len(again)

    @property
    def finished(self) -> bool:
        return len(self.finals) == self.partitions

    def process(self, records: Sequence[InputRecord]) -> list[Output]:
        out = []
        for record in records:
            body = orjson.loads(record.value or b"")
            if body["kind"] == "final":
                self.finals.add(body["p"])
            if body["kind"] == "bucket" and body["b"] > self.scored:
                self.seen[body["b"]][body["p"]] = sum(body["counts"].values())
            while len(self.seen.get(self.scored + 1, ())) == self.partitions:
                out.append(self._score())
        while self.finished and self.seen:
            out.append(self._score())
        return out

    def _score(self) -> Output:
        self.scored += 1
        counts = self.seen.pop(self.scored, {})
        used = [control[:3] for control in self.controls if control[3] <= self.scored]
        body = {"b": self.scored, "sum": sum(counts.values()), "parts": sorted(counts), "controls": used}
        return Output("alerts", b"%d" % self.scored, orjson.dumps(body))

    def meta(self) -> bytes:
        return orjson.dumps([self.scored, sorted(self.finals), self.controls])

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        self.unsaved = 0
        seen = {str(b): {str(p): n for p, n in parts.items()} for b, parts in self.seen.items()}
        return {0: orjson.dumps(seen)}

    def restore(self, meta: bytes, shards: Mapping[int, bytes]) -> None:
        self.scored, finals, self.controls = orjson.loads(meta)
        self.finals = set(finals)
        for bucket, parts in orjson.loads(shards[0]).items():
            self.seen[int(bucket)] = {int(p): n for p, n in parts.items()}


def kill_at(number: int) -> None:
    """Kill this process after the n-th record sent to the changelog."""
    from pivotwatch.engine.changelog import PartitionLog

    send, sent = PartitionLog.send, 0

    async def counting(self: PartitionLog, key: bytes, value: bytes | None) -> Awaitable[object]:
        nonlocal sent
        future = await send(self, key, value)
        sent += 1
        if sent == number:
            await future
            os.kill(os.getpid(), signal.SIGKILL)
        return future

    PartitionLog.send = counting  # type: ignore[method-assign]


def late_news() -> None:
    """Delay the news that partitions were revoked."""
    from pivotwatch.engine.fetching.consumer import FetchConsumer

    revoked = FetchConsumer.on_partitions_revoked

    async def late(self: FetchConsumer, tps: Any) -> None:
        await asyncio.sleep(LATE_NEWS)
        await revoked(self, tps)

    FetchConsumer.on_partitions_revoked = late  # type: ignore[method-assign]


def main() -> int:
    """Run one worker."""
    from pivotwatch.engine.fetching.chunks import ChunkScheduler
    from pivotwatch.engine.log_check import LogCheck

    ChunkScheduler.size = int(os.environ.get("ENGINE_TEST_CHUNK", ChunkScheduler.size))
    LogCheck.every = float(os.environ.get("ENGINE_TEST_LOG_CHECK", LogCheck.every))
    if KILL_AT:
        kill_at(KILL_AT)
    if LATE_NEWS:
        late_news()
    from pivotwatch.base.errors import Fault
    from pivotwatch.config.config import load
    from pivotwatch.roles import accounts, networks

    role, instance, *flags = sys.argv[1:]
    logging.basicConfig(
        level="INFO", stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    try:
        run, operator = (accounts.run, CountingStep) if role == "accounts" else (networks.run, SummingStep)
        return run(
            load(),
            instance=instance,
            until_end="--until-end" in flags,
            reset_state="--reset-state" in flags,
            make_operator=operator,
        )
    except Fault as fault:
        print(f"fault: {fault}", file=sys.stderr)
        return fault.exit_status


if __name__ == "__main__":
    sys.exit(main())
