"""When a worker gets the state that was read from its changelog."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.types import TP

from pivotwatch.engine.changelog import CheckpointTable

Loaded = list[Mapping[int, Mapping[bytes, bytes]]]


class Owner:
    """Records the state that it gets."""

    def __init__(self) -> None:
        self.loaded: Loaded = []

    async def load(self, partitions: Mapping[int, Mapping[bytes, bytes]]) -> None:
        self.loaded.append(partitions)


class App(faust.App):
    """Records the error of a crash."""

    def __init__(self, crashed: list[BaseException]) -> None:
        super().__init__("test", store="memory://")
        self.crashed_with = crashed

    async def crash(self, reason: BaseException) -> None:
        self.crashed_with.append(reason)


class Case:
    """A table with one assigned partition, driven as by Faust's recovery."""

    def __init__(self) -> None:
        self.owner = Owner()
        self.crashed: list[BaseException] = []
        self.app: Any = App(self.crashed)
        self.table = CheckpointTable(self.app, owner=self.owner, settings={}, name="state", partitions=1)
        self.app.tables.add(self.table)
        self.tp = TP(self.table.changelog_topic_name, 0)
        tables: Any = self.app.tables
        self.recovery = tables.recovery

    async def assign(self) -> None:
        await self.table.on_rebalance({self.tp}, set(), set())
        self.recovery.add_active(self.table, self.tp)

    def begin_recovery(self, end: int) -> None:
        """Begin the recovery, which reads up to the current end of the log."""
        self.recovery.active_highwaters[self.tp] = end - 1
        self.recovery.active_offsets[self.tp] = -1

    def read(self, offset: int, value: bytes | None, key: bytes = b"k") -> None:
        self.recovery.active_offsets[self.tp] = offset
        message = SimpleNamespace(partition=0, key=key, value=value)
        self.table.apply_changelog_batch([SimpleNamespace(message=message)])

    async def complete(self) -> Loaded:
        await self.table.on_recovery_completed({self.tp}, set())
        assert not self.crashed
        return self.owner.loaded


@pytest.fixture
def case() -> Case:
    return Case()


def test_the_state_contains_what_was_read_without_deleted_keys(case: Case) -> None:
    async def drive() -> Loaded:
        await case.assign()
        case.begin_recovery(3)
        case.read(0, b"old")
        case.read(1, b"gone", key=b"x")
        case.read(2, b"new")
        case.read(3, None, key=b"x")
        return await case.complete()

    assert asyncio.run(drive()) == [{0: {b"k": b"new"}}]
    assert case.table.records_read == 4


def test_a_completion_after_the_end_of_the_assignment_loads_nothing(case: Case) -> None:
    async def drive() -> Loaded:
        await case.assign()
        case.begin_recovery(1)
        case.read(0, b"v")
        await case.assign()
        assert await case.complete() == []  # Faust has not checked the log again yet.
        case.begin_recovery(2)
        case.read(0, b"v")
        assert await case.complete() == []  # The log is partly read.
        case.read(1, b"w")
        return await case.complete()

    assert asyncio.run(drive()) == [{0: {b"k": b"w"}}]


def test_an_empty_log_that_grows_meanwhile_is_complete(case: Case) -> None:
    """A former owner outside the group may still write; recovery does not wait for its records."""

    async def ends(*tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 65)

    async def drive() -> Loaded:
        await case.assign()
        case.begin_recovery(0)
        case.app.__dict__["consumer"] = SimpleNamespace(highwaters=ends)
        return await case.complete()

    assert asyncio.run(drive()) == [{0: {}}]
