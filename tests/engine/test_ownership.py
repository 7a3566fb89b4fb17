"""A decision waits until the group confirms, after the manifest was written, that the partition is ours."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from pivotwatch.contracts.records import Output
from pivotwatch.engine.checkpoint_format import FINAL, Identity, Snapshot, latest
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.partition_task import PartitionTask
from pivotwatch.roles.accounts import AccountsPartition, AccountsTask
from pivotwatch.roles.networks import NetworksPartition
from tests.engine.rig import REQUESTS, Inline, live_partition, shell_of
from tests.engine.test_checkpoint import Log
from tests.engine.test_fetch import record

HERE = Identity("networks", 1, "")


class Recording:
    """Records which control records were in effect for which records."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def process(self, records: Any) -> list[Output]:
        self.seen += [record.offset for record in records]
        return []

    def pins(self) -> bytes:
        return b"pins"

    def repin(self, pins: bytes) -> None: ...

    def meta(self) -> bytes:
        return b""

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        return {}

    @property
    def finished(self) -> bool:
        return False

    def restore(self, meta: bytes, shards: Any) -> None: ...


class Group:
    """Answers whether the assignment is valid; None means no answer, and then the assignment ends."""

    def __init__(self, log: Log, answers: list[bool]) -> None:
        self.log = log
        self.answers = answers
        self.written: list[int] = []
        self.live: PartitionTask[Any] | None = None

    async def is_ours(self) -> bool:
        self.written.append(len(self.log.writes))
        if self.answers:
            return self.answers.pop(0)
        assert self.live is not None
        self.live.end()
        return False


def made(kind: type[PartitionTask[Any]], answers: list[bool]) -> tuple[Any, Group, Log]:
    log = Log()
    group = Group(log, answers)
    live = live_partition(
        Recording(),
        kind,
        changelog=log,
        identity=HERE,
        snapshot=Snapshot(0, b"", {}),
        is_ours=group.is_ours,
    )
    live.begin(0, 99, None)
    group.live = live
    return live, group, log


def test_buckets_are_scored_only_after_the_group_has_confirmed_the_manifest() -> None:
    live, group, log = made(NetworksPartition, [False, True])
    asyncio.run(live.take(Chunk([record(0), record(1)], -1, 0)))
    assert live.operator.seen == [0, 1]
    assert group.written == [1, 1], "the manifest must be on the broker before the group is asked"
    found = latest(log.stored, HERE)
    assert found
    assert (found.fence, found.pins) == (2, b"pins")


def test_a_worker_that_lost_its_partition_scores_nothing_more() -> None:
    live, _, _ = made(NetworksPartition, [])
    asyncio.run(live.take(Chunk([record(0)], -1, 0)))
    assert live.operator.seen == []
    assert live.offset == 0


@pytest.mark.parametrize(("answers", "acts"), [([True], [FINAL]), ([], [])])
def test_a_decision_without_input_waits_too(answers: list[bool], acts: list[int]) -> None:
    live, _, _ = made(PartitionTask, answers)
    acted: list[int] = []

    def act(decision: int) -> list[Output]:
        acted.append(decision)
        return []

    async def due() -> int:
        return FINAL

    asyncio.run(live.decide(due, act))
    assert acted == acts
    assert (live.decision == FINAL) == bool(acts)


class Pinning(Recording):
    """An operator with pins until it is saved."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = b""

    def pins(self) -> bytes:
        return self.waiting

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        self.waiting = b""
        return {}


def test_more_control_records_than_fit_into_a_manifest_become_part_of_the_state() -> None:
    live, _, log = made(NetworksPartition, [True] * 3)
    live.operator = Pinning()
    for offset in range(3):
        live.operator.waiting = b"x" * 2_000_000 if offset == 1 else b"few"
        asyncio.run(live.take(Chunk([record(offset)], offset - 1, 0)))
        found = latest(log.stored, HERE)
        assert found
        assert found.fence == offset + 1
    assert live.operator.seen == [0, 1, 2]
    assert found.pins == b"few"
    assert max(len(value or b"") for _, value in log.writes) < 1_000_000


class Waiting(AccountsTask):
    """Starts a partition only on demand."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.starting, self.go = asyncio.Event(), asyncio.Event()

    async def started(self, live: AccountsPartition) -> None:
        self.starting.set()
        await self.go.wait()


class App:
    """A stand-in for the app, whose producer waits until the test continues."""

    consumer_generation_id = 1

    def __init__(self) -> None:
        self.consumer = self.producer = self
        self.tables = {"state": SimpleNamespace(changelog_topic_name="log")}
        self.go = asyncio.Event()
        self.writes = 0
        self.committed: list[int] = []

    async def is_member(self) -> bool:
        return True

    def done(self, tp: TP, offset: int) -> None:
        self.committed.append(offset)

    async def send(self, *given: Any, **options: Any) -> asyncio.Future[object]:
        await self.go.wait()
        self.writes += 1
        sent: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        sent.set_result(None)
        return sent


def shell(kind: type[AccountsTask], app: App) -> Any:
    return shell_of(app, kind(2, lambda *given: Recording(), Inline()), "requests", state_partitions=2)


@pytest.mark.parametrize("revoked", [False, True])
def test_a_checkpoint_that_completes_after_the_assignment_commits_nothing(revoked: bool) -> None:
    async def run() -> None:
        app = App()
        made = shell(AccountsTask, app)
        await made.load({0: {}})
        saving = asyncio.ensure_future(made.live[REQUESTS].checkpoint())
        for _ in range(5):
            await asyncio.sleep(0)
        if revoked:
            made.drop()
        app.go.set()
        await saving
        assert app.writes == 1
        assert app.committed == ([] if revoked else [0])

    asyncio.run(run())


def test_a_revocation_while_partitions_load_drops_all_of_them() -> None:
    """Faust does not stop the loading, and a named member may keep its generation."""

    async def run() -> None:
        made = shell(Waiting, App())
        loading = asyncio.ensure_future(made.load({0: {}, 1: {}}))
        await made.task.starting.wait()
        (first,) = made.live.values()
        made.drop()
        made.task.go.set()
        await loading
        assert first.ended
        assert made.live == {}

    asyncio.run(run())
