"""Checkpoints: after any interruption and any late write, a complete state is found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.engine.checkpoint import META_BYTES, PART_BYTES, Checkpoints, delete
from pivotwatch.engine.checkpoint_format import (
    FINAL,
    STATE_VERSION,
    Epoch,
    Identity,
    Snapshot,
    StateRefused,
    latest,
)

HERE = Identity("accounts", 4, "0123456789abcdef")


class Crash(Exception):
    """The process is killed at this point."""


class Log:
    """A changelog partition in memory, which can fail after a number of writes."""

    def __init__(self, stored: dict[bytes, bytes] | None = None, dies_after: int | None = None) -> None:
        self.stored = {} if stored is None else stored
        self.left = dies_after
        self.writes: list[tuple[bytes, bytes | None]] = []

    async def send(self, key: bytes, value: bytes | None) -> Awaitable[object]:
        if self.left is not None:
            if self.left == 0:
                raise Crash
            self.left -= 1
        self.writes.append((key, value))
        if value is None:
            self.stored.pop(key, None)
        else:
            self.stored[key] = value
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class Owner:
    """A worker: the state that it found, and a state that depends only on the offset."""

    def __init__(self, log: Log, name: str, generation: int = 1, shards: int = 3) -> None:
        self.acknowledged: list[int] = []
        self.found = latest(log.stored, HERE)
        self.offset = self.found.offset if self.found else 0
        self.shards = shards
        self.checkpoints = Checkpoints(
            log, HERE, Epoch(generation, name), set(log.stored), self.acknowledged.append
        )

    async def save(self, advance: int = 1) -> None:
        before = state(self.offset, self.shards)
        self.offset += advance
        now = state(self.offset, self.shards)
        dirty = {s: v for s, v in now.items() if not self.checkpoints.begun or before[s] != v}
        await self.checkpoints.save(Snapshot(self.offset, meta(self.offset), dirty), [])


def state(offset: int, shards: int = 3) -> dict[int, bytes]:
    """Shard ``s`` changes at every ``s + 1``-th offset."""
    return {shard: b"%d" % (offset // (shard + 1)) for shard in range(shards)}


def meta(offset: int) -> bytes:
    """Metadata; some of it does not fit into a manifest."""
    return b"meta %d" % offset + b"." * META_BYTES * (offset % 3 == 1)


def assert_whole(found: Snapshot | None) -> None:
    if found is not None:
        assert found.shards == state(found.offset)
        assert found.meta == meta(found.offset)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4)), min_size=1, max_size=8))
def test_a_crash_after_any_write_leaves_a_complete_state(lives: list[tuple[int, int]]) -> None:
    async def run() -> None:
        stored: dict[bytes, bytes] = {}
        acknowledged = 0
        for number, (writes, saves) in enumerate(lives):
            owner = Owner(Log(stored, dies_after=writes), f"o{number}", generation=number)
            assert_whole(owner.found)
            assert owner.offset >= acknowledged
            try:
                for _ in range(saves):
                    await owner.save()
            except Crash:
                pass
            acknowledged = max([acknowledged, *owner.acknowledged])
        found = latest(stored, HERE)
        assert_whole(found)
        assert (found.offset if found else 0) >= acknowledged

    asyncio.run(run())


@given(st.data())
def test_late_writes_of_a_worker_that_lost_its_partition_do_no_harm(data: st.DataObject) -> None:
    async def run() -> None:
        stored: dict[bytes, bytes] = {}
        first = Owner(Log(stored), "first", generation=1)
        await first.save()
        # The stalled worker continues from the same state, on its own log.
        stalled_log = Log(dict(stored))
        stalled = Owner(stalled_log, "stalled", generation=2)
        new = Owner(Log(stored), "new", generation=3)
        for _ in range(data.draw(st.integers(1, 3))):
            await stalled.save()
        late = stalled_log.writes[: data.draw(st.integers(0, len(stalled_log.writes)))]
        while late:
            taken = data.draw(st.integers(1, len(late)))
            for key, value in late[:taken]:
                stored.pop(key, None) if value is None else stored.update({key: value})
            late = late[taken:]
            await new.save()
            found = latest(stored, HERE)
            assert_whole(found)
            assert found
            assert found.offset >= new.offset

    asyncio.run(run())


def test_the_order_of_a_checkpoint() -> None:
    async def run() -> None:
        log = Log({b"0.old/marker": _foreign_manifest(log_of=HERE), b"0.old/0.0.0": b"\0" * 7 + b"\1x"})
        done: list[int] = []
        checkpoints = Checkpoints(log, HERE, Epoch(1, "me"), set(log.stored), done.append)
        output: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        saving = asyncio.create_task(checkpoints.save(Snapshot(7, b"", {0: b"a", 1: b"b"}), [output]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert log.writes == [], "nothing is written before the outputs are acknowledged"
        output.set_result(None)
        await saving
        assert [key for key, _ in log.writes] == [
            b"1.me/0.0.0",
            b"1.me/1.0.0",
            b"1.me/marker",
            b"0.old/marker",
            b"0.old/0.0.0",
        ]
        assert done == [7]
        log.writes.clear()
        await checkpoints.save(Snapshot(9, b"", {1: b"c"}), [])
        assert [key for key, _ in log.writes] == [b"1.me/1.1.0", b"1.me/marker"]
        assert latest(log.stored, HERE) == Snapshot(9, b"", {0: b"a", 1: b"c"})

    asyncio.run(run())


def test_a_meta_of_any_length_fits_and_a_decision_keeps_it() -> None:
    async def run() -> None:
        log = Log()
        checkpoints = Checkpoints(log, HERE, Epoch(1, "me"), (), lambda offset: None)
        for offset, long in enumerate([b"m" * 2_500_000, b"short", b"n" * META_BYTES]):
            await checkpoints.save(Snapshot(offset, long, {0: b"a"}), [])
            await checkpoints.decide(decision=offset)
            assert latest(log.stored, HERE) == Snapshot(offset, long, {0: b"a"}, decision=offset)
        assert max(len(value or b"") for _, value in log.writes) < 1_000_000
        assert len(log.stored) == 3, "the manifest, and both slots of the shard"

    asyncio.run(run())


def test_a_failed_output_leaves_the_last_checkpoint() -> None:
    async def run() -> None:
        log = Log()
        owner = Owner(log, "me")
        await owner.save()
        failed: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        failed.set_exception(ConnectionError("lost"))
        with pytest.raises(ConnectionError):
            await owner.checkpoints.save(Snapshot(9, b"", {}), [failed])
        found = latest(log.stored, HERE)
        assert found
        assert found.offset == 1

    asyncio.run(run())


def test_decisions_are_stored_with_the_state_that_they_refer_to() -> None:
    async def run() -> None:
        log = Log()
        owner = Owner(log, "me")
        await owner.save()
        await owner.checkpoints.decide(decision=FINAL, pending=True)
        found = latest(log.stored, HERE)
        assert found
        assert (found.offset, found.decision, found.pending) == (1, FINAL, True)
        await owner.checkpoints.decide(pins=b"pins\n", controls={"releases": 3}, fence=12)
        found = latest(log.stored, HERE)
        assert found
        assert (found.pins, found.controls, found.fence, found.meta) == (
            b"pins\n",
            {"releases": 3},
            12,
            meta(1),
        )

    asyncio.run(run())


def test_a_shard_of_any_size_is_written_in_parts_and_an_empty_one_not_at_all() -> None:
    async def run() -> None:
        log = Log()
        checkpoints = Checkpoints(log, HERE, Epoch(1, "me"), (), lambda offset: None)
        big = bytes(range(256)) * (PART_BYTES // 100)
        for shard in (big, b"small again", big, big + b"x"):
            await checkpoints.save(Snapshot(1, b"", {0: shard}), [])
            assert all(len(value or b"") < 1_000_000 for _, value in log.writes)
            found = latest(log.stored, HERE)
            assert found
            assert found.shards == {0: shard}
        await checkpoints.save(Snapshot(2, b"", {0: b"", 1: b"one", 2: b""}), [])
        found = latest(log.stored, HERE)
        assert found
        assert found.shards == {1: b"one"}
        assert set(log.stored) == {b"1.me/1.0.0", b"1.me/marker"}

    asyncio.run(run())


def _foreign_manifest(log_of: Identity = HERE, **head: Any) -> bytes:
    """A manifest of an empty state, written by another worker."""
    body: dict[str, Any] = {
        "version": 1,
        "step": log_of.role,
        "partitions": log_of.partitions,
        "settings": log_of.settings,
        "epoch": [0, "old"],
        "offset": 5,
        "decision": -1,
        "pending": False,
        "controls": {},
        "fence": 0,
        "pins": 0,
        "slots": [],
    }
    return orjson.dumps({**body, **head}) + b"\n"


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (_foreign_manifest(version=STATE_VERSION + 1), "install the newer program"),
        (_foreign_manifest(partitions=8), "made with 8 partitions"),
        (_foreign_manifest(settings="ffff"), "under settings ffff"),
        (_foreign_manifest(step="networks"), "made by networks"),
        (_foreign_manifest(slots=[[0, 0, 1, 1]]), "no manifest in the changelog is complete"),
    ],
)
def test_a_state_that_must_not_be_continued_is_refused(manifest: bytes, says: str) -> None:
    with pytest.raises(StateRefused, match=says) as refused:
        latest({b"0.old/marker": manifest}, HERE)
    assert "--reset-state" in str(refused.value)


def test_no_manifest_is_no_state() -> None:
    found: Mapping[bytes, bytes] = {b"0.old/0.0.0": b"begun, never finished"}
    assert latest(found, HERE) is None


def test_a_reset_deletes_the_manifests_first() -> None:
    async def run() -> None:
        log = Log({b"0.a/0.0.0": b"", b"0.a/marker": b"", b"0.b/marker": b""})
        await delete(log, list(log.stored))
        assert [key for key, _ in log.writes][-1] == b"0.a/0.0.0"
        assert log.stored == {}

    asyncio.run(run())
