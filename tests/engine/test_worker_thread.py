"""The operator works in a thread: the event loop goes on, and nothing half done is sent or saved."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pivotwatch.contracts.records import Output
from pivotwatch.engine.checkpoint_format import Snapshot, latest
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.partition_task import PartitionTask
from tests.engine.rig import HERE, Inline, live_partition
from tests.engine.test_broken_off import Broker, Counting, save, take
from tests.engine.test_fetch import record

PATIENCE_SECONDS = 30.0
"""Longer than any machine takes to begin with a thread."""


class Place:
    """A partition, its broker, and what was sent."""

    def __init__(self, operator: Any = None, thread: Any = None) -> None:
        self.broker, self.operator, self.thread = Broker(), operator or Counting(), thread or Inline()
        self.sent: list[Output] = []
        self.live: PartitionTask[Any] = live_partition(
            self.operator,
            changelog=self.broker,
            send=self.broker.produce,
            count=self.sent.extend,
            thread=self.thread,
        )
        self.live.begin(0, 99, None)

    def saved(self) -> Snapshot | None:
        return latest(self.broker.log.stored, HERE)


class Held(Counting):
    """Waits in every call until it is let go, and notes the thread."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()
        self.threads: set[int] = set()

    def process(self, records: Any) -> list[Output]:
        self.wait()
        return super().process(records)

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        self.wait()
        return super().snapshot(full=full)

    def counters(self) -> Mapping[str, int]:
        self.threads.add(threading.get_ident())
        return {"events": sum(self.times.values())}

    def wait(self) -> None:
        self.threads.add(threading.get_ident())
        self.begun.set()
        assert self.go.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("act", [take, save])
def test_the_event_loop_goes_on_while_the_operator_works(act: Any) -> None:
    """The operator waits for the loop: if the loop waited for it, neither would end."""

    async def run() -> None:
        operator = Held()
        place = Place(operator, ThreadPoolExecutor(1))
        acting = asyncio.ensure_future(act(place.live))
        while not operator.begun.is_set():
            await asyncio.sleep(0)
        assert place.live.counters == {}
        operator.go.set()
        await acting
        assert threading.get_ident() not in operator.threads
        assert len(operator.threads) == 1

    asyncio.run(run())


def test_counters_are_those_of_the_last_call_that_came_to_its_end() -> None:
    async def run() -> None:
        place = Place(thread=ThreadPoolExecutor(1))
        operator = Held()
        place.live.operator = operator
        operator.go.set()
        await take(place.live)
        assert place.live.counters == {"events": 1}
        operator.go.clear()
        operator.begun.clear()
        taking = asyncio.ensure_future(take(place.live))
        while not operator.begun.is_set():
            await asyncio.sleep(0)
        assert place.live.counters == {"events": 1}
        operator.go.set()
        await taking
        assert place.live.counters == {"events": 2}

    asyncio.run(run())


def test_a_checkpoint_costs_the_cpu_of_its_making(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the broker takes is not its own; that may be an outage."""
    ticks = iter([10.0, 13.0])

    async def run() -> None:
        place = Place()
        await take(place.live)
        assert place.live.cost == 0.0
        monkeypatch.setattr("time.thread_time", lambda: next(ticks))
        await place.live.checkpoint()
        assert place.live.cost == 3.0

    asyncio.run(run())


def test_processing_and_saving_exclude_each_other() -> None:
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
        sent = len(place.sent)
        place.thread.held = True
        acting = asyncio.ensure_future(act(place.live))
        while not place.thread.waiting:
            await asyncio.sleep(0)
        place.live.end()
        place.thread.release()
        await acting
        await place.live.checkpoint()
        assert len(place.sent) == sent
        assert place.saved() is None

    asyncio.run(run())


@pytest.mark.parametrize("saved_before", [False, True])
def test_nothing_is_decided_once_the_assignment_has_ended_while_it_was_saved(saved_before: bool) -> None:
    """The last manifest is of an older state: whoever reads the decision would find later events late."""

    async def due() -> int:
        return 7

    async def run() -> None:
        place = Place()
        await take(place.live)
        if saved_before:
            await place.live.checkpoint()
            await take(place.live)
        before = place.saved()
        assert (before is not None) == saved_before
        place.thread.held = True
        deciding = asyncio.ensure_future(place.live.decide(due, lambda decision: pytest.fail("acts")))
        while not place.thread.waiting:
            await asyncio.sleep(0)
        place.live.end()
        place.thread.release()
        await deciding
        assert place.saved() == before

    asyncio.run(run())


def test_a_decision_that_is_not_due_any_more_once_the_state_is_saved_is_not_made() -> None:
    """More has come meanwhile; it must not be late."""

    async def run() -> None:
        place = Place()
        await take(place.live)
        answers: list[int | None] = [7, None]

        async def due() -> int | None:
            return answers.pop(0)

        await place.live.decide(due, lambda decision: pytest.fail("acts"))
        assert answers == []
        assert place.saved() == Snapshot(1, b"", {0: b"1"})

    asyncio.run(run())


@pytest.mark.parametrize("begun", [False, True])
def test_what_was_cancelled_half_way_is_not_saved(begun: bool) -> None:
    """Be it that the thread had begun with it or not."""

    async def run() -> None:
        operator = Held()
        operator.go.set()
        place = Place(operator, ThreadPoolExecutor(1) if begun else Inline())
        await take(place.live)
        await place.live.checkpoint()
        before = place.saved()
        operator.go.clear()
        operator.begun.clear()
        if not begun:
            place.thread.held = True
        acting = asyncio.ensure_future(take(place.live))
        while not (operator.begun.is_set() if begun else place.thread.waiting):
            await asyncio.sleep(0)
        acting.cancel()
        await asyncio.wait([acting])
        operator.go.set()
        place.live.changed = True
        await place.live.checkpoint()
        assert place.saved() == before

    asyncio.run(run())


def test_an_error_half_way_is_raised_and_nothing_saved() -> None:
    class Poisoned(Counting):
        def process(self, records: Any) -> list[Output]:
            super().process(records)
            raise RuntimeError("poisoned")

    async def run() -> None:
        place = Place(Poisoned())
        with pytest.raises(RuntimeError, match="poisoned"):
            await take(place.live)
        await place.live.checkpoint()
        assert place.saved() is None
        assert place.sent == []

    asyncio.run(run())
