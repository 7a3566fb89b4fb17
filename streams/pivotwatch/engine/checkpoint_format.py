"""What a checkpoint looks like in the changelog, and which one counts.

How checkpoints are written, and in which order, is in streams/pivotwatch/engine/checkpoint.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec
import orjson

from pivotwatch.engine.state_migration import Migration, StateRefused, migrated

__all__ = [
    "FINAL",
    "MARKER",
    "UNDECIDED",
    "Epoch",
    "Identity",
    "Manifest",
    "Slot",
    "Snapshot",
    "StateRefused",
    "latest",
]

STATE_VERSION = 3
MIGRATIONS: dict[int, Migration] = {1: dict, 2: dict}
"""From a version of the marker's head to what makes the next one of it. Version 1 knew no shard `META`; up to
version 2 ``settings`` was a fingerprint of the settings alone (`Identity.earlier`)."""
UNDECIDED = -1
FINAL = 2**62
"""The decision that the input has ended; above every bucket."""

MARKER = b"marker"
META = 1 << 30
"""Number of the shard that holds a ``meta`` too long for the marker."""
MAX_PARTS = 100_000
AGAIN = "start with --reset-state to count anew from what the topic still holds"


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

    @property
    def head(self) -> bytes:
        """What every part begins with, so that parts of another write are not taken for it."""
        return self.seq.to_bytes(8)

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
        Fingerprint of what the state depends on.
    earlier
        Fingerprints that earlier programs gave to the same; a state with one of them is continued.
    """

    step: str
    partitions: int
    settings: str
    earlier: tuple[str, ...] = dataclasses.field(default=(), compare=False)


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
        Shard number to state; when it is written, of the shards changed since the last write,
        with an empty state for a shard that is no more.
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
class Manifest:
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
            "step": self.identity.step,
            "partitions": self.identity.partitions,
            "settings": self.identity.settings,
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
    def decode(cls, raw: bytes) -> Manifest:
        """Read a marker.

        Raises
        ------
        StateRefused
            When a newer version wrote it, or one that is too old, or it cannot be read.
        """
        line, _, rest = raw.partition(b"\n")
        try:
            found = {"version": msgspec.json.decode(line, type=_Versioned).version, **orjson.loads(line)}
            stored = migrated(found, "the state", version=STATE_VERSION, migrations=MIGRATIONS)
            head = msgspec.convert(stored, _Head)
        except (orjson.JSONDecodeError, msgspec.DecodeError, RecursionError) as error:
            raise StateRefused(f"a marker of the changelog cannot be read: {error}; {AGAIN}") from None
        snapshot = Snapshot(
            offset=head.offset,
            meta=rest[head.pins :],
            shards={},
            pins=rest[: head.pins],
            decision=head.decision,
            pending=head.pending,
            controls=head.controls,
            fence=head.fence,
        )
        return cls(
            identity=Identity(head.step, head.partitions, head.settings),
            epoch=head.epoch,
            snapshot=snapshot,
            slots={shard: Slot(*slot) for shard, *slot in head.slots},
        )


Count = Annotated[int, msgspec.Meta(ge=0)]


class _Versioned(msgspec.Struct):
    version: int


class _Head(msgspec.Struct):
    """The first line of a marker, as `Manifest.encode` writes it."""

    step: str
    partitions: int
    settings: str
    epoch: Epoch
    offset: Count
    decision: int
    pending: bool
    controls: dict[str, int]
    fence: Count
    pins: Count
    slots: list[
        tuple[
            Count,
            Annotated[int, msgspec.Meta(ge=0, le=1)],
            Count,
            Annotated[int, msgspec.Meta(ge=0, le=MAX_PARTS)],
        ]
    ]


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
    markers = [Manifest.decode(raw) for key, raw in stored.items() if key.endswith(b"/" + MARKER)]
    if not markers:
        return None
    for marker in sorted(markers, key=lambda marker: marker.rank, reverse=True):
        shards = _collect(stored, marker)
        if shards is not None:
            _check(marker.identity, identity)
            meta = shards.pop(META, marker.snapshot.meta)
            return dataclasses.replace(marker.snapshot, meta=meta, shards=shards)
    raise StateRefused(
        "no marker of the changelog is complete: records are missing from it "
        "(its cleanup.policy must be compact); start with --reset-state to count anew"
    )


def _collect(stored: Mapping[bytes, bytes], marker: Manifest) -> dict[int, bytes] | None:
    shards = {}
    for shard, slot in marker.slots.items():
        parts = [stored.get(marker.epoch.key(name), b"") for name in slot.names(shard)]
        if not all(part.startswith(slot.head) for part in parts):
            return None
        shards[shard] = b"".join(part.removeprefix(slot.head) for part in parts)
    return shards


def _check(found: Identity, wanted: Identity) -> None:
    if found.partitions != wanted.partitions:
        raise StateRefused(
            f"the state was made with {found.partitions} partitions of the input, now there are "
            f"{wanted.partitions}: keys live in other partitions now; {AGAIN}"
        )
    if found.step != wanted.step or found.settings not in (wanted.settings, *wanted.earlier):
        raise StateRefused(
            f"the state was made by {found.step} under settings {found.settings}, now it is "
            f"{wanted.step} under {wanted.settings}: go back to the settings of before, or {AGAIN}"
        )
