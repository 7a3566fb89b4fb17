"""The role ``ingest``: topics of others in, arrays of native events per partition of ``requests`` out.

It has no state but what the group has committed. A chunk is decoded, its arrays and dead letters
are sent, and only when the broker has all of them the chunk is done and its offset may be
committed; nothing behind it is sent before. So after a crash the events since the commit are sent
again, each with its place in its source, and `pivotwatch.detection.counting.deduplication` counts them once.
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
from pivotwatch.ingest.arrays import Rekeyer
from pivotwatch.ingest.event_time_merge import EventTimeMerge
from pivotwatch.ingest.health import HTTP, IngestHealth, name_of
from pivotwatch.ingest.http_publisher import HttpPublisher
from pivotwatch.ingest.metrics import IngestMetrics, SourcePartition
from pivotwatch.ingest.reader import Read, SourceReader
from pivotwatch.ingest.settings import IngestSettings

logger = logging.getLogger(__name__)

FLUSH_EVENTS = 20_000
TICK_SECONDS = 0.1
CLOSE_SECONDS = 5.0
TELL_SECONDS = 60.0
PATIENCE_SECONDS = 10.0
"""So long whoever is ahead waits for a partition from which nothing comes."""


class IngestShell(Frame):
    """Drives the decoders of one worker.

    Parameters
    ----------
    app
        The Faust app.
    config, settings
        The configuration, and its table ``[ingest]``.
    partitions
        Of ``requests``.
    identities
        Topic of others to the name of its origin: one that was made anew has another.
    until_end
        Where every partition of theirs ends in a finite run, None for a live one.

    Attributes
    ----------
    next
        Of each partition of this worker the next offset to take.
    metrics, health
        As in `pivotwatch.engine.worker.Shell`.
    http_publisher
        Of the HTTP side, when it listens.
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
        self._rekeyer = Rekeyer(partitions)
        # Half of the lateness that is allowed is left to what is out of order within a partition.
        self._backlog = EventTimeMerge(config.settings.allowed_lateness_ms // 2, self._has_more)
        self.reading = SourceReader(settings, self._backlog, self.metrics)
        self._upto: dict[TP, int] = {}
        self._done_at: dict[TP, float] = {}
        self._stirred = time.monotonic()
        self._busy = asyncio.Lock()
        self._closing = False
        self._unassigned = 0

    async def run(self, stream: Any) -> None:
        """The agent: chunks in, arrays out."""
        async for event in stream.noack().events():
            tp = TP(*event.message.tp)
            if tp in self.next and event.value.seek == self.consumer.scheduler.seeks:
                self._add(tp, event.value)
                await self._work()
            event.value.clear()

    def drop(self) -> None:
        """The assignment has ended."""
        self.next.clear()
        self._upto.clear()
        self._backlog.clear()

    async def resume(self, committed: Mapping[TP, int | None]) -> dict[TP, int]:
        """Where to read on: behind what is committed, else at the beginning."""
        if not committed:
            return {}
        earliest = await self.consumer.earliest_offsets(*committed)
        for tp, offset in committed.items():
            known = offset if offset is not None and offset >= 0 else None
            if known is not None and known < earliest[tp]:
                logger.error(
                    "%s[%d]: offsets %d to %d were deleted before they were read: keep the topic longer",
                    tp.topic,
                    tp.partition,
                    known,
                    earliest[tp] - 1,
                )
            self.next.setdefault(tp, max(known or 0, earliest[tp]))
        self._upto = dict(self.next)
        self._backlog.place(self.next)
        self._stirred = time.monotonic()
        return {tp: self.next[tp] for tp in committed}

    async def tend(self) -> None:
        """Go on with what was held back, tell now and then what was done, end a finite run."""
        told, tell_at = dict(self.reading.counts), time.monotonic() + TELL_SECONDS
        try:
            while not await self._finish():
                await asyncio.sleep(TICK_SECONDS)
                await self._go_on()
                if time.monotonic() >= tell_at:
                    if told != self.reading.counts:
                        logger.info("since the start: %s", self._told())
                    told, tell_at = dict(self.reading.counts), time.monotonic() + TELL_SECONDS
        except Exception as error:
            self.fail(error)

    async def watch(self) -> None:
        """Judge the own progress until the process ends."""
        await self.health.watch(self.config, self.config.topic("requests"))

    @property
    def live(self) -> dict[str, SourcePartition]:
        """Its partitions, for `pivotwatch.engine.metrics`."""
        done_at = self._done_at
        return {
            name_of(tp): SourcePartition(offset, done_at.get(tp, self._stirred))
            for tp, offset in self.next.items()
        }

    def end_of(self, name: str) -> int | None:
        """The end of a partition, once something was fetched from it."""
        return next(
            (position.end for tp, position in self.consumer.positions.items() if name_of(tp) == name), None
        )

    def progress(self) -> dict[Key, int]:
        """How far each partition is, and how many posts are answered, for `Health`."""
        found: dict[Key, int] = {}
        turn = self._backlog.turn()
        for tp, offset in self.next.items():
            if self._backlog.left(tp) and (turn is None or turn[0] != tp):
                continue  # It is ahead, and waits for others that are judged.
            position = self.consumer.positions.get(tp)
            # Behind the last record there may be transaction markers.
            done = position is not None and offset > position.last
            found[name_of(tp)] = max(offset, position.next) if position and done else offset
        if not self.next and not self.app.unassigned:
            found[JOINING] = 0
        if self.http_publisher is not None:
            found[HTTP] = self.http_publisher.finished
        return found

    def is_ready(self) -> bool:
        """Are its partitions being read, and does it listen where it should?"""
        listens = self.http_publisher is not None or self.settings.http is None or self.until_end is not None
        return listens and not self.app.rebalancing and bool(self.next or self.app.unassigned)

    async def close(self) -> None:
        """Take nothing more, and commit what is done."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                self._closing = True
                async with self._busy:
                    self.next.clear()
                await self.consumer.commit_done()
        except TimeoutError:
            logger.warning("the last commit took too long: some events will be sent again")
        logger.info("at the end: %s", self._told())

    def _told(self) -> str:
        return ", ".join(f"{number} {name}" for name, number in self.reading.counts.items())

    def _add(self, tp: TP, chunk: Chunk) -> None:
        """Put a chunk into the backlog, as far as it is wanted."""
        end = None if self.until_end is None else self.until_end.get(tp, 0)
        first = max(self.next[tp], self._upto[tp])
        self._backlog.add(tp, [r for r in chunk if first <= r.offset and (end is None or r.offset < end)])
        upto = chunk[-1].offset + 1
        self._upto[tp] = max(first, upto if end is None else min(upto, end))
        self._stirred = time.monotonic()

    async def _go_on(self) -> None:
        """Take what was held back: whoever it waited for may have come to the end, or say nothing at all."""
        if self._busy.locked() or not self._backlog.held():
            return
        if time.monotonic() - self._stirred > PATIENCE_SECONDS:
            for tp in self._backlog.give_up():
                logger.warning("nothing comes from %s: the others wait no longer", name_of(tp))
        await self._work()

    async def _work(self) -> None:
        """Take what may be taken now."""
        async with self._busy:
            while self._backlog.turn() is not None and not self._closing:
                await self._round()
            for tp in self.next:
                if not self._backlog.left(tp):
                    # What was fetched beyond the last record taken is not wanted.
                    self._finished(tp, self._upto[tp])
            held = self._backlog.held()
            self.consumer.held = held
            self.metrics.held.set(len(held))

    async def _round(self) -> None:
        """Decode and send, in the order of event time, as much as may wait for the broker at once."""
        seeks = self.consumer.scheduler.seeks
        room, pending, upto = FLUSH_EVENTS, list[asyncio.Future[Any]](), dict[TP, int]()
        while room > 0 and self._goes_on(seeks) and (turn := self._backlog.turn()) is not None:
            tp, limit = turn
            read = await self.reading.take(tp, limit, room)
            room -= max(len(read.events), 1)
            pending += await self._send(tp, read)
            upto[tp] = read.next
        await settled(pending)
        if seeks == self.consumer.scheduler.seeks:
            for tp, offset in upto.items():
                if tp in self.next:
                    self._finished(tp, offset)
        self._stirred = time.monotonic()

    def _finished(self, tp: TP, offset: int) -> None:
        """The broker has everything before an offset."""
        if offset > self.next[tp]:
            self.next[tp] = offset
            self._done_at[tp] = time.monotonic()
            self.consumer.done(tp, offset)

    def _goes_on(self, seeks: int) -> bool:
        """Is the backlog still that of the assignment that this work began in?"""
        return bool(self.next) and not self._closing and self.consumer.scheduler.seeks == seeks

    def _has_more(self, tp: TP) -> bool:
        """Will more come from a partition of which nothing is here?"""
        if self.until_end is not None and self._upto[tp] >= self.until_end.get(tp, 0):
            return False
        position = self.consumer.positions.get(tp)
        return position is None or position.next < position.end or position.last >= self._upto[tp]

    async def _send(self, tp: TP, read: Read) -> list[asyncio.Future[Any]]:
        """Send in order; the futures are done when the broker has everything."""
        output_sender = OutputSender(self.app.producer, self.config.topic, self.fail, self.metrics.sent)  # type: ignore[arg-type]
        await output_sender.send(read.letters)
        topic = self.config.topic("requests")
        sent = [
            await self.app.producer.send(
                topic, None, array.value, array.partition, timestamp=None, headers=list(array.headers)
            )
            for array in self._rekeyer.arrays(read.events, (self.identities[tp.topic], tp.partition))
        ]
        return [*sent, *output_sender.pending]

    async def _finish(self) -> bool:
        """Commit and end this worker when the finite run is over for it."""
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
        """Is everything before the end taken? Behind the last record there may be transaction markers."""
        assert self.until_end is not None
        end, position = self.until_end.get(tp, 0), self.consumer.positions.get(tp)
        return self.next[tp] >= end or (
            position is not None and position.next >= end and self.next[tp] > position.last
        )
