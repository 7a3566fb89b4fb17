"""Work in slices: the event loop goes on in between, and nothing half done is sent or saved."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pivotwatch.base.work import Work
from pivotwatch.contracts.records import Output
from pivotwatch.engine import partition_task as live_module
from pivotwatch.engine.checkpoint_format import Snapshot, latest
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.partition_task import PartitionTask
from tests.engine.rig import HERE, live_partition
from tests.engine.test_broken_off import Broker, Counting, save, take
from tests.engine.test_fetch import record

SLICES = 5


class Sliced(Counting):
    """Counts in slices; half-way every count is one too high."""

    def __init__(self) -> None:
        super().__init__()
        self.half_way = False
        self.poisoned = False

    def processing(self, records: Any) -> Work[list[Output]]:
        self.half_way = True
        yield from [None] * SLICES
        if self.poisoned:
            raise RuntimeError("poisoned")
        outputs = self.process(records)
        self.half_way = False
        return outputs

    def saving(self, *, full: bool = False) -> Work[dict[int, bytes]]:
        assert not self.half_way
        shards = self.snapshot(full=full)
        yield from [None] * SLICES
        return shards


class Place:
    """A partition, its broker, and how often the loop came round."""

    def __init__(self, step: Sliced | None = None) -> None:
        self.broker, self.step = Broker(), step or Sliced()
        self.sent = 0
        self.turns = 0
        self.live: PartitionTask[Any] = live_partition(
            self.step, changelog=self.broker, send=self.broker.produce, count=self.count
        )
        self.live.begin(0, 99, None)

    def count(self, outputs: Any) -> None:
        self.sent += len(outputs)

    async def tick(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)

    def saved(self) -> Snapshot | None:
        return latest(self.broker.log.stored, HERE)


@pytest.fixture(autouse=True)
def pause_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "SLICE_SECONDS", 0.0)


def test_the_loop_goes_on_between_slices() -> None:
    async def run() -> None:
        place = Place()
        ticker = asyncio.ensure_future(place.tick())
        await take(place.live)
        taking = place.turns
        await place.live.checkpoint()
        assert taking >= SLICES
        assert place.turns - taking >= SLICES
        assert place.saved() == Snapshot(1, b"", {0: b"1"})
        assert place.sent == 1
        ticker.cancel()

    asyncio.run(run())


def test_without_need_it_is_not_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "SLICE_SECONDS", 3600.0)

    async def run() -> None:
        place = Place()
        ticker = asyncio.ensure_future(place.tick())
        await take(place.live)
        assert place.turns == 0
        ticker.cancel()

    asyncio.run(run())


def test_a_checkpoint_costs_what_its_own_slices_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs in between is not its own; nor is what the broker takes, which may be an outage."""
    now = 0.0

    class Slow(Sliced):
        def saving(self, *, full: bool = False) -> Work[dict[int, bytes]]:
            nonlocal now
            work = super().saving(full=full)
            while True:
                now += 1.0
                try:
                    next(work)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                yield

    async def others() -> None:
        nonlocal now
        while True:
            now += 100.0
            await asyncio.sleep(0)

    async def run() -> None:
        place = Place(Slow())
        await take(place.live)
        assert place.live.cost == 0.0
        monkeypatch.setattr(live_module, "time", SimpleNamespace(monotonic=lambda: now))
        busy = asyncio.ensure_future(others())
        await place.live.checkpoint()
        busy.cancel()
        assert now > 100.0 * SLICES
        assert place.live.cost == SLICES + 1

    asyncio.run(run())


def test_a_checkpoint_waits_for_the_last_slice() -> None:
    async def run() -> None:
        place = Place()
        one, two = (Chunk([record(offset)], offset - 1, 0) for offset in range(2))
        live = place.live
        await asyncio.gather(live.take(one), save(live), live.take(two), save(live))
        assert place.saved() == Snapshot(2, b"", {0: b"1", 1: b"1"})

    asyncio.run(run())


@pytest.mark.parametrize("act", [take, save])
def test_nothing_is_sent_or_saved_once_the_assignment_has_ended(act: Any) -> None:
    async def run() -> None:
        place = Place()
        await take(place.live)
        acting = asyncio.ensure_future(act(place.live))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        sent = place.sent
        place.live.end()
        await acting
        await place.live.checkpoint()
        assert place.sent == sent
        assert place.saved() is None

    asyncio.run(run())


@pytest.mark.parametrize("saved_before", [False, True])
def test_nothing_is_decided_once_the_assignment_has_ended_while_it_was_saved(saved_before: bool) -> None:
    """The last marker is of an older state: what came since would be late for whoever reads the decision."""

    async def run() -> None:
        place = Place()
        await take(place.live)
        if saved_before:
            await place.live.checkpoint()
            await take(place.live)
        before = place.saved()
        assert (before is not None) == saved_before
        deciding = asyncio.ensure_future(place.live.decide(lambda: 7, lambda decision: pytest.fail("acts")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        place.live.end()
        await deciding
        assert place.saved() == before

    asyncio.run(run())


def test_a_decision_that_is_not_due_any_more_once_the_state_is_saved_is_not_made() -> None:
    """More has come meanwhile; it must not be late."""

    async def run() -> None:
        place = Place()
        await take(place.live)
        due: list[int | None] = [7, None]
        await place.live.decide(lambda: due.pop(0), lambda decision: pytest.fail("acts"))
        assert due == []
        assert place.saved() == Snapshot(1, b"", {0: b"1"})

    asyncio.run(run())


def test_what_was_cancelled_half_way_is_not_saved() -> None:
    async def run() -> None:
        place = Place()
        await take(place.live)
        await place.live.checkpoint()
        before = place.saved()
        acting = asyncio.ensure_future(take(place.live))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert place.step.half_way
        acting.cancel()
        await asyncio.wait([acting])
        place.live.changed = True
        await place.live.checkpoint()
        assert place.saved() == before

    asyncio.run(run())


def test_an_error_half_way_is_raised_and_nothing_saved() -> None:
    async def run() -> None:
        place = Place()
        place.step.poisoned = True
        with pytest.raises(RuntimeError, match="poisoned"):
            await take(place.live)
        await place.live.checkpoint()
        assert place.saved() is None
        assert place.sent == 0

    asyncio.run(run())
