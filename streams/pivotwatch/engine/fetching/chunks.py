"""Chunks: records of one partition that travel as one Faust message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from aiokafka import ConsumerRecord
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from pivotwatch.engine.fetching.leader_epochs import Epochs, LeaderEpochs


class Chunk(list[ConsumerRecord[bytes, bytes]]):
    """Records of one partition, in the order of their offsets.

    Attributes
    ----------
    after
        The offset of the last record before this chunk. The partition holds no record between it and the
        first record of the chunk.
    seek
        Number of the seek after which the records were read.
    epochs
        Offsets at which the leader epochs of the records begin; empty when they are not known.
    """

    __slots__ = ("after", "epochs", "seek")

    def __init__(
        self, records: Iterable[ConsumerRecord[bytes, bytes]], after: int, seek: int, epochs: Epochs = ()
    ) -> None:
        super().__init__(records)
        self.after = after
        self.seek = seek
        self.epochs = epochs

    def split(self, offset: int) -> tuple[Chunk, Chunk]:
        """Split into the records before an offset and the others."""
        head = Chunk((record for record in self if record.offset < offset), self.after, self.seek)
        after = head[-1].offset if head else self.after
        return head, Chunk((record for record in self if record.offset >= offset), after, self.seek)


class ChunkScheduler(DefaultSchedulingStrategy):
    """Orders fetched records: round robin over topics and partitions, chunk by chunk.

    Attributes
    ----------
    size
        Most records of a chunk: enough that the cost of Faust is small, few enough that partitions take
        turns often.
    seeks
        Number of the last seek.
    epochs
        The leader epochs of what was fetched.
    last
        The offset before the next chunk of each chunked partition whose offset is set.
    """

    size: ClassVar[int] = 5_000

    def __init__(self, chunked: frozenset[str], epochs: LeaderEpochs | None = None) -> None:
        self.chunked = chunked
        self.epochs = LeaderEpochs() if epochs is None else epochs
        self.seeks = 0
        self.last: dict[TP, int] = {}

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """Iterate over records; those of chunked topics come as `Chunk`."""
        cut = {
            tp: self._chunks(tp, fetched) if tp.topic in self.chunked else fetched
            for tp, fetched in records.items()
        }
        return super().iterate(cut)

    def _chunks(self, tp: TP, records: list[Any]) -> list[Chunk]:
        chunks = []
        for start in range(0, len(records), self.size):
            part = records[start : start + self.size]
            epochs = self.epochs.between(tp, part[0].offset, part[-1].offset)
            chunk = Chunk(part, self.last[tp], self.seeks, epochs)
            self.last[tp] = chunk[-1].offset
            chunks.append(chunk)
        return chunks
