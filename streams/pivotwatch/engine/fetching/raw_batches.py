"""Records straight out of the batches that a fetch returned.

aiokafka makes a `ConsumerRecord` of each record, field by field in Python, which costs more than
everything else that fetching does. A step needs no more than an `InputRecord`, and that is what the
batches hold already (made in C), so here they are handed on as they are, a batch at a time.

`Results` takes the place of the dictionary in which aiokafka keeps what was fetched and not yet asked
for. Everything else stays aiokafka's: fetching, positions, pauses, seeks, rebalances.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections import OrderedDict
from collections.abc import Collection
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException

from pivotwatch.contracts.records import InputRecord


class Batches(PartitionRecords):  # type: ignore[misc]  # aiokafka's fetcher has no types
    """What one fetch returned for one partition, handed out by `take`.

    The rules are those of the class above it, batch by batch instead of record by record: its checksum,
    no markers of transactions, nothing of aborted ones (if only committed records are read), nothing
    before the offset that was asked for.

    Parameters
    ----------
    fetched
        As aiokafka made it; not to be used any more.

    Attributes
    ----------
    next_fetch_offset
        Where to read on once everything taken so far is processed.
    """

    def __init__(self, fetched: PartitionRecords) -> None:
        self.__dict__.update(vars(fetched))
        # Generators that nobody runs. Each refers to its owner, which would keep these megabytes alive.
        self._records_iterator = fetched._records_iterator = None
        self._open: list[InputRecord] = []
        self._taken = 0
        self._behind = 0

    def take(self, most: int) -> list[InputRecord]:
        """The next records, fewer than ``most`` only at the end.

        Raises
        ------
        CorruptRecordException
            When a batch is not what its producer wrote.
        """
        taken: list[InputRecord] = []
        while len(taken) < most and (self._taken < len(self._open) or self._next_batch()):
            part = self._open[self._taken : self._taken + most - len(taken)]
            self._taken += len(part)
            taken += part
            if self._taken < len(self._open):
                self.next_fetch_offset = part[-1].offset + 1
            else:
                # Also behind records at the end of the batch that were compacted away.
                self.next_fetch_offset = self._behind
        return taken

    @property
    def is_empty(self) -> bool:
        """Has everything been taken?"""
        return self._taken == len(self._open) and not self._records.has_next()

    def _next_batch(self) -> bool:
        """Open the next batch that holds records for us; False at the end."""
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"{self._tp}: the checksum of a batch is wrong")
            if not self._is_aborted(batch) and not batch.is_control_batch:
                begin = self.next_fetch_offset
                records = list(batch)
                if records and records[0].offset < begin:
                    records = [record for record in records if record.offset >= begin]
                if records:
                    self._open, self._taken, self._behind = records, 0, batch.next_offset
                    return True
            self.next_fetch_offset = batch.next_offset
        self._open, self._taken = [], 0
        return False

    def _is_aborted(self, batch: Any) -> bool:
        """Does a batch belong to a transaction that was aborted? Keeps book of them."""
        if self._isolation_level != READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)


def take(result: FetchResult, max_records: int | None = None) -> list[InputRecord]:
    """What `FetchResult.getall` does, of `Batches`."""
    if not result.has_more() or not result.check_assignment(result._topic_partition):
        return []
    batches: Batches = result._partition_records
    try:
        records = batches.take(sys.maxsize if max_records is None else max_records)
    except BaseException:
        result._partition_records = None  # It is fetched anew; the batch that is bad is never passed over.
        raise
    result._update_position()
    if batches.is_empty:
        result._partition_records = None
    return records


class Results(OrderedDict[TopicPartition, Any]):
    """What was fetched by partition; that of chunked topics comes as `Batches`.

    Parameters
    ----------
    chunked
        Names of these topics.
    """

    def __init__(self, chunked: Collection[str]) -> None:
        super().__init__()
        self._chunked = chunked

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        if tp.topic in self._chunked and type(result) is FetchResult:
            result._partition_records = Batches(result._partition_records)
            # Nor may the result refer to itself.
            result.getall = functools.partial(take, weakref.proxy(result))
        super().__setitem__(tp, result)
