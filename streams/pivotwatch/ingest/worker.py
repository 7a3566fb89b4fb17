"""The role ``ingest``: reads source topics, and sends arrays of native events to ``requests``.

The only state is the committed offset of each source partition. The worker decodes records and sends
their events and dead letters. It marks an offset as done only when Kafka has acknowledged everything
before it, and sends nothing later meanwhile. After a crash the events since the last commit are sent
again with their places in the source, and `pivotwatch.detection.counting.deduplication` counts each of
them once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pivotwatch.base.errors import Fault
from pivotwatch.config.config import Config
from pivotwatch.engine.checkpoint import settled
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.health import Key
from pivotwatch.engine.metrics import Metrics, Worker
from pivotwatch.engine.producer import OutputSender
from pivotwatch.engine.role_task import LivePartition, RoleTask
from pivotwatch.engine.types import TP
from pivotwatch.ingest.arrays import ArrayBuilder
from pivotwatch.ingest.event_time_merge import EventTimeMerge
from pivotwatch.ingest.http_publisher import HttpPublisher
from pivotwatch.ingest.http_server import serve
from pivotwatch.ingest.metrics import IngestMetrics
from pivotwatch.ingest.reader import SourceBatch, SourceReader
from pivotwatch.ingest.settings import IngestSettings

logger = logging.getLogger(__name__)

MAX_UNACKNOWLEDGED = 20_000
"""Events that may wait for acknowledgement at once."""
LOG_SECONDS = 60.0
MAX_SILENCE_SECONDS = 10.0
"""How long partitions that are ahead wait for a partition that sends nothing."""
HTTP = "http"
"""The name of the HTTP requests among the names of the partitions."""


class SourcePartition(LivePartition):
    """A source partition that this worker owns.

    Attributes
    ----------
    fetched_until
        The offset behind the last record that is buffered or was read.
    """

    def __init__(self, tp: TP, acknowledge: Callable[[int], None]) -> None:
        super().__init__(tp)
        self.fetched_until = 0
        self._acknowledge = acknowledge

    def finish(self, offset: int) -> None:
        """Mark everything before an offset as acknowledged."""
        if offset > self.offset:
            self.offset = offset
            self.saved_at = time.monotonic()
            self._acknowledge(offset)


class IngestTask(RoleTask[SourcePartition]):
    """Runs the decoders of one worker.

    Parameters
    ----------
    config, settings
        The configuration, and its table ``[ingest]``.
    partitions
        Number of partitions of ``requests``.
    identities
        The origin name of each source topic; a topic that was deleted and created again has a new one.

    Attributes
    ----------
    http_publisher
        Sends the events of HTTP requests; None until the server listens.
    """

    role = "ingest"
    metrics: IngestMetrics
    reader: SourceReader

    def __init__(
        self, config: Config, settings: IngestSettings, *, partitions: int, identities: Mapping[str, str]
    ) -> None:
        self.config = config
        self.settings = settings
        self.identities = identities
        self.http_publisher: HttpPublisher | None = None
        self._partitions = partitions
        self._arrays = ArrayBuilder(partitions)
        # The other half of the allowed lateness is for events out of order within a partition.
        self._merge = EventTimeMerge(config.settings.allowed_lateness_ms // 2, self._has_more)
        self._progressed_at = time.monotonic()
        self._busy = asyncio.Lock()
        self._closing = False
        self._logged: dict[str, int] = {}
        self._log_at = time.monotonic() + LOG_SECONDS

    def make_metrics(self, worker: Worker) -> Metrics:
        """Make the metrics of the worker, and the reader that counts in them."""
        self.metrics = IngestMetrics(worker)
        self.reader = SourceReader(self.settings, self._merge, self.metrics)
        self._logged = dict(self.reader.counts)
        return self.metrics

    def label(self, tp: TP) -> str:
        """The name of a source partition in metrics and on the health page: topic and number."""
        return f"{tp.topic}-{tp.partition}"

    def background(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """The HTTP server, in a live run."""
        return [self._listen] if self.settings.http is not None and self.host.until_end is None else []

    async def load(self, tp: TP, stored: Mapping[bytes, bytes]) -> SourcePartition:
        """Make a live partition; it has no state."""
        return SourcePartition(tp, self.host.acknowledger(tp))

    def place(self, live: SourcePartition, earliest: int, end: int, committed: int | None) -> None:
        """Read on from the committed offset, else from the first one."""
        live.offset = max(committed or 0, earliest)
        if committed is not None and 0 <= committed < earliest:
            logger.error(
                "%s[%d]: offsets %d to %d were deleted before they were read: set a longer retention",
                live.tp.topic,
                live.tp.partition,
                committed,
                earliest - 1,
            )

    def placed(self) -> None:
        """Empty the buffers: their records are read again."""
        for live in self.host.live.values():
            live.fetched_until = live.offset
        self._merge.assign(self.host.live)
        self.reader.forget()
        self._progressed_at = time.monotonic()

    async def take(self, live: SourcePartition, chunk: Chunk) -> None:
        """Buffer a chunk, and send what may be sent."""
        self._add(live, chunk)
        await self._work()
        chunk.clear()

    def dropped(self) -> None:
        """Empty the buffers."""
        self._merge.clear()
        self.reader.forget()

    async def upkeep(self) -> None:
        """Read partitions that waited, and log the counts now and then."""
        await self._resume_waiting()
        if time.monotonic() >= self._log_at:
            if self._logged != self.reader.counts:
                logger.info("since the start: %s", self._counts_text())
            self._logged, self._log_at = dict(self.reader.counts), time.monotonic() + LOG_SECONDS

    def is_done(self, live: SourcePartition) -> bool:
        """Whether everything before the end was sent."""
        return not self._busy.locked() and self.host.has_reached_end(live.tp)

    async def stop(self) -> None:
        """Stop to read, and wait until everything under way is acknowledged."""
        self._closing = True
        async with self._busy:
            pass

    async def stopped(self) -> None:
        """Log the counts."""
        logger.info("at the end: %s", self._counts_text())

    def is_waiting(self, live: SourcePartition) -> bool:
        """Whether a partition is ahead and waits for others."""
        first = self._merge.next_partition()
        return self._merge.has_records(live.tp) and (first is None or first[0] != live.tp)

    def progress(self) -> Mapping[Key, int]:
        """The number of finished HTTP requests."""
        return {HTTP: self.http_publisher.finished} if self.http_publisher else {}

    def due(self) -> Mapping[Key, int]:
        """The number of HTTP requests so far."""
        return {HTTP: self.http_publisher.total} if self.http_publisher else {}

    def is_ready(self) -> bool:
        """Whether the HTTP server listens, if there is one."""
        return self.http_publisher is not None or not self.background()

    def _counts_text(self) -> str:
        return ", ".join(f"{number} {name}" for name, number in self.reader.counts.items())

    def _add(self, live: SourcePartition, chunk: Chunk) -> None:
        """Buffer the records of a chunk that are not buffered yet and not beyond the end."""
        end = None if self.host.until_end is None else self.host.until_end.get(live.tp, 0)
        first = max(live.offset, live.fetched_until)
        self._merge.add(live.tp, [r for r in chunk if first <= r.offset and (end is None or r.offset < end)])
        upto = chunk[-1].offset + 1
        live.fetched_until = max(first, upto if end is None else min(upto, end))
        self._progressed_at = time.monotonic()

    async def _resume_waiting(self) -> None:
        """Read partitions that waited for others, when those are at their end or have become silent."""
        if self._busy.locked() or not self._merge.buffered():
            return
        if time.monotonic() - self._progressed_at > MAX_SILENCE_SECONDS:
            for tp in self._merge.stop_waiting():
                logger.warning("%s sends nothing: the other partitions do not wait for it", self.label(tp))
        await self._work()

    async def _work(self) -> None:
        """Read and send everything that may be read now."""
        async with self._busy:
            while self._merge.next_partition() is not None and not self._closing:
                await self._send_round()
            for tp, live in self.host.live.items():
                if not self._merge.has_records(tp):
                    # The rest of the fetched offsets holds no record to read.
                    live.finish(live.fetched_until)
            waiting = self._merge.buffered()
            self.host.consumer.held = waiting
            self.metrics.held.set(len(waiting))

    async def _send_round(self) -> None:
        """Decode and send records in the order of event time, then wait for their acknowledgement."""
        seeks = self.host.consumer.scheduler.seeks
        room, pending, upto = MAX_UNACKNOWLEDGED, list[asyncio.Future[Any]](), dict[TP, int]()
        while room > 0 and self._goes_on(seeks) and (found := self._merge.next_partition()) is not None:
            tp, limit = found
            batch = await self.reader.read(tp, limit, room)
            room -= max(len(batch.events), 1)
            pending += await self._send(tp, batch)
            upto[tp] = batch.next
        await settled(pending)
        if seeks == self.host.consumer.scheduler.seeks:
            for tp, offset in upto.items():
                if tp in self.host.live:
                    self.host.live[tp].finish(offset)
        self._progressed_at = time.monotonic()

    def _goes_on(self, seeks: int) -> bool:
        """Whether the assignment is still the one in which this work began."""
        return bool(self.host.live) and not self._closing and self.host.consumer.scheduler.seeks == seeks

    def _has_more(self, tp: TP) -> bool:
        """Whether a partition without buffered records will send more."""
        upto = self.host.live[tp].fetched_until
        if self.host.until_end is not None and upto >= self.host.until_end.get(tp, 0):
            return False
        position = self.host.consumer.positions.get(tp)
        return position is None or position.next < position.end or position.last >= upto

    async def _send(self, tp: TP, batch: SourceBatch) -> list[asyncio.Future[Any]]:
        """Send a batch in order; the futures are done when Kafka has acknowledged it."""
        producer = self.host.producer
        output_sender = OutputSender(producer.send, self.config.topic, self.host.fail, self.metrics.sent)
        await output_sender.send(batch.dead_letters)
        topic = self.config.topic("requests")
        sent = [
            await producer.send(topic, None, array.value, partition=array.partition, headers=array.headers)
            for array in self._arrays.arrays(batch.events, (self.identities[tp.topic], tp.partition))
        ]
        return [*sent, *output_sender.pending]

    async def _listen(self) -> None:
        """Serve HTTP until cancelled."""
        try:
            server, http_publisher = await serve(self.config, self.settings, self._partitions, self.metrics)
        except Fault as fault:
            self.host.fail(fault)
            return
        self.http_publisher = http_publisher
        try:
            await asyncio.Event().wait()
        finally:
            await server.stop()
            await http_publisher.stop()
