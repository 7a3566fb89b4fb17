"""Checkpoints: exact state on top of at-least-once delivery.

The state of a partition lives in memory. A checkpoint writes it to the partition of a
compacted changelog: the shards that changed, each into one of its two *slots*, and a *marker*
that names for the whole partition the slot of every shard and the input offset that the
snapshot includes. The order is the contract:

1. Await every record sent to other topics: no state may be ahead of a lost output.
2. Write the changed shards, each to the slot that the last marker does not name; await them.
3. Write the marker; await it. From here on this checkpoint counts.
4. Acknowledge the input up to the marker's offset.
5. After the first checkpoint of an epoch, delete what other epochs left: their markers,
   then their shards.

A crash before 3 leaves the last marker with all its slots untouched; a crash after it costs
repeats of nothing, because the marker's offset, not the group's, says where to read on.

Every assignment of a partition opens an *epoch* with keys of its own, so that the late write
of a worker that lost the partition cannot replace what the new owner wrote. Of the complete
markers the one with the highest (offset, decision, fence, epoch) counts. Decisions that do not
follow from the input (an idle bucket, the end, control records in use) are written into the
marker *before* they take effect, so that a restart repeats them.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import orjson

from streams.errors import WrongUse

STATE_VERSION = 1
PART_BYTES = 900_000
"""A shard is written in parts of this size: a Kafka record ends at about 1 MB."""

UNDECIDED = -1
FINAL = 2**62
"""The decision that the input has ended; above every bucket."""

_MARKER = b"marker"
_SEQ_BYTES = 8


class StateRefused(WrongUse):
    """There is a state, but this worker must not continue it."""


class Epoch(NamedTuple):
    """One assignment of a partition to one worker: the group's generation and a random name."""

    generation: int
    owner: str

    def key(self, name: bytes) -> bytes:
        """A changelog key of this epoch."""
        return b"%d.%s/%s" % (self.generation, self.owner.encode(), name)


class Slot(NamedTuple):
    """Where a shard was written: slot 0 or 1, by which write, in how many parts."""

    slot: int
    seq: int
    parts: int

    def names(self, shard: int) -> list[bytes]:
        """Key names of the parts."""
        return [b"%d.%d.%d" % (shard, self.slot, part) for part in range(self.parts)]


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """What a state was made with; results would differ under another one.

    Attributes
    ----------
    step
        Which step it belongs to.
    partitions
        Number of partitions of the input.
    settings
        Fingerprint of the settings that decide results.
    """

    step: str
    partitions: int
    settings: str


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a partition at one moment.

    Attributes
    ----------
    offset
        The first input offset that is not included.
    meta, pins
        As the step gives them.
    shards
        Shard number to state; when it is written, of the shards changed since the last write.
    decision
        The latest decision (`UNDECIDED`, a bucket, `FINAL`, or a count of control records).
    pending
        The decision is made but not part of the snapshot yet.
    controls
        For each control topic the next offset to read.
    fence
        Input before this offset may have been processed already, with ``pins`` and no newer
        control records; after a restart it must be processed with the same.
    """

    offset: int
    meta: bytes
    shards: Mapping[int, bytes]
    pins: bytes = b""
    decision: int = UNDECIDED
    pending: bool = False
    controls: Mapping[str, int] = dataclasses.field(default_factory=dict)
    fence: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Marker:
    """The record that makes a checkpoint complete: a snapshot with slots for the shards' contents."""

    identity: Identity
    epoch: Epoch
    snapshot: Snapshot
    slots: Mapping[int, Slot]

    @property
    def rank(self) -> tuple[int, int, int, bool, Epoch]:
        """Of several complete markers the highest counts."""
        snapshot = self.snapshot
        return (snapshot.offset, snapshot.decision, snapshot.fence, not snapshot.pending, self.epoch)

    def encode(self) -> bytes:
        """One line of JSON, then the step's bytes."""
        snapshot = self.snapshot
        head = {
            "version": STATE_VERSION,
            **dataclasses.asdict(self.identity),
            "epoch": list(self.epoch),
            "offset": snapshot.offset,
            "decision": snapshot.decision,
            "pending": snapshot.pending,
            "controls": dict(snapshot.controls),
            "fence": snapshot.fence,
            "pins": len(snapshot.pins),
            "slots": [[shard, *slot] for shard, slot in sorted(self.slots.items())],
        }
        return orjson.dumps(head) + b"\n" + snapshot.pins + snapshot.meta

    @classmethod
    def decode(cls, raw: bytes) -> Marker:
        """Read a marker.

        Raises
        ------
        StateRefused
            When a newer version wrote it.
        """
        line, _, rest = raw.partition(b"\n")
        head: dict[str, Any] = orjson.loads(line)
        if head["version"] > STATE_VERSION:
            raise StateRefused(
                f"the state was written in version {head['version']}, this program reads up to "
                f"{STATE_VERSION}: install the newer program, or start with --reset-state"
            )
        snapshot = Snapshot(
            offset=head["offset"],
            meta=rest[head["pins"] :],
            shards={},
            pins=rest[: head["pins"]],
            decision=head["decision"],
            pending=head["pending"],
            controls=head["controls"],
            fence=head["fence"],
        )
        return cls(
            identity=Identity(head["step"], head["partitions"], head["settings"]),
            epoch=Epoch(*head["epoch"]),
            snapshot=snapshot,
            slots={shard: Slot(*slot) for shard, *slot in head["slots"]},
        )


