"""Interrupted work is never saved: the last checkpoint counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from pivotwatch.contracts.records import Output
from pivotwatch.engine.checkpoint_format import Snapshot, latest
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.partition_task import PartitionTask
from tests.engine.rig import HERE, live_partition
from tests.engine.test_checkpoint import Log
from tests.engine.test_fetch import record

Act = Callable[[PartitionTask[Any]], Coroutine[Any, Any, None]]


class Counting:
    """Counts how often it got each record, with one shard per record."""

    def __init__(self) -> None:
        self.times: Counter[int] = Counter()
        self.dirty: set[int] = set()

    def process(self, records: Any) -> list[Output]:
        seen = [record.offset for record in records]
        self.times.update(seen)
        self.dirty.update(seen)
        return [Output("buckets", None, b"%d" % offset) for offset in seen]

    def meta(self) -> bytes:
        return b""

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        found, self.dirty = set(self.times) if full else self.dirty, set()
        return {offset: b"%d" % self.times[offset] for offset in found}

    def restore(self, meta: bytes, shards: Any) -> None: ...


class Broker:
    """A changelog and producer that accepts records, stalls, or refuses them."""

    def __init__(self) -> None:
        self.log = Log()
        self.state = "up"

    async def send(self, key: bytes, value: bytes | None) -> Awaitable[object]:
        """Write to the changelog."""
        await self.reach()
        return await self.log.send(key, value)

    async def produce(self, topic: str, key: bytes | None, value: bytes | None, **how: Any) -> Any:
        """Produce to a topic."""
        await self.reach()
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def reach(self) -> None:
        if self.state == "down":
            raise ConnectionError("away")
        while self.state == "stalled":
            await asyncio.sleep(0)


async def take(live: PartitionTask[Any]) -> None:
    await live.take(Chunk([record(live.offset)], live.offset - 1, 0))


async def save(live: PartitionTask[Any]) -> None:
    await live.checkpoint()


async def act_broken_off(broker: Broker, live: PartitionTask[Any], act: Act, how: str) -> None:
    """Act while the broker is down or stalled. A stall is cancelled, as at the end of a process."""
    broker.state = how
    acting = asyncio.ensure_future(act(live))
    for _ in range(5):
        await asyncio.sleep(0)
    acting.cancel()
    await asyncio.wait([acting])
    assert acting.cancelled() or isinstance(acting.exception(), ConnectionError)
    broker.state = "up"


@pytest.mark.parametrize("how", ["down", "stalled"])
@pytest.mark.parametrize("act", [take, save])
def test_interrupted_work_is_not_saved(act: Act, how: str) -> None:
    async def run() -> None:
        broker = Broker()
        live: PartitionTask[Any] = live_partition(Counting(), changelog=broker, send=broker.produce)
        live.begin(0, 99, None)
        await take(live)
        await live.checkpoint()
        before = Snapshot(1, b"", {0: b"1"})
        assert latest(broker.log.stored, HERE) == before

        await take(live)
        await act_broken_off(broker, live, act, how)
        live.changed = True  # The partition continues with a decision or another chunk.
        await take(live)
        await live.checkpoint()
        assert latest(broker.log.stored, HERE) == before

    asyncio.run(run())
