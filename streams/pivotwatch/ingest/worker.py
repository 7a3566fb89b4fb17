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
from collections.abc import Mapping
from typing import Any

from faust.types import TP

from pivotwatch.config.config import Config
from pivotwatch.engine.checkpoint import settled
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.frame import Frame
from pivotwatch.engine.health import JOINING, Key
from pivotwatch.engine.producer import OutputSender
from pivotwatch.ingest.arrays import ArrayBuilder
from pivotwatch.ingest.event_time_merge import EventTimeMerge
from pivotwatch.ingest.health import HTTP, IngestHealth, name_of
from pivotwatch.ingest.http_publisher import HttpPublisher
from pivotwatch.ingest.metrics import IngestMetrics, SourcePartition
from pivotwatch.ingest.reader import SourceBatch, SourceReader
from pivotwatch.ingest.settings import IngestSettings

logger = logging.getLogger(__name__)

MAX_UNACKNOWLEDGED = 20_000
"""Events that may wait for acknowledgement at once."""
TICK_SECONDS = 0.1
CLOSE_SECONDS = 5.0
LOG_SECONDS = 60.0
MAX_SILENCE_SECONDS = 10.0
"""How long partitions that are ahead wait for a partition that sends nothing."""


class IngestShell(Frame):
    """Runs the decoders of one worker.

    Parameters
    ----------
    app
        The Faust app.
    config, settings
        The configuration, and its table ``[ingest]``.
    partitions
        Number of partitions of ``requests``.
    identities
        The origin name of each source topic; a topic that was deleted and created again has a new one.
    until_end
        End offset of every source partition in a finite run, None in a live run.

    Attributes
    ----------
    next
        The next offset of each partition that this worker owns.
    metrics, health
        As in `pivotwatch.engine.worker.Shell`.
    http_publisher
        Sends the events of HTTP requests; None until the server listens.
    """

    role = "ingest"

    def __init__(
        self,
        app: Any,
        config: Config,
        settings: IngestSettings,
        *,
        partitions: int,
        identities: Mapping[str, str],
        until_end: Mapping[TP, int] | None = None,
    ) -> None:
        super().__init__(app, config)
        self.settings = settings
        self.identities = identities
        self.until_end = until_end
        self.next: dict[TP, int] = {}
        self.http_publisher: HttpPublisher | None = None
        self.metrics = IngestMetrics(self)
        self.health = IngestHealth(self, config.stalled_after.total_seconds())
        self._arrays = ArrayBuilder(partitions)
        # The other half of the allowed lateness is for events out of order within a partition.
        self._merge = EventTimeMerge(config.settings.allowed_lateness_ms // 2, self._has_more)
        self.reader = SourceReader(settings, self._merge, self.metrics)
        self._fetched_until: dict[TP, int] = {}
        self._done_at: dict[TP, float] = {}
        self._progressed_at = time.monotonic()
        self._busy = asyncio.Lock()
        self._closing = False
        self._unassigned = 0

    async def run(self, stream: Any) -> None:
        """The Faust agent: buffers the chunks of the stream, and sends what may be sent."""
        async for event in stream.noack().events():
            tp = TP(*event.message.tp)
            if tp in self.next and event.value.seek == self.consumer.scheduler.seeks:
                self._add(tp, event.value)
                await self._work()
            event.value.clear()

    def drop(self) -> None:
        """End the assignment."""
        self.next.clear()
        self._fetched_until.clear()
        self._merge.clear()

    async def resume(self, committed: Mapping[TP, int | None]) -> dict[TP, int]:
        """The offsets to read from: those that are committed, else the first ones."""
        if not committed:
            return {}
        earliest = await self.consumer.earliest_offsets(*committed)
        for tp, offset in committed.items():
            known = offset if offset is not None and offset >= 0 else None
            if known is not None and known < earliest[tp]:
                logger.error(
                    "%s[%d]: offsets %d to %d were deleted before they were read: set a longer retention",
                    tp.topic,
                    tp.partition,
                    known,
                    earliest[tp] - 1,
                )
            self.next.setdefault(tp, max(known or 0, earliest[tp]))
        self._fetched_until = dict(self.next)
        self._merge.assign(self.next)
        self._progressed_at = time.monotonic()
        return {tp: self.next[tp] for tp in committed}

    async def tend(self) -> None:
        """Read partitions that waited, log the counts now and then, and end a finite run."""
        logged, log_at = dict(self.reader.counts), time.monotonic() + LOG_SECONDS
        try:
            while not await self._finish():
                await asyncio.sleep(TICK_SECONDS)
                await self._resume_waiting()
                if time.monotonic() >= log_at:
                    if logged != self.reader.counts:
                        logger.info("since the start: %s", self._counts_text())
                    logged, log_at = dict(self.reader.counts), time.monotonic() + LOG_SECONDS
        except Exception as error:
            self.fail(error)

    async def watch(self) -> None:
        """Check the progress of this worker until the process ends."""
        await self.health.watch(self.config, self.config.topic("requests"))

    @property
    def live(self) -> dict[str, SourcePartition]:
        """The partitions that this worker owns, for `pivotwatch.engine.metrics`."""
        done_at = self._done_at
        return {
            name_of(tp): SourcePartition(offset, done_at.get(tp, self._progressed_at))
            for tp, offset in self.next.items()
        }

    def end_of(self, name: str) -> int | None:
        """The end offset of a partition, once a fetch has returned it."""
        return next(
            (position.end for tp, position in self.consumer.positions.items() if name_of(tp) == name), None
        )

    def progress(self) -> dict[Key, int]:
        """The next offset of each partition, and the number of finished HTTP requests, for `Health`."""
        found: dict[Key, int] = {}
        first = self._merge.next_partition()
        for tp, offset in self.next.items():
            if self._merge.has_records(tp) and (first is None or first[0] != tp):
                continue  # The partition is ahead and waits for others.
            position = self.consumer.positions.get(tp)
            # Transaction markers may follow the last record.
            done = position is not None and offset > position.last
            found[name_of(tp)] = max(offset, position.next) if position and done else offset
        if not self.next and not self.app.unassigned:
            found[JOINING] = 0
        if self.http_publisher is not None:
            found[HTTP] = self.http_publisher.finished
        return found

    def is_ready(self) -> bool:
        """Whether the worker reads its partitions and its HTTP server listens."""
        listens = self.http_publisher is not None or self.settings.http is None or self.until_end is not None
        return listens and not self.app.rebalancing and bool(self.next or self.app.unassigned)

    async def close(self) -> None:
        """Stop to read, and commit the offsets that are done."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                self._closing = True
                async with self._busy:
                    self.next.clear()
                await self.consumer.commit_done()
        except TimeoutError:
            logger.warning("the last commit took too long: some events will be sent again, and counted once")
        logger.info("at the end: %s", self._counts_text())

    def _counts_text(self) -> str:
        return ", ".join(f"{number} {name}" for name, number in self.reader.counts.items())

    def _add(self, tp: TP, chunk: Chunk) -> None:
        """Buffer the records of a chunk that are not buffered yet and not beyond the end."""
        end = None if self.until_end is None else self.until_end.get(tp, 0)
        first = max(self.next[tp], self._fetched_until[tp])
        self._merge.add(tp, [r for r in chunk if first <= r.offset and (end is None or r.offset < end)])
        upto = chunk[-1].offset + 1
        self._fetched_until[tp] = max(first, upto if end is None else min(upto, end))
        self._progressed_at = time.monotonic()

    async def _resume_waiting(self) -> None:
        """Read partitions that waited for others, when those are at their end or have become silent."""
        if self._busy.locked() or not self._merge.buffered():
            return
        if time.monotonic() - self._progressed_at > MAX_SILENCE_SECONDS:
            for tp in self._merge.stop_waiting():
                logger.warning("%s sends nothing: the other partitions do not wait for it", name_of(tp))
        await self._work()

    async def _work(self) -> None:
        """Read and send everything that may be read now."""
        async with self._busy:
            while self._merge.next_partition() is not None and not self._closing:
                await self._send_round()
            for tp in self.next:
                if not self._merge.has_records(tp):
                    # The rest of the fetched offsets holds no record to read.
                    self._finished(tp, self._fetched_until[tp])
            waiting = self._merge.buffered()
            self.consumer.held = waiting
            self.metrics.held.set(len(waiting))

    async def _send_round(self) -> None:
        """Decode and send records in the order of event time, then wait for their acknowledgement."""
        seeks = self.consumer.scheduler.seeks
        room, pending, upto = MAX_UNACKNOWLEDGED, list[asyncio.Future[Any]](), dict[TP, int]()
        while room > 0 and self._goes_on(seeks) and (found := self._merge.next_partition()) is not None:
            tp, limit = found
            batch = await self.reader.read(tp, limit, room)
            room -= max(len(batch.events), 1)
            pending += await self._send(tp, batch)
            upto[tp] = batch.next
        await settled(pending)
        if seeks == self.consumer.scheduler.seeks:
            for tp, offset in upto.items():
                if tp in self.next:
                    self._finished(tp, offset)
        self._progressed_at = time.monotonic()

    def _finished(self, tp: TP, offset: int) -> None:
        """Mark everything before an offset as acknowledged."""
        if offset > self.next[tp]:
            self.next[tp] = offset
            self._done_at[tp] = time.monotonic()
            self.consumer.done(tp, offset)

    def _goes_on(self, seeks: int) -> bool:
        """Whether the assignment is still the one in which this work began."""
        return bool(self.next) and not self._closing and self.consumer.scheduler.seeks == seeks

    def _has_more(self, tp: TP) -> bool:
        """Whether a partition without buffered records will send more."""
        if self.until_end is not None and self._fetched_until[tp] >= self.until_end.get(tp, 0):
            return False
        position = self.consumer.positions.get(tp)
        return position is None or position.next < position.end or position.last >= self._fetched_until[tp]

    async def _send(self, tp: TP, batch: SourceBatch) -> list[asyncio.Future[Any]]:
        """Send a batch in order; the futures are done when Kafka has acknowledged it."""
        output_sender = OutputSender(self.app.producer, self.config.topic, self.fail, self.metrics.sent)  # type: ignore[arg-type]
        await output_sender.send(batch.dead_letters)
        topic = self.config.topic("requests")
        sent = [
            await self.app.producer.send(
                topic, None, array.value, array.partition, timestamp=None, headers=list(array.headers)
            )
            for array in self._arrays.arrays(batch.events, (self.identities[tp.topic], tp.partition))
        ]
        return [*sent, *output_sender.pending]

    async def _finish(self) -> bool:
        """End this worker when its finite run is over; returns whether it is."""
        if not self._is_over():
            return False
        for tp in self.next:
            self.consumer.done(tp, self.next[tp])
        await self.consumer.commit_done()
        if not self._is_over():
            return False
        self.over = True
        self.stop()
        return True

    def _is_over(self) -> bool:
        if self.until_end is None or self.app.rebalancing or self._busy.locked():
            return False
        if not self.next:
            self._unassigned += 1 if self.app.unassigned else 0
            return self._unassigned * TICK_SECONDS > CLOSE_SECONDS
        return all(self._reached(tp) for tp in self.next)

    def _reached(self, tp: TP) -> bool:
        """Whether everything before the end was sent. Transaction markers may follow the last record."""
        assert self.until_end is not None
        end, position = self.until_end.get(tp, 0), self.consumer.positions.get(tp)
        return self.next[tp] >= end or (
            position is not None and position.next >= end and self.next[tp] > position.last
        )
