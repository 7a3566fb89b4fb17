"""Aligns the bucket records of all partitions: joins their parts, drops repeats, returns buckets in order.

Bucket b is complete when every partition has sent b or a later bucket, or has ended. A record completes all
earlier buckets of its partition. Repeats are ignored, because a worker that was killed sends the same records
again.

The topic may contain records that `accounts` did not write. The alignment refuses a record that fails a check
of its form, its content or its bucket width. It also refuses a record with a gap before it, because the
records of a partition leave no bucket out. A refused record changes nothing: the alignment goes on waiting
for the genuine record, and no bucket is scored without it.
"""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

from pivotwatch.contracts import bucket_content
from pivotwatch.contracts.bucket_record import VERSION, Header, NewerRecord
from pivotwatch.contracts.events import BadEvent


class BucketAlignment:
    """Collects bucket records until a bucket is complete.

    Parameters
    ----------
    partitions
        Number of partitions.
    width
        Width of a bucket in milliseconds.

    Attributes
    ----------
    next
        The next bucket to return; None until every partition has sent a record.
    stale
        Number of records that arrived after their bucket was returned.
    """

    def __init__(self, partitions: int, width: int) -> None:
        self.partitions, self.width = partitions, width
        self.next: int | None = None
        self.stale = 0
        self._through: dict[int, float] = {}
        self._since: dict[int, int] = {}
        self._parts: dict[tuple[int, int, int], dict[int, bytes]] = {}
        self._bodies: dict[int, dict[int, tuple[bool, bytes]]] = {}

    def put(self, header: Header, piece: bytes) -> None:
        """Take one Kafka record.

        Raises
        ------
        BadEvent
            When `accounts` cannot have written it. The alignment is unchanged then.
        NewerRecord
            When it is whole, passes its checksum and has a newer version.
        """
        p = header.p
        self._check_place(header)
        parts = self._parts.setdefault((p, header.b, header.crc), {})
        parts[header.part] = piece
        if len(parts) < header.parts:
            return
        del self._parts[p, header.b, header.crc]
        content = b"".join(parts.get(i, b"") for i in range(header.parts))
        if zlib.crc32(content) != header.crc:
            raise BadEvent("not a bucket: the content does not match the checksum in its header")
        if header.v > VERSION:
            raise NewerRecord(header.v)
        bucket_content.check(content, header.b)
        if header.final:
            self._through[p] = math.inf
            return
        if header.b <= self._through.get(p, -math.inf):
            return
        self._through[p] = header.b
        self._parts = {key: kept for key, kept in self._parts.items() if key[0] != p or key[1] > header.b}
        self._since.setdefault(p, header.since)
        if self.next is not None and header.b < self.next:
            self.stale += 1
            return
        self._bodies.setdefault(header.b, {})[p] = (header.idle, content)

    def _check_place(self, header: Header) -> None:
        """Raise `BadEvent` when the partition or width is wrong, or earlier buckets are missing."""
        if header.p >= self.partitions:
            raise BadEvent(f"a bucket of partition {header.p}, but there are {self.partitions}")
        if header.width != self.width:
            raise BadEvent(f"a bucket of {header.width} ms; those of this worker have {self.width} ms")
        gap = self._through.get(header.p, header.since) + 1
        if header.since > gap and not header.first:
            raise BadEvent(
                f"records of partition {header.p} are missing before it, of the buckets {gap} to "
                f"{header.since - 1}: send them again in their order, or start with --reset-state"
            )

    def ready(self) -> int | None:
        """The next bucket when it is complete, else None."""
        if len(self._through) < self.partitions:
            return None
        if self.next is None:
            if not self._bodies:
                return None
            self.next = min([*self._since.values(), *self._bodies])
        last = max(self._bodies, default=self.next - 1)
        through = min(*self._through.values(), last)
        return self.next if self.next <= through else None

    def take(self) -> dict[int, tuple[bool, bytes]]:
        """Return the next bucket: partition to (whether it was idle, content)."""
        assert self.next is not None
        bodies = self._bodies.pop(self.next, {})
        self.next += 1
        return bodies

    def skip(self) -> None:
        """Go on to the first bucket that has records."""
        assert self.next is not None
        self.next = max(self.next, min(self._bodies, default=self.next))

    @property
    def is_next_empty(self) -> bool:
        """Whether no partition has sent a record of the next bucket."""
        return self.next not in self._bodies

    @property
    def finished(self) -> bool:
        """Whether every partition has ended and every bucket was returned."""
        done = len(self._through) == self.partitions and min(self._through.values()) == math.inf
        return done and not self._bodies

    def snapshot(self) -> dict[str, Any]:
        """State, JSON-able."""
        return {
            "next": self.next,
            "stale": self.stale,
            "through": [[p, None if b == math.inf else b] for p, b in sorted(self._through.items())],
            "since": sorted(self._since.items()),
            "parts": [
                [*key, i, _text(v)]
                for key, parts in sorted(self._parts.items())
                for i, v in sorted(parts.items())
            ],
            "bodies": [
                [b, p, idle, _text(content)]
                for b, bodies in sorted(self._bodies.items())
                for p, (idle, content) in sorted(bodies.items())
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue exactly where `snapshot` was taken."""
        self.next, self.stale = state["next"], state["stale"]
        self._through = {p: math.inf if b is None else b for p, b in state["through"]}
        self._since = dict(state["since"])
        for p, b, crc, i, piece in state["parts"]:
            self._parts.setdefault((p, b, crc), {})[i] = base64.b85decode(piece)
        for b, p, idle, content in state["bodies"]:
            self._bodies.setdefault(b, {})[p] = (idle, base64.b85decode(content))


def _text(value: bytes) -> str:
    return base64.b85encode(value).decode()
