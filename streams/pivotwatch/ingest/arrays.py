"""Native events as arrays, one per target partition: what goes to ``requests``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import orjson
from kafka.partitioner.default import murmur2

from pivotwatch.detection.counting.deduplication import Headers, Place, origin_headers
from pivotwatch.ingest.decoder import Event

MAX_BYTES = 700_000
"""A broker takes about 1 MB, headers included."""
MAX_KNOWN = 500_000


class Array(NamedTuple):
    """A record of ``requests``."""

    partition: int
    value: bytes
    headers: Headers


class Rekeyer:
    """Sorts events by account into arrays, as Kafka's producers choose the partition of a key.

    Parameters
    ----------
    partitions
        Of ``requests``.

    Examples
    --------
    >>> events = [((7, 0), {"account": "a"}), ((7, 1), {"account": "acct-2"}), ((8, 0), {"account": "a"})]
    >>> for array in Rekeyer(2).arrays(events, ("spans", 0)):
    ...     print(array.partition, array.value, array.headers[0][1])
    0 b'[{"account":"a"},{"account":"a"}]' b'["spans",0,7,0,8,0]'
    1 b'[{"account":"acct-2"}]' b'["spans",0,7,1,7,1]'
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._known: dict[str, int] = {}

    def partition_of(self, account: str) -> int:
        """The partition of an account."""
        partition = self._known.get(account)
        if partition is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            partition = int((murmur2(account.encode()) & 0x7FFFFFFF) % self.partitions)
            self._known[account] = partition
        return partition

    def arrays(
        self, events: Iterable[tuple[Place, Event]], origin: tuple[str, int] | None
    ) -> Iterator[Array]:
        """One array per target partition, more where one would be too long.

        Parameters
        ----------
        events
            In the order of their places.
        origin
            Topic and partition that all of them came from; None when they came over HTTP.
        """
        sorted_: dict[int, list[tuple[Place, bytes]]] = {}
        for place, event in events:
            partition = self.partition_of(event["account"])
            sorted_.setdefault(partition, []).append((place, orjson.dumps(event)))
        for partition, written in sorted(sorted_.items()):
            for some in _cut(written):
                value = b"[" + b",".join(raw for _, raw in some) + b"]"
                headers = origin_headers(*origin, [place for place, _ in some]) if origin else ()
                yield Array(partition, value, headers)


def _cut(written: list[tuple[Place, bytes]]) -> Iterator[list[tuple[Place, bytes]]]:
    start = size = 0
    for index, (_, raw) in enumerate(written):
        if size + len(raw) > MAX_BYTES and index > start:
            yield written[start:index]
            start, size = index, 0
        size += len(raw) + 1
    yield written[start:]
