"""What a decision waits for: the proof that the partition was still ours after the marker was written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams.agents.networks import NetworksPartition
from streams.checkpoint import Checkpoints
from streams.chunks import Chunk
from streams.live import LivePartition
from streams.marker import FINAL, Epoch, Identity, Snapshot, latest
from streams.outbox import Outbox
from streams.steps.contract import Output
from tests.engine.test_checkpoint import Log
from tests.engine.test_fetch import record

HERE = Identity("networks", 1, "")


class Recording:
    """Says which control records it had for which records."""

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

    def restore(self, meta: bytes, shards: Any) -> None: ...


class Group:
    """Answers whether the assignment is in force; None is no answer, and then the assignment ends."""

    def __init__(self, log: Log, answers: list[bool]) -> None:
        self.log = log
        self.answers = answers
        self.written: list[int] = []
        self.live: LivePartition[Any] | None = None

    async def is_ours(self) -> bool:
        self.written.append(len(self.log.writes))
        if self.answers:
            return self.answers.pop(0)
        assert self.live is not None
        self.live.end()
        return False


def made(kind: type[LivePartition[Any]], answers: list[bool]) -> tuple[Any, Group, Log]:
    log = Log()
    group = Group(log, answers)
    live = kind(
        Recording(),
        partition=0,
        generation=1,
        checkpoints=Checkpoints(log, HERE, Epoch(1, "me"), (), lambda offset: None),
        outbox=Outbox(None, str, lambda error: None),
        snapshot=Snapshot(0, b"", {}),
        is_ours=group.is_ours,
    )
    live.begin(0, 99, None)
    group.live = live
    return live, group, log


def test_buckets_are_scored_only_once_the_group_has_answered_after_the_marker() -> None:
    live, group, log = made(NetworksPartition, [False, True])
    asyncio.run(live.take(Chunk([record(0), record(1)], -1, 0)))
    assert live.step.seen == [0, 1]
    assert group.written == [1, 1], "the marker was on the broker before the group was asked"
    found = latest(log.stored, HERE)
    assert found
    assert (found.fence, found.pins) == (2, b"pins")


def test_a_worker_that_lost_its_partition_scores_nothing_more() -> None:
    live, _, _ = made(NetworksPartition, [])
    asyncio.run(live.take(Chunk([record(0)], -1, 0)))
    assert live.step.seen == []
    assert live.offset == 0


@pytest.mark.parametrize(("answers", "acts"), [([True], [FINAL]), ([], [])])
def test_so_does_a_decision_without_input(answers: list[bool], acts: list[int]) -> None:
    live, _, _ = made(LivePartition, answers)
    acted: list[int] = []

    def act(decision: int) -> list[Output]:
        acted.append(decision)
        return []

    asyncio.run(live.decide(lambda: FINAL, act))
    assert acted == acts
    assert (live.decision == FINAL) == bool(acts)
