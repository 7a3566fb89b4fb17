"""Each partition takes its chunks in their order, or not at all; none waits for another's checkpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pivotwatch.config.config import load
from pivotwatch.contracts.records import Output
from pivotwatch.engine.checkpoint_format import latest
from pivotwatch.engine.chunk_queues import FULL
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.fetching.consumer import FetchConsumer, Position
from pivotwatch.roles.accounts import AccountsTask
from tests.engine.rig import Inline, shell_of
from tests.engine.test_checkpoint import Log
from tests.engine.test_fetch import record

TURNS = 200
"""So often the event loop comes round before something has happened in vain."""


class Keeping:
    """An operator that keeps the offsets that it has seen."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.raise_at = -1

    def process(self, records: Any) -> list[Output]:
        offsets = [record.offset for record in records]
        if self.raise_at in offsets:
            raise RuntimeError("poisoned")
        self.seen += offsets
        return []

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        return {0: b"%d" % len(self.seen)}

    def idle_due(self, now_ms: int) -> int | None:
        raise AssertionError("nothing is dry here")

    def meta(self) -> bytes:
        return b""

    def restore(self, meta: bytes, shards: Any) -> None: ...


class Stream:
    """What Faust hands to an agent."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[int, Chunk]] = asyncio.Queue()

    def noack(self) -> Stream:
        return self

    async def events(self) -> AsyncIterator[Any]:
        while True:
            partition, chunk = await self.queue.get()
            yield SimpleNamespace(message=SimpleNamespace(tp=TP("requests", partition)), value=chunk)


class Consumer:
    """What a shell needs of the consumer."""

    def __init__(self) -> None:
        self.scheduler = SimpleNamespace(seeks=1)
        self.held: frozenset[TP] = frozenset()
        self.positions: dict[TP, Position] = {}
        self.committed: dict[int, int] = {}

    async def is_member(self) -> bool:
        return True

    def done(self, tp: TP, offset: int) -> None:
        self.committed[tp.partition] = offset

    async def commit_done(self) -> None: ...


class App:
    """What it needs of an app: a changelog, a consumer, and what ends the process."""

    consumer_generation_id = 1
    rebalancing = False

    def __init__(self) -> None:
        self.consumer = Consumer()
        self.tables = {"state": SimpleNamespace(changelog_topic_name="log")}
        self.producer = self
        self.logs = {0: Log(), 1: Log()}
        self.crashed: BaseException | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def send(self, topic: str, key: bytes, value: bytes | None, **options: Any) -> Awaitable[object]:
        await self.answers.wait()
        return await self.logs[options["partition"]].send(key, value)

    async def crash(self, error: BaseException) -> None:
        self.crashed = error


class Worker:
    """A worker with two partitions whose agent runs."""

    def __init__(self) -> None:
        self.app, self.stream = App(), Stream()
        self.thread = Inline()
        self.task = AccountsTask(2, lambda *given: Keeping(), self.thread)
        self.shell = shell_of(self.app, self.task, "requests", state_partitions=2)
        self.next = [0, 0]
        self.fed: list[tuple[Any, int]] = []
        self.task.feed = self.note  # type: ignore[method-assign]

    async def note(self, live: Any, chunk: Chunk) -> None:
        """Feed a partition, and note with what."""
        self.fed.append((live, chunk[0].offset))
        await AccountsTask.feed(self.task, live, chunk)

    async def __aenter__(self) -> Worker:
        await self.assign()
        self.agent = asyncio.ensure_future(self.shell.run(self.stream))
        return self

    async def __aexit__(self, *given: object) -> None:
        self.agent.cancel()
        await asyncio.wait([self.agent])

    async def assign(self) -> None:
        await self.shell.load({0: {}, 1: {}})
        for live in self.shell.live.values():
            live.begin(0, 999, None)

    def live(self, partition: int) -> Any:
        return self.shell.live[TP("requests", partition)]

    def step(self, partition: int) -> Any:
        return self.live(partition).operator

    def fetch(self, partition: int, count: int = 1, size: int = 2) -> None:
        """Chunks come from the broker."""
        for _ in range(count):
            first = self.next[partition]
            self.next[partition] += size
            records = [record(offset) for offset in range(first, first + size)]
            chunk = Chunk(records, first - 1, self.app.consumer.scheduler.seeks)
            self.stream.queue.put_nowait((partition, chunk))
        last = self.next[partition] - 1
        self.app.consumer.positions[TP("requests", partition)] = Position(last + 1, last + 1, last, 0.0)

    async def busy(self, partition: int = 0, waiting: int = 0) -> Any:
        """The thread begins with a chunk of a partition, and so many chunks wait for its end."""
        operator = self.step(partition)
        self.thread.held = True
        self.fetch(partition)
        await until(lambda: self.thread.waiting)
        if waiting:
            self.fetch(partition, waiting)
            await turns()
        return operator

    @property
    def held(self) -> set[int]:
        return {tp.partition for tp in self.app.consumer.held}


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(TURNS):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("in vain")


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


def test_other_partitions_go_on_while_the_checkpoint_of_one_waits_for_the_broker() -> None:
    async def run() -> None:
        async with Worker() as worker:
            worker.fetch(0)
            await until(lambda: worker.step(0).seen)
            worker.app.answers.clear()
            saving = asyncio.ensure_future(worker.live(0).checkpoint())
            worker.fetch(0, 2)
            worker.fetch(1, 4)
            await until(lambda: worker.step(1).seen == list(range(8)))
            assert not saving.done()
            assert worker.step(0).seen == [0, 1]
            worker.app.answers.set()
            await until(lambda: worker.step(0).seen == list(range(6)))

    asyncio.run(run())


def test_partitions_take_turns_with_what_waits() -> None:
    async def run() -> None:
        async with Worker() as worker:
            worker.fetch(0, 3)
            worker.fetch(1, 3)
            await until(lambda: len(worker.fed) == 6)
            assert [(live.tp.partition, offset) for live, offset in worker.fed] == [
                (partition, offset) for offset in (0, 2, 4) for partition in (0, 1)
            ]

    asyncio.run(run())


def test_a_partition_for_which_enough_waits_is_held_and_the_others_are_not() -> None:
    async def run() -> None:
        async with Worker() as worker:
            step = await worker.busy()
            worker.fetch(0, FULL - 1)
            await turns()
            assert worker.held == set()
            worker.fetch(0)
            worker.fetch(1, FULL - 1)
            await turns()
            assert worker.held == {0}
            worker.thread.release()
            await until(lambda: len(step.seen) == worker.next[0])
            assert worker.held == set()

    asyncio.run(run())


def test_what_was_fetched_before_a_seek_is_read_again_and_taken_once() -> None:
    async def run() -> None:
        async with Worker() as worker:
            step = await worker.busy(waiting=2)
            live = worker.live(0)
            worker.app.consumer.scheduler.seeks += 1
            worker.next[0] = live.offset
            assert live.offset == 0, "the chunk under way is read again, too"
            worker.fetch(0, 1, size=3)
            await turns()
            worker.thread.release()
            await until(lambda: live.offset == 3)
            worker.fetch(0, 1, size=5)
            await until(lambda: live.offset == 8)
            assert step.seen == list(range(8))
            assert worker.app.crashed is None

    asyncio.run(run())


def test_what_waits_is_not_taken_after_a_seek_that_nothing_was_read_after() -> None:
    async def run() -> None:
        async with Worker() as worker:
            step = await worker.busy(waiting=2)
            worker.app.consumer.scheduler.seeks += 1
            worker.thread.release()
            await until(lambda: step.seen)
            await turns()
            assert step.seen == [0, 1]

    asyncio.run(run())


def test_nothing_of_an_ended_assignment_is_fed_or_saved() -> None:
    async def run() -> None:
        async with Worker() as worker:
            before = await worker.busy()
            worker.fetch(0, FULL)
            await until(lambda: worker.held == {0})
            ended = worker.live(0)
            worker.shell.drop()
            assert worker.held == set()
            assigning = asyncio.ensure_future(worker.assign())
            await turns()
            worker.thread.release()
            await assigning
            after = worker.step(0)
            worker.app.consumer.scheduler.seeks += 1
            worker.next[0] = 0
            worker.fetch(0)
            await until(lambda: after.seen == [0, 1])
            await turns()
            assert before.seen == [0, 1], "what runs in the thread comes to its end"
            assert after.seen == [0, 1]
            assert (ended.offset, ended.changed) == (2, False)
            await ended.checkpoint()
            assert worker.app.logs[0].writes == []

    asyncio.run(run())


def test_what_waited_for_an_ended_assignment_is_not_fed_before_the_next_seek_either() -> None:
    async def run() -> None:
        async with Worker() as worker:
            await worker.busy(waiting=2)
            worker.shell.drop()
            worker.thread.release()
            await turns()
            assert [offset for _, offset in worker.fed] == [0]
            assert not worker.task._queues

    asyncio.run(run())


def test_an_exception_ends_the_worker_and_nothing_more_is_taken_or_saved() -> None:
    async def run() -> None:
        async with Worker() as worker:
            steps = [worker.step(0), worker.step(1)]
            lives = list(worker.shell.live.values())
            steps[1].raise_at = 2
            worker.fetch(0, 4)
            worker.fetch(1, 4)
            await until(lambda: worker.app.crashed)
            assert str(worker.app.crashed) == "poisoned"
            seen = [list(step.seen) for step in steps]
            worker.fetch(0)
            worker.fetch(1)
            await turns()
            assert [step.seen for step in steps] == seen
            assert seen[1] == [0, 1]
            for live in lives:
                await live.checkpoint()
            assert [log.writes for log in worker.app.logs.values()] == [[], []]

    asyncio.run(run())


def test_a_record_that_could_not_be_sent_ends_the_worker() -> None:
    """The producer cancels what it gives up."""

    async def run() -> None:
        async with Worker() as worker:

            async def cancelled(live: Any, chunk: Chunk) -> None:
                raise asyncio.CancelledError

            worker.task.feed = cancelled  # type: ignore[method-assign]
            worker.fetch(1)
            await until(lambda: worker.app.crashed)
            assert isinstance(worker.app.crashed, asyncio.CancelledError)
            assert worker.shell.live == {}

    asyncio.run(run())


def test_the_end_of_the_agent_breaks_off_what_is_under_way() -> None:
    async def run() -> None:
        worker = Worker()
        async with worker:
            step = await worker.busy(waiting=2)
        await turns()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert worker.app.crashed is None
        await worker.live(0).checkpoint()
        assert (step.seen, worker.app.logs[0].writes) == ([], [])

    asyncio.run(run())


def test_a_stop_saves_what_is_under_way_and_takes_nothing_of_what_waits() -> None:
    async def run() -> None:
        async with Worker() as worker:
            await worker.busy(waiting=2)
            stopping = asyncio.ensure_future(worker.shell.close())
            await turns()
            worker.fetch(0)
            worker.fetch(1)
            worker.thread.release()
            await stopping
            await turns()
            assert [worker.step(partition).seen for partition in (0, 1)] == [[0, 1], []]
            assert worker.app.consumer.committed == {0: 2, 1: 0}
            saved = latest(worker.app.logs[0].stored, worker.task.identity)
            assert saved
            assert (saved.offset, saved.shards) == (2, {0: b"2"})

    asyncio.run(run())


def test_a_partition_with_waiting_chunks_is_not_at_its_end() -> None:
    async def run() -> None:
        async with Worker() as worker:
            await worker.busy(waiting=2)
            live = worker.live(0)
            assert worker.shell.position(live.tp) is None
            assert worker.shell.progress()[live.tp] == live.offset == 0
            worker.thread.release()
            await until(lambda: live.offset == 6)
            assert worker.shell.position(live.tp) is not None

    asyncio.run(run())


def test_the_size_of_a_checkpoint_counts_for_each_partition() -> None:
    async def run() -> None:
        async with Worker() as worker:
            worker.shell.config = load(checkpoint_events=4)
            worker.fetch(0)
            worker.fetch(1, 3)
            await until(lambda: worker.app.consumer.committed == {1: 4})
            await until(lambda: worker.step(1).seen == list(range(6)))

    asyncio.run(run())


def test_after_a_seek_nobody_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was here is read again; whoever held a partition would wait for what never comes."""
    tp = TP("requests", 0)

    async def nothing(self: Any) -> None: ...

    async def run() -> None:
        consumer: Any = FetchConsumer.__new__(FetchConsumer)
        consumer.scheduler = SimpleNamespace(seeks=1, last={tp: 5})
        consumer.positions, consumer.held = {}, frozenset({tp})
        consumer._fetching = asyncio.Lock()
        consumer._committed_offset = {tp: 3}
        consumer.transport = SimpleNamespace(
            chunked={"requests"}, resume=lambda tps: asyncio.sleep(0, {tp: 4})
        )
        consumer.assignment = lambda: {tp}
        consumer.seek_wait = lambda offsets: asyncio.sleep(0)
        await FetchConsumer.perform_seek(consumer)
        assert consumer.held == frozenset()
        assert consumer.scheduler.last == {tp: 3}

    monkeypatch.setattr(driver.Consumer, "perform_seek", nothing)
    asyncio.run(run())
