"""Arrays of native events, one for each partition of ``requests``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import orjson

from pivotwatch.base.partitioning import partition_of
from pivotwatch.detection.counting.deduplication import Headers, Place, origin_headers
from pivotwatch.ingest.decoded import Event

MAX_BYTES = 700_000
"""Least size that splits an array, with its headers. Brokers accept about 1 MB."""
PLACE_BYTES = 32
"""Bytes of the place of one event in the headers, at most."""
MAX_CACHED = 500_000


class Array(NamedTuple):
    """A record of ``requests`` that holds several events."""

    partition: int
    value: bytes
    headers: Headers


class ArrayBuilder:
    """Collects events in arrays by the partition of their account, which Kafka producers would choose.

    Parameters
    ----------
    partitions
        Number of partitions of ``requests``.

    Examples
    --------
    >>> events = [((7, 0), {"account": "a"}), ((7, 1), {"account": "acct-2"}), ((8, 0), {"account": "a"})]
    >>> for array in ArrayBuilder(2).arrays(events, ("spans", 0)):
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
            if len(self._known) >= MAX_CACHED:
                self._known.clear()
            partition = partition_of(account, self.partitions)
            self._known[account] = partition
        return partition

    def arrays(
        self, events: Iterable[tuple[Place, Event]], origin: tuple[str, int] | None
    ) -> Iterator[Array]:
        """One array per partition, or several where one would be too long.

        Parameters
        ----------
        events
            Events in the order of their places (offset, position in the record).
        origin
            Topic and partition that all events came from; None for events from HTTP.
        """
        by_partition: dict[int, list[tuple[Place, bytes]]] = {}
        for place, event in events:
            partition = self.partition_of(event["account"])
            by_partition.setdefault(partition, []).append((place, orjson.dumps(event)))
        for partition, encoded in sorted(by_partition.items()):
            for part in _split(encoded):
                value = b"[" + b",".join(raw for _, raw in part) + b"]"
                headers = origin_headers(*origin, [place for place, _ in part]) if origin else ()
                yield Array(partition, value, headers)


def _split(encoded: list[tuple[Place, bytes]]) -> Iterator[list[tuple[Place, bytes]]]:
    """Split encoded events into parts of at most `MAX_BYTES`."""
    start = size = 0
    for index, (_, raw) in enumerate(encoded):
        if size + len(raw) > MAX_BYTES and index > start:
            yield encoded[start:index]
            start, size = index, 0
        size += len(raw) + 1 + PLACE_BYTES
    yield encoded[start:]
