"""Reads topics completely and follows them, without a consumer group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer

from pivotwatch.config.config import Config
from pivotwatch.contracts.records import InputRecord
from pivotwatch.engine.fetching.leader_epochs import LeaderEpochs
from pivotwatch.engine.fetching.raw_batches import Results
from pivotwatch.engine.kafka.async_client import reader
from pivotwatch.engine.log_check import Positions
from pivotwatch.engine.log_position import LogPosition
from pivotwatch.engine.types import TP

POLL_MS = 200


class TopicFollower:
    """Follows partitions of topics.

    Parameters
    ----------
    config
        The configuration.
    tps
        The partitions. Records that are fetched together are taken in this order.
    take
        Called with each record and its partition.
    starts
        Offsets to begin at. A partition without one is read from its beginning.
    clock
        Seconds of a monotonic clock.
    logs
        Where to note how far each partition was read and in which log.

    Attributes
    ----------
    caught_up
        Set once everything that the topics held at the start is taken.
    next
        The offset after the last record taken, by partition.
    polled_at
        When the broker last answered, by ``clock``.
    logs
        How far each partition was read, and in which log.
    """

    def __init__(
        self,
        config: Config,
        tps: Sequence[TP],
        take: Callable[[TP, InputRecord], Awaitable[None]],
        starts: Mapping[TP, int] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        logs: Positions | None = None,
    ) -> None:
        self._config = config
        self._tps = list(tps)
        self._take = take
        self._starts = starts or {}
        self._clock = clock
        self.caught_up = asyncio.Event()
        self.next: dict[TP, int] = {}
        self.polled_at = clock()
        self.logs: Positions = {} if logs is None else logs
        self._epochs = LeaderEpochs()
        for tp in tps:
            self.logs.setdefault(tp, LogPosition())

    async def run(self) -> None:
        """Follow until cancelled.

        Raises
        ------
        OutOfReach
            When no broker answers at the start.
        """
        async with reader(self._config) as consumer:
            ends = await self._seek(consumer)
            while True:
                self.next = {tp: await consumer.position(tp) for tp in self._tps}
                if all(self.next[tp] >= end for tp, end in ends.items()):
                    self.caught_up.set()
                batch = {TP(*tp): found for tp, found in (await consumer.getmany(timeout_ms=POLL_MS)).items()}
                self.polled_at = self._clock()
                for tp in self._tps:
                    for record in batch.get(tp, ()):
                        await self._take(tp, record)
                    if records := batch.get(tp):
                        self._note(tp, records[0].offset, records[-1].offset)

    def _note(self, tp: TP, first: int, last: int) -> None:
        """Note in which log records were read; a consumer that went back by itself changes nothing."""
        first = max(first, self.logs[tp].end)
        if first <= last:
            epochs = self._epochs.between(tp, first, last)
            self.logs[tp] = self.logs[tp].advanced(epochs, first, last + 1)

    async def _seek(self, consumer: AIOKafkaConsumer[bytes, bytes]) -> dict[TP, int]:
        """Set the offsets of the consumer; return the current ends of the partitions."""
        consumer._fetcher._records = Results({tp.topic for tp in self._tps}, self._epochs)
        consumer.assign(self._tps)
        earliest = await consumer.beginning_offsets(self._tps)
        for tp in self._tps:
            consumer.seek(tp, max(earliest[tp], self._starts.get(tp, 0)))
        ends = await consumer.end_offsets(self._tps)
        return {tp: ends[tp] for tp in self._tps}
