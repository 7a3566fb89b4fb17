"""Checkpoints: exact state on top of at-least-once delivery.

The state of a partition lives in memory. A checkpoint writes it to one partition of a compacted
changelog: the shards that changed, each into one of its two *slots*, and a *manifest*, which names the
slot of every shard and the input offset that the state includes. The order is the contract:

1. Await every record sent to other topics: no state may be ahead of a lost output.
2. Write the changed shards, each to the slot that the last manifest does not name. Await them.
3. Write the manifest. Await it. From now on this checkpoint counts.
4. Acknowledge the input up to the offset of the manifest.
5. Delete what the manifest made obsolete: removed shards and, after the first checkpoint of an epoch, the
   keys of other epochs, manifests before shards.

A crash before 3 leaves the last manifest with all its slots untouched. A crash after 3 repeats nothing,
because the worker continues at the offset of the manifest, not at that of the group.

Every assignment of a partition is an *epoch* with keys of its own, so a late write of a worker that lost
the partition cannot replace what the new owner wrote. Of the complete manifests, the one with the highest
(offset, decision, fence, not pending, epoch) counts.

Decisions that do not follow from the input (an idle bucket, the end, control records in use) are written
into the manifest *before* they take effect, and take effect only if the assignment is still in force
(`PartitionTask.confirmed`). So a restarted worker, or the next owner, repeats them.

An exception in one of these steps ends the process. The operator has handed over its changed shards by
then, so nothing more of it may be saved (`PartitionTask.save`).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

from pivotwatch.engine.checkpoint_format import MANIFEST, META, Epoch, Identity, Manifest, Slot, Snapshot

PART_BYTES = 890_000
"""Longest part of a shard: with key and head it stays below 900 kB. Kafka accepts about 1 MB."""
META_BYTES = 100_000
"""A longer ``meta`` (groups of a million late events) becomes a shard: a manifest is one Kafka record."""

TIMES_COST = 12
"""Shortest distance of checkpoints as a multiple of their cost: they take at most a twelfth of the time."""
LONGEST_INTERVALS = 6
"""Longest distance of checkpoints in intervals, whatever they cost: a crash repeats that much."""


def spacing(interval: float, costs: Iterable[float]) -> float:
    """Seconds from one checkpoint of a partition to the next.

    Parameters
    ----------
    interval
        The configured interval, in seconds.
    costs
        CPU seconds of the last checkpoint of each partition of this worker.

    Examples
    --------
    Four partitions with a thousand accounts each; with a quarter million; with many millions.

    >>> [round(spacing(10, [cost] * 4)) for cost in (0.005, 0.8, 5.0)]
    [10, 38, 60]
    """
    return min(max(interval, TIMES_COST * sum(costs)), LONGEST_INTERVALS * interval)


class Changelog(Protocol):
    """The partition of the changelog that a `Checkpoints` writes to."""

    async def send(self, key: bytes, value: bytes | None) -> Awaitable[object]:
        """Send a record (None deletes the key). The result is done when the broker has it."""


class Checkpoints:
    """Writes the checkpoints of one partition in one epoch.

    Parameters
    ----------
    changelog
        Stores them.
    identity, epoch
        What the state depends on, and who writes it.
    leftovers
        Keys of other epochs.
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
        self._obsolete = set(leftovers)
        self._acknowledge = acknowledge
        self._manifest: Manifest | None = None
        self._seq = 0
        self._keys: dict[int, set[bytes]] = defaultdict(set)

    @property
    def begun(self) -> bool:
        """Whether this epoch has a checkpoint. The first one must hold every shard."""
        return self._manifest is not None

    async def save(self, snapshot: Snapshot, outputs: Iterable[Awaitable[object]]) -> None:
        """Write a checkpoint, in the order of the contract above.

        Parameters
        ----------
        snapshot
            Holds the shards that changed since the last `save` (all of them, the first time).
        outputs
            Futures of the records that were sent because of the input in the snapshot.
        """
        await settled(outputs)  # 1
        slots = dict(self._manifest.slots) if self._manifest else {}
        shards, meta = {**snapshot.shards, META: b""}, snapshot.meta
        if len(meta) > META_BYTES:
            shards[META], meta = meta, b""
        written = {shard: state for shard, state in shards.items() if state}
        slots.update(await self._write_shards(written, slots))  # 2
        for shard in shards.keys() - written.keys():
            slots.pop(shard, None)
            self._obsolete |= self._keys.pop(shard, set())
        await self._write_manifest(dataclasses.replace(snapshot, meta=meta, shards={}), slots)  # 3
        self._acknowledge(snapshot.offset)  # 4
        obsolete, self._obsolete = self._obsolete, set()
        await delete(self._changelog, obsolete)  # 5

    async def decide(self, **changes: Any) -> None:
        """Write the last manifest again with a decision, which may take effect afterwards.

        Parameters
        ----------
        changes
            Attributes of `Snapshot`; the state itself stays.
        """
        assert self._manifest is not None, "a decision needs a checkpoint of this epoch"
        await self._write_manifest(
            dataclasses.replace(self._manifest.snapshot, **changes), self._manifest.slots
        )

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

    async def _write_manifest(self, snapshot: Snapshot, slots: Mapping[int, Slot]) -> None:
        manifest = Manifest(self._identity, self._epoch, snapshot, slots)
        await settled([await self._changelog.send(self._epoch.key(MANIFEST), manifest.encode())])
        self._manifest = manifest


async def delete(changelog: Changelog, keys: Collection[bytes]) -> None:
    """Delete keys of a changelog, manifests first: no manifest may outlive its shards."""
    manifests = {key for key in keys if key.endswith(b"/" + MANIFEST)}
    for some in (manifests, set(keys) - manifests):
        await settled([await changelog.send(key, None) for key in sorted(some)])


async def settled(sent: Iterable[Awaitable[object]]) -> None:
    """Wait until the broker has every record; raise the first failure."""
    pending = [asyncio.ensure_future(future) for future in sent]
    if pending:
        await asyncio.wait(pending)
    for future in pending:
        future.result()
