"""Checkpoints: exact state on top of at-least-once delivery.

The state of a partition lives in memory. A checkpoint writes it to the partition of a
compacted changelog: the shards that changed, each into one of its two *slots*, and a *marker*
that names for the whole partition the slot of every shard and the input offset that the
snapshot includes. The order is the contract:

1. Await every record sent to other topics: no state may be ahead of a lost output.
2. Write the changed shards, each to the slot that the last marker does not name; await them.
3. Write the marker; await it. From here on this checkpoint counts.
4. Acknowledge the input up to the marker's offset.
5. Delete what the marker made useless: shards that are no more and, after the first
   checkpoint of an epoch, what other epochs left: their markers, then their shards.

A crash before 3 leaves the last marker with all its slots untouched; a crash after it costs
repeats of nothing, because the marker's offset, not the group's, says where to read on.

Every assignment of a partition opens an *epoch* with keys of its own, so that the late write
of a worker that lost the partition cannot replace what the new owner wrote. Of the complete
markers the one with the highest (offset, decision, fence, not pending, epoch) counts. Decisions
that do not follow from the input (an idle bucket, the end, control records in use) are written
into the marker *before* they take effect, and do so only if the assignment is still in force
then (`PartitionTask.confirmed`), so that a restart, or whoever comes next, repeats them.

What breaks off in the middle of one of these steps is an exception, and ends the process: the
step has given its changed shards away, so nothing more of it may be saved (`PartitionTask.save`).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

from pivotwatch.engine.checkpoint_format import MARKER, META, Epoch, Identity, Manifest, Slot, Snapshot

PART_BYTES = 900_000
"""A shard is written in parts of this size: a Kafka record ends at about 1 MB."""
META_BYTES = 100_000
"""A longer ``meta`` (groups of a million late events) becomes a shard: a marker is one record."""


TIMES_COST = 12
"""A checkpoint comes no sooner than so many times what the last ones cost: making them takes a twelfth of the
time at most, which leaves something for sending them."""
LONGEST_INTERVALS = 6
"""But no later than so many intervals, whatever it costs: for so long is read again after a crash."""


def spacing(interval: float, costs: Iterable[float]) -> float:
    """Seconds from one checkpoint of a partition to its next.

    Parameters
    ----------
    interval
        As configured.
    costs
        What the last checkpoint of each partition of this worker cost, in seconds.

    Examples
    --------
    Four partitions of a thousand accounts each; of a quarter million; of many millions.

    >>> [round(spacing(10, [cost] * 4)) for cost in (0.005, 0.8, 5.0)]
    [10, 38, 60]
    """
    return min(max(interval, TIMES_COST * sum(costs)), LONGEST_INTERVALS * interval)


class Changelog(Protocol):
    """The partition of the changelog that a `Checkpoints` writes to."""

    async def send(self, key: bytes, value: bytes | None) -> Awaitable[object]:
        """Send a record (None deletes the key); the result is done when the broker has it."""


class Checkpoints:
    """Writes the checkpoints of one partition in one epoch.

    Parameters
    ----------
    changelog
        Where to.
    identity, epoch
        What the state is made with, and by whom.
    leftovers
        Keys that other epochs left.
    acknowledge
        Called with the offset of every complete checkpoint.
    """

    def __init__(
        self,
        changelog: Changelog,
        identity: Identity,
        epoch: Epoch,
        leftovers: Collection[bytes],
        acknowledge: Callable[[int], None],
    ) -> None:
        self._changelog = changelog
        self._identity = identity
        self._epoch = epoch
        self._useless = set(leftovers)
        self._acknowledge = acknowledge
        self._marker: Manifest | None = None
        self._seq = 0
        self._keys: dict[int, set[bytes]] = defaultdict(set)

    @property
    def begun(self) -> bool:
        """Is there a checkpoint of this epoch? The first one must hold every shard."""
        return self._marker is not None

    async def save(self, snapshot: Snapshot, outputs: Iterable[Awaitable[object]]) -> None:
        """Write a checkpoint, in the order of the contract above.

        Parameters
        ----------
        snapshot
            With the shards that changed since the last `save` (all of them, the first time).
        outputs
            Records sent because of the input that the snapshot includes.
        """
        await settled(outputs)  # 1
        slots = dict(self._marker.slots) if self._marker else {}
        shards, meta = {**snapshot.shards, META: b""}, snapshot.meta
        if len(meta) > META_BYTES:
            shards[META], meta = meta, b""
        written = {shard: state for shard, state in shards.items() if state}
        slots.update(await self._write_shards(written, slots))  # 2
        for shard in shards.keys() - written.keys():
            slots.pop(shard, None)
            self._useless |= self._keys.pop(shard, set())
        await self._write_marker(dataclasses.replace(snapshot, meta=meta, shards={}), slots)  # 3
        self._acknowledge(snapshot.offset)  # 4
        useless, self._useless = self._useless, set()
        await delete(self._changelog, useless)  # 5

    async def decide(self, **changes: Any) -> None:
        """Change the last marker, but for its state; what is decided may take effect afterwards.

        Parameters
        ----------
        changes
            Of the attributes of `Snapshot`.
        """
        assert self._marker is not None, "a decision stands on a checkpoint of this epoch"
        await self._write_marker(dataclasses.replace(self._marker.snapshot, **changes), self._marker.slots)

    async def _write_shards(self, shards: Mapping[int, bytes], slots: Mapping[int, Slot]) -> dict[int, Slot]:
        self._seq += 1
        written, sent = {}, []
        for shard, state in sorted(shards.items()):
            before = slots.get(shard)
            slot = Slot(
                slot=1 - before.slot if before else 0,
                seq=self._seq,
                parts=-(-len(state) // PART_BYTES),
            )
            for part, name in enumerate(slot.names(shard)):
                key = self._epoch.key(name)
                self._keys[shard].add(key)
                value = slot.head + state[part * PART_BYTES : (part + 1) * PART_BYTES]
                sent.append(await self._changelog.send(key, value))
            written[shard] = slot
        await settled(sent)
        return written

    async def _write_marker(self, snapshot: Snapshot, slots: Mapping[int, Slot]) -> None:
        marker = Manifest(self._identity, self._epoch, snapshot, slots)
        await settled([await self._changelog.send(self._epoch.key(MARKER), marker.encode())])
        self._marker = marker


async def delete(changelog: Changelog, keys: Collection[bytes]) -> None:
    """Delete keys of a changelog, markers first: a marker never outlives its shards."""
    markers = {key for key in keys if key.endswith(b"/" + MARKER)}
    for some in (markers, set(keys) - markers):
        await settled([await changelog.send(key, None) for key in sorted(some)])


async def settled(sent: Iterable[Awaitable[object]]) -> None:
    """Wait until every record is on the broker; the first failure is raised."""
    pending = [asyncio.ensure_future(future) for future in sent]
    if pending:
        await asyncio.wait(pending)
    for future in pending:
        future.result()
