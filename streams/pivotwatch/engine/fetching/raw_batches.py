"""Records directly from the batches of a fetch.

aiokafka makes a `ConsumerRecord` of each record, field by field in Python, which costs more than the rest of
fetching. An operator only needs an `InputRecord`, and the batches hold these already (decoded in C). So they
are passed on unchanged, a batch at a time.

`Results` replaces the dictionary in which aiokafka keeps fetched records until they are requested. Everything
else is aiokafka's: fetching, positions, pauses, seeks, rebalances.
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
    """The result of one fetch for one partition; `take` returns its records.

    The rules are those of the parent class, batch by batch instead of record by record: checksums are
    verified; transaction markers, records of aborted transactions (if only committed records are read) and
    records before the requested offset are left out.

    Parameters
    ----------
    fetched
        The object of aiokafka. It must not be used afterwards.

    Attributes
    ----------
    next_fetch_offset
        The offset to continue at once everything taken so far is processed.
    """

    def __init__(self, fetched: PartitionRecords) -> None:
        self.__dict__.update(vars(fetched))
        # Unused generators. Each refers to its owner, which would keep these megabytes alive.
        self._records_iterator = fetched._records_iterator = None
        self._open: list[InputRecord] = []
        self._taken = 0
        self._behind = 0

    def take(self, most: int) -> list[InputRecord]:
        """The next records, fewer than ``most`` only at the end.

        Raises
        ------
        CorruptRecordException
            When the checksum of a batch is wrong.
        """
        taken: list[InputRecord] = []
        while len(taken) < most and (self._taken < len(self._open) or self._next_batch()):
            part = self._open[self._taken : self._taken + most - len(taken)]
            self._taken += len(part)
            taken += part
            if self._taken < len(self._open):
                self.next_fetch_offset = part[-1].offset + 1
            else:
                # Also skips records at the end of the batch that compaction removed.
                self.next_fetch_offset = self._behind
        return taken

    @property
    def is_empty(self) -> bool:
        """Whether everything was taken."""
        return self._taken == len(self._open) and not self._records.has_next()

    def _next_batch(self) -> bool:
        """Open the next batch with records to return; False at the end."""
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
        """Whether a batch belongs to an aborted transaction. Keeps track of these transactions."""
        if self._isolation_level != READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)


def take(result: FetchResult, max_records: int | None = None) -> list[InputRecord]:
    """`FetchResult.getall` for `Batches`."""
    if not result.has_more() or not result.check_assignment(result._topic_partition):
        return []
    batches: Batches = result._partition_records
    try:
        records = batches.take(sys.maxsize if max_records is None else max_records)
    except BaseException:
        result._partition_records = None  # Fetched anew: a bad batch is never skipped.
        raise
    result._update_position()
    if batches.is_empty:
        result._partition_records = None
    return records


class Results(OrderedDict[TopicPartition, Any]):
    """Fetched records by partition; those of chunked topics are `Batches`.

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
            # The result must not refer to itself.
            result.getall = functools.partial(take, weakref.proxy(result))
        super().__setitem__(tp, result)
