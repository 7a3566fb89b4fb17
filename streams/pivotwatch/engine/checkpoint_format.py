"""What a checkpoint looks like in the changelog, and which one counts.

`pivotwatch.engine.checkpoint` says in which order it is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec
import orjson

from pivotwatch.base.state_migration import Migration, StateRefused, migrated
from pivotwatch.engine.log_position import LogPosition

__all__ = [
    "FINAL",
    "MANIFEST",
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
"""Migrations of the head of a manifest, by version. Version 1 had no shard `META`. Up to version 2,
``settings`` was a fingerprint of the settings alone (`Identity.earlier`)."""
UNDECIDED = -1
FINAL = 2**62
"""The decision that the input has ended; greater than every bucket."""

MANIFEST = b"marker"
"""Name of the key of a manifest."""
META = 1 << 30
"""Number of the shard that holds a ``meta`` too long for the manifest."""
MAX_PARTS = 100_000
AGAIN = "start with --reset-state to count again from what the topic still holds"


class Epoch(NamedTuple):
    """One assignment of a partition to one worker: the group's generation and a random name."""

    generation: int
    owner: str

    def key(self, name: bytes) -> bytes:
        """A changelog key of this epoch."""
        return b"%d.%s/%s" % (self.generation, self.owner.encode(), name)


class Slot(NamedTuple):
    """Where a shard is stored: slot 0 or 1, the number of the write, and the number of parts."""

    slot: int
    seq: int
    parts: int

    @property
    def head(self) -> bytes:
        """The first bytes of every part, which distinguish it from parts of other writes."""
        return self.seq.to_bytes(8)

    def names(self, shard: int) -> list[bytes]:
        """Names of the keys of the parts."""
        return [b"%d.%d.%d" % (shard, self.slot, part) for part in range(self.parts)]


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """What a state depends on. Under another identity the results would differ.

    Attributes
    ----------
    role
        The role whose state it is.
    partitions
        Number of partitions of the input.
    settings
        Fingerprint of the settings and constants that the state depends on.
    earlier
        Fingerprints of the same settings in earlier programs; a state with one of them is continued.
    """

    role: str
    partitions: int
    settings: str
    earlier: tuple[str, ...] = dataclasses.field(default=(), compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a partition at one moment.

    Attributes
    ----------
    offset
        The first input offset that the state does not include.
    meta, pins
        Bytes of the operator.
    shards
        Shard number to state. In a checkpoint only the shards that changed since the last one, with an empty
        state for a removed shard.
    decision
        The latest decision (`UNDECIDED`, a bucket, `FINAL`, or a count of control records).
    pending
        Whether the decision is made but not part of the state yet.
    controls
        The next offset to read of each control topic.
    fence
        Input before this offset may have been processed with ``pins`` and no newer control records. After a
        restart it must be processed with the same ones.
    logs
        From topic to the log that was read, of the input and of the control topics. Earlier programs wrote
        none and pass over it, so it has no version of its own.
    """

    offset: int
    meta: bytes
    shards: Mapping[int, bytes]
    pins: bytes = b""
    decision: int = UNDECIDED
    pending: bool = False
    controls: Mapping[str, int] = dataclasses.field(default_factory=dict)
    fence: int = 0
    logs: Mapping[str, LogPosition] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """The record that completes a checkpoint: a snapshot, with slots in place of the shards."""

    identity: Identity
    epoch: Epoch
    snapshot: Snapshot
    slots: Mapping[int, Slot]

    @property
    def rank(self) -> tuple[int, int, int, bool, Epoch]:
        """The complete manifest with the highest rank counts."""
        snapshot = self.snapshot
        return (snapshot.offset, snapshot.decision, snapshot.fence, not snapshot.pending, self.epoch)

    def encode(self) -> bytes:
        """One line of JSON, then the bytes of the operator."""
        snapshot = self.snapshot
        head = {
            "version": STATE_VERSION,
            "step": self.identity.role,
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
        if snapshot.logs:
            head["logs"] = {topic: position.encoded() for topic, position in sorted(snapshot.logs.items())}
        return orjson.dumps(head) + b"\n" + snapshot.pins + snapshot.meta

    @classmethod
    def decode(cls, raw: bytes) -> Manifest:
        """Read a manifest.

        Raises
        ------
        StateRefused
            When it cannot be read, or its version is newer or too old.
        """
        line, _, rest = raw.partition(b"\n")
        try:
            found = {"version": msgspec.json.decode(line, type=_Versioned).version, **orjson.loads(line)}
            stored = migrated(found, "the state", version=STATE_VERSION, migrations=MIGRATIONS)
            head = msgspec.convert(stored, _Head)
        except (orjson.JSONDecodeError, msgspec.DecodeError, RecursionError) as error:
            raise StateRefused(f"a manifest in the changelog cannot be read: {error}; {AGAIN}") from None
        snapshot = Snapshot(
            offset=head.offset,
            meta=rest[head.pins :],
            shards={},
            pins=rest[: head.pins],
            decision=head.decision,
            pending=head.pending,
            controls=head.controls,
            fence=head.fence,
            logs=head.logs,
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
    """The first line of a manifest, as `Manifest.encode` writes it."""

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
    logs: dict[str, LogPosition] = {}


def latest(stored: Mapping[bytes, bytes], identity: Identity) -> Snapshot | None:
    """The snapshot that counts, with all its shards; None when the changelog has no manifest.

    Parameters
    ----------
    stored
        The partition of the changelog, key to value.
    identity
        The identity of this worker.

    Raises
    ------
    StateRefused
        When the state is damaged, or has another identity.
    """
    manifests = [Manifest.decode(raw) for key, raw in stored.items() if key.endswith(b"/" + MANIFEST)]
    if not manifests:
        return None
    for manifest in sorted(manifests, key=lambda manifest: manifest.rank, reverse=True):
        shards = _collect(stored, manifest)
        if shards is not None:
            _check(manifest.identity, identity)
            meta = shards.pop(META, manifest.snapshot.meta)
            return dataclasses.replace(manifest.snapshot, meta=meta, shards=shards)
    raise StateRefused(
        "no manifest in the changelog is complete: records of the changelog are missing "
        "(its cleanup.policy must be compact); start with --reset-state to count again"
    )


def _collect(stored: Mapping[bytes, bytes], manifest: Manifest) -> dict[int, bytes] | None:
    """The shards that a manifest names; None when one is incomplete."""
    shards = {}
    for shard, slot in manifest.slots.items():
        parts = [stored.get(manifest.epoch.key(name), b"") for name in slot.names(shard)]
        if not all(part.startswith(slot.head) for part in parts):
            return None
        shards[shard] = b"".join(part.removeprefix(slot.head) for part in parts)
    return shards


def _check(found: Identity, wanted: Identity) -> None:
    if found.partitions != wanted.partitions:
        raise StateRefused(
            f"the state was made with {found.partitions} partitions of the input, now there are "
            f"{wanted.partitions}, and accounts are in other partitions; {AGAIN}"
        )
    if found.role != wanted.role or found.settings not in (wanted.settings, *wanted.earlier):
        raise StateRefused(
            f"the state was made by {found.role} under settings {found.settings}, this worker is "
            f"{wanted.role} under settings {wanted.settings}: restore the earlier settings, or {AGAIN}"
        )