def latest(stored: Mapping[bytes, bytes], identity: Identity) -> Snapshot | None:
    """The snapshot that counts, with all its shards, or None when there never was one.

    Parameters
    ----------
    stored
        The partition of the changelog, key to value.
    identity
        What the worker is.

    Raises
    ------
    StateRefused
        When the state is damaged, or was made with something else.
    """
    markers = [Marker.decode(raw) for key, raw in stored.items() if key.endswith(b"/" + _MARKER)]
    if not markers:
        return None
    for marker in sorted(markers, key=lambda marker: marker.rank, reverse=True):
        shards = _collect(stored, marker)
        if shards is not None:
            _check(marker.identity, identity)
            return dataclasses.replace(marker.snapshot, shards=shards)
    raise StateRefused(
        "no marker of the changelog is complete: records are missing from it "
        "(its cleanup.policy must be compact); start with --reset-state to count anew"
    )


def _collect(stored: Mapping[bytes, bytes], marker: Marker) -> dict[int, bytes] | None:
    shards = {}
    for shard, slot in marker.slots.items():
        parts = [stored.get(marker.epoch.key(name), b"") for name in slot.names(shard)]
        written = slot.seq.to_bytes(_SEQ_BYTES)
        if not all(part.startswith(written) for part in parts):
            return None
        shards[shard] = b"".join(part[_SEQ_BYTES:] for part in parts)
    return shards


def _check(found: Identity, wanted: Identity) -> None:
    again = "start with --reset-state to count anew from what the topic still holds"
    if found.partitions != wanted.partitions:
        raise StateRefused(
            f"the state was made with {found.partitions} partitions of the input, now there are "
            f"{wanted.partitions}: keys live in other partitions now; {again}"
        )
    if found != wanted:
        raise StateRefused(
            f"the state was made by {found.step} under settings {found.settings}, now it is "
            f"{wanted.step} under {wanted.settings}: go back to the settings of before, or {again}"
        )


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
        self._leftovers = leftovers
        self._acknowledge = acknowledge
        self._marker: Marker | None = None
        self._seq = 0

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
        slots.update(await self._write_shards(snapshot.shards, slots))  # 2
        await self._write_marker(dataclasses.replace(snapshot, shards={}), slots)  # 3
        self._acknowledge(snapshot.offset)  # 4
        await self._delete_leftovers()  # 5

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
        head = self._seq.to_bytes(_SEQ_BYTES)
        written, sent = {}, []
        for shard, state in sorted(shards.items()):
            before = slots.get(shard)
            slot = Slot(
                slot=1 - before.slot if before else 0,
                seq=self._seq,
                parts=max(1, -(-len(state) // PART_BYTES)),
            )
            for part, name in enumerate(slot.names(shard)):
                value = head + state[part * PART_BYTES : (part + 1) * PART_BYTES]
                sent.append(await self._changelog.send(self._epoch.key(name), value))
            written[shard] = slot
        await settled(sent)
        return written

    async def _write_marker(self, snapshot: Snapshot, slots: Mapping[int, Slot]) -> None:
        marker = Marker(self._identity, self._epoch, snapshot, slots)
        await settled([await self._changelog.send(self._epoch.key(_MARKER), marker.encode())])
        self._marker = marker

    async def _delete_leftovers(self) -> None:
        if self._leftovers:
            await delete(self._changelog, self._leftovers)
            self._leftovers = ()


async def delete(changelog: Changelog, keys: Collection[bytes]) -> None:
    """Delete keys of a changelog, markers first: a marker never outlives its shards."""
    markers = [key for key in keys if key.endswith(b"/" + _MARKER)]
    await settled([await changelog.send(key, None) for key in markers])
    await settled([await changelog.send(key, None) for key in keys if key not in set(markers)])


async def settled(sent: Iterable[Awaitable[object]]) -> None:
    """Wait until every record is on the broker; the first failure is raised."""
    pending = [asyncio.ensure_future(future) for future in sent]
    if pending:
        await asyncio.wait(pending)
    for future in pending:
        future.result()
