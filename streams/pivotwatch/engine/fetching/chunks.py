"""Chunks: the records of a partition's fetch, handed on as one message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from aiokafka import ConsumerRecord
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP


class Chunk(list[ConsumerRecord[bytes, bytes]]):
    """Records of one partition, in the order of their offsets.

    Attributes
    ----------
    after
        The offset of the record that was read before this chunk; between it and the first
        record of the chunk the partition held nothing.
    seek
        Number of the seek that the records were read after.
    """

    __slots__ = ("after", "seek")

    def __init__(self, records: Iterable[ConsumerRecord[bytes, bytes]], after: int, seek: int) -> None:
        super().__init__(records)
        self.after = after
        self.seek = seek

    def split(self, offset: int) -> tuple[Chunk, Chunk]:
        """The records before an offset, and the others."""
        head = Chunk((record for record in self if record.offset < offset), self.after, self.seek)
        after = head[-1].offset if head else self.after
        return head, Chunk((record for record in self if record.offset >= offset), after, self.seek)


class ChunkScheduler(DefaultSchedulingStrategy):
    """Orders what was fetched: round robin over topics and partitions, chunk by chunk.

    Attributes
    ----------
    size
        Records of a chunk: so many that Faust's share is small, so few that a step leaves
        the event loop to the heartbeats.
    seeks
        Number of the last seek.
    last
        The offset before the next chunk of each chunked partition that is placed.
    """

    size: ClassVar[int] = 5_000

    def __init__(self, chunked: frozenset[str]) -> None:
        self.chunked = chunked
        self.seeks = 0
        self.last: dict[TP, int] = {}

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """Iterate over records, those of chunked topics as `Chunk`."""
        cut = {
            tp: self._chunks(tp, fetched) if tp.topic in self.chunked else fetched
            for tp, fetched in records.items()
        }
        return super().iterate(cut)

    def _chunks(self, tp: TP, records: list[Any]) -> list[Chunk]:
        chunks = []
        for start in range(0, len(records), self.size):
            chunk = Chunk(records[start : start + self.size], self.last[tp], self.seeks)
            self.last[tp] = chunk[-1].offset
            chunks.append(chunk)
        return chunks
