"""When the state that a worker has read of its changelog is handed over."""

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
    """Keeps what it is handed."""

    def __init__(self) -> None:
        self.loaded: Loaded = []

    async def load(self, partitions: Mapping[int, Mapping[bytes, bytes]]) -> None:
        self.loaded.append(partitions)


class App(faust.App):
    """Keeps what it would have crashed with."""

    def __init__(self, crashed: list[BaseException]) -> None:
        super().__init__("test", store="memory://")
        self.crashed_with = crashed

    async def crash(self, reason: BaseException) -> None:
        self.crashed_with.append(reason)


class Case:
    """A table with one partition assigned, driven as Faust's recovery drives it."""

    def __init__(self) -> None:
        self.owner = Owner()
        self.crashed: list[BaseException] = []
        self.app: Any = App(self.crashed)
        self.table = CheckpointTable(self.app, owner=self.owner, name="state", partitions=1)
        self.app.tables.add(self.table)
        self.tp = TP(self.table.changelog_topic_name, 0)
        tables: Any = self.app.tables
        self.recovery = tables.recovery

    async def assign(self) -> None:
        await self.table.on_rebalance({self.tp}, set(), set())
        self.recovery.add_active(self.table, self.tp)

    def set_out(self, end: int) -> None:
        """The recovery begins to read, up to what is the end of the log now."""
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


def test_what_was_read_is_handed_over_without_what_was_deleted(case: Case) -> None:
    async def drive() -> Loaded:
        await case.assign()
        case.set_out(3)
        case.read(0, b"old")
        case.read(1, b"gone", key=b"x")
        case.read(2, b"new")
        case.read(3, None, key=b"x")
        return await case.complete()

    assert asyncio.run(drive()) == [{0: {b"k": b"new"}}]
    assert case.table.records_read == 4


def test_the_completion_of_an_assignment_that_has_ended_loads_nothing(case: Case) -> None:
    async def drive() -> Loaded:
        await case.assign()
        case.set_out(1)
        case.read(0, b"v")
        await case.assign()
        assert await case.complete() == []  # Faust has not looked at the log again yet.
        case.set_out(2)
        case.read(0, b"v")
        assert await case.complete() == []  # It is read in part.
        case.read(1, b"w")
        return await case.complete()

    assert asyncio.run(drive()) == [{0: {b"k": b"w"}}]


def test_a_log_that_is_empty_and_grows_meanwhile_is_complete(case: Case) -> None:
    """The writer before us, no longer of the group, may still write: nobody waits for that."""

    async def ends(*tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 65)

    async def drive() -> Loaded:
        await case.assign()
        case.set_out(0)
        case.app.__dict__["consumer"] = SimpleNamespace(highwaters=ends)
        return await case.complete()

    assert asyncio.run(drive()) == [{0: {}}]
