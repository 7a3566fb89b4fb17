"""Records directly from the batches of a fetch.

aiokafka makes a `ConsumerRecord` of each record, field by field in Python, which costs more than the rest of
fetching. An operator only needs an `InputRecord`, and the batches hold these already (decoded in C). So they
are passed on unchanged, a batch at a time.

`Results` replaces the dictionary in which aiokafka keeps fetched records until they are requested. Everything
else is aiokafka's: fetching, positions, pauses, seeks, rebalances.

Batches are unpacked one at a time, their records are made in pieces, and a poll ends when it has unpacked
`POLL_BYTES`. For a batch that cannot be unpacked (`pivotwatch.engine.fetching.unpacking`) comes one record
whose value says so.
"""

from __future__ import annotations

import functools
import logging
import math
import sys
import weakref
from collections import OrderedDict
from collections.abc import Collection, Iterator
from itertools import chain, islice
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecord

from pivotwatch.contracts.records import InputRecord, Unreadable
from pivotwatch.engine.fetching import unpacking
from pivotwatch.engine.fetching.leader_epochs import LeaderEpochs
from pivotwatch.engine.types import TP

logger = logging.getLogger(__name__)

POLL_BYTES = 8_000_000
"""After so many unpacked bytes a poll unpacks no further batch. A fetch brings as many uncompressed."""
PIECE = 5_000
"""Records of a batch that are made at a time."""

unpacking.install()


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
        self._batch: Iterator[InputRecord] | None = None
        self._open: list[InputRecord] = []
        self._taken = 0
        self._behind = 0
        self._end = 0
        self._timestamp = (0, 0)

    def take(self, most: int, enough: float = math.inf) -> list[InputRecord]:
        """The next records, fewer than ``most`` only at the end, or when this thread has unpacked ``enough``.

        Raises
        ------
        CorruptRecordException
            When the checksum of a batch is wrong.
        """
        taken: list[InputRecord] = []
        while len(taken) < most and (self._taken < len(self._open) or self._next_piece(enough)):
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
        """Whether everything has been taken."""
        return self._taken == len(self._open) and self._batch is None and not self._records.has_next()

    def _next_piece(self, enough: float) -> bool:
        """Make the next records for us; False at the end, or when ``enough`` is unpacked."""
        while True:
            if self._batch is None:
                if unpacking.UNPACKED.total >= enough or not self._next_batch():
                    break
            elif records := self._piece(self._batch):
                self._open, self._taken = records, 0
                return True
            else:
                self.next_fetch_offset = self._end
        self._open, self._taken = [], 0
        return False

    def _piece(self, batch: Iterator[InputRecord]) -> list[InputRecord]:
        """The next records of the open batch; it is closed behind its last one."""
        begin, records = self.next_fetch_offset, list[InputRecord]()
        try:
            records.extend(islice(batch, PIECE))
        except Exception as error:  # The checksum is right: this is what the producer wrote.
            first = max(begin, records[-1].offset + 1 if records else begin)
            records.append(self._left_out(first, f"it cannot be read: {error}"))
        if len(records) < PIECE or records[-1].offset >= self._end - 1:
            self._batch, self._behind = None, self._end
        else:
            self._behind = records[-1].offset + 1
        if records and records[0].offset < begin:
            records = [record for record in records if record.offset >= begin]
        return records

    def _next_batch(self) -> bool:
        """Open the next batch that is for us; False at the end."""
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"{self._tp}: the checksum of a batch is wrong")
            if not self._is_aborted(batch) and not batch.is_control_batch:
                self._end = batch.next_offset
                self._batch = self._unpacked(batch)
                return True
            self.next_fetch_offset = batch.next_offset
        return False

    def _unpacked(self, batch: Any) -> Iterator[InputRecord]:
        """The records of a batch, or the one that stands for them."""
        self._timestamp = batch.max_timestamp, batch.timestamp_type
        try:
            return chain(iter(batch))  # A batch counts again whenever it is asked for an iterator.
        except unpacking.BatchRefused as error:
            return iter([self._left_out(batch.base_offset, str(error))])

    def _left_out(self, first: int, error: str) -> InputRecord:
        """What stands for the records of the open batch from an offset on."""
        last = self._end - 1
        why = f"offsets {first} to {last} are left out, a batch that cannot be used: {error}"
        logger.error("%s[%d]: %s", *self._tp, why)
        value = Unreadable(f"{why}; send these records again in smaller batches".encode())
        record: InputRecord = DefaultRecord(last, *self._timestamp, None, value, [])
        return record

    def _is_aborted(self, batch: Any) -> bool:
        """Whether a batch belongs to an aborted transaction. Keeps track of these transactions."""
        if self._isolation_level != READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)


class Poll:
    """One poll of a consumer.

    Attributes
    ----------
    enough
        When this thread has unpacked so many bytes, no further batch is unpacked.
    """

    enough: float = math.inf

    def begin(self) -> None:
        """Allow the poll that begins to unpack `POLL_BYTES`, of all partitions together."""
        self.enough = unpacking.UNPACKED.total + POLL_BYTES


def take(result: FetchResult, poll: Poll, max_records: int | None = None) -> list[InputRecord]:
    """`FetchResult.getall` for `Batches`."""
    if not result.has_more() or not result.check_assignment(result._topic_partition):
        return []
    batches: Batches = result._partition_records
    try:
        records = batches.take(sys.maxsize if max_records is None else max_records, poll.enough)
    except BaseException:
        result._partition_records = None  # Fetched again: a bad batch is never skipped.
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
    epochs
        Learns under which leader epoch their records were written.

    Attributes
    ----------
    poll
        The current poll.
    """

    def __init__(self, chunked: Collection[str], epochs: LeaderEpochs | None = None) -> None:
        super().__init__()
        self._chunked = chunked
        self._epochs = LeaderEpochs() if epochs is None else epochs
        self.poll = Poll()

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        if tp.topic in self._chunked and type(result) is FetchResult:
            self._epochs.add(TP(*tp), result._partition_records._records)
            result._partition_records = Batches(result._partition_records)
            # The result must not refer to itself.
            result.getall = functools.partial(take, weakref.proxy(result), self.poll)
        super().__setitem__(tp, result)
