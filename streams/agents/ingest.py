"""The role ``ingest``: topics of others in, arrays of native events per partition of ``requests`` out.

It has no state but what the group has committed. A chunk is decoded, its arrays and dead letters
are sent, and only when the broker has all of them the chunk is done and its offset may be
committed; nothing behind it is sent before. So after a crash the events since the commit are sent
again, each with its place in its source, and `streams.steps.origins` counts them once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from faust.types import TP

from streams.checkpoint import settled
from streams.chunks import Chunk
from streams.config import Config
from streams.errors import Fault, OutOfReach
from streams.fetch import FetchConsumer
from streams.outbox import Outbox
from streams.sources.arrays import Rekeyer
from streams.sources.decoder import Decoder, Event
from streams.sources.letters import letter
from streams.sources.settings import Decoders, IngestSettings
from streams.steps.contract import InputRecord, Output
from streams.steps.origins import Place

logger = logging.getLogger(__name__)

FLUSH_EVENTS = 20_000
PAUSE_EVERY = 500
"""Records that are decoded before others may run."""
TICK_SECONDS = 0.1
CLOSE_SECONDS = 5.0
TELL_SECONDS = 60.0


class IngestShell:
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
    over, stop
        As in `streams.agents.shell.Shell`.
    """

    role = "ingest"
    stop: Callable[[], None]

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
        self.app = app
        self.config = config
        self.settings = settings
        self.identities = identities
        self.until_end = until_end
        self.next: dict[TP, int] = {}
        self.over = False
        self.counts = {"events": 0, "misread": 0, "skipped": 0}
        decoders = Decoders(settings)
        self._decoders: dict[str, Decoder] = {
            topic.name: decoders.of(topic.source) for topic in settings.topics
        }
        self._rekeyer = Rekeyer(partitions)
        self._busy = asyncio.Lock()
        self._unassigned = 0

    @property
    def consumer(self) -> FetchConsumer:
        """The consumer of the app."""
        consumer: FetchConsumer = self.app.consumer
        return consumer

    async def run(self, stream: Any) -> None:
        """The agent: chunks in, arrays out."""
        async for event in stream.noack().events():
            tp = TP(*event.message.tp)
            if tp in self.next and event.value.seek == self.consumer.scheduler.seeks:
                async with self._busy:
                    await self._take(tp, event.value)
            event.value.clear()

    def drop(self) -> None:
        """The assignment has ended."""
        self.next.clear()

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
        return {tp: self.next[tp] for tp in committed}

    async def tend(self) -> None:
        """Tell what was done now and then; end a finite run."""
        loop = asyncio.get_running_loop()
        told, tell_at = dict(self.counts), loop.time() + TELL_SECONDS
        while not await self._finish():
            await asyncio.sleep(TICK_SECONDS)
            if loop.time() >= tell_at:
                if told != self.counts:
                    logger.info("since the start: %s", self._told())
                told, tell_at = dict(self.counts), loop.time() + TELL_SECONDS

    async def close(self) -> None:
        """Take nothing more, and commit what is done."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                async with self._busy:
                    self.next.clear()
                await self.consumer.commit_done()
        except TimeoutError:
            logger.warning("the last commit took too long: some events will be sent again")
        logger.info("at the end: %s", self._told())

    def fail(self, error: BaseException) -> None:
        """End the process: nothing more is sent or committed."""
        logger.error("this worker ends: %s", error, exc_info=None if isinstance(error, Fault) else error)
        self.drop()
        self._crash = asyncio.ensure_future(self.app.crash(error))

    def _told(self) -> str:
        return ", ".join(f"{number} {name}" for name, number in self.counts.items())

    async def _take(self, tp: TP, chunk: Chunk) -> None:
        """Decode a chunk, in parts that do not grow without bounds."""
        end = None if self.until_end is None else self.until_end.get(tp, 0)
        decoder, events, letters = self._decoders[tp.topic], list[tuple[Place, Event]](), list[Output]()
        last = chunk[-1].offset + 1
        for number, record in enumerate(chunk, start=1):
            if record.offset < self.next.get(tp, 0) or (end is not None and record.offset >= end):
                continue
            self._decode(decoder, tp, record, events, letters)
            if len(events) >= FLUSH_EVENTS:
                await self._flush(tp, events, letters, record.offset + 1)
                events, letters = [], []
            elif number % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
        await self._flush(tp, events, letters, last if end is None else min(last, end))

    def _decode(
        self,
        decoder: Decoder,
        tp: TP,
        record: InputRecord,
        events: list[tuple[Place, Event]],
        letters: list[Output],
    ) -> None:
        decoded = decoder.decode(record.value)
        offset = record.offset
        events += [((offset, position), event) for position, event in decoded.events]
        self.counts["events"] += len(decoded.events)
        self.counts["skipped"] += decoded.skipped
        self.counts["misread"] += len(decoded.misread)
        for misread in decoded.misread:
            told: dict[str, object] = {
                "source": decoder.mapping.name,
                "topic": tp.topic,
                "partition": tp.partition,
                "offset": offset,
            }
            letters.append(letter(misread, self.settings.dead_letters, told, record))

    async def _flush(
        self, tp: TP, events: list[tuple[Place, Event]], letters: list[Output], upto: int
    ) -> None:
        """Send, wait for the broker, and let the offset be committed."""
        seeks = self.consumer.scheduler.seeks
        outbox = Outbox(self.app.producer, self.config.topic, self.fail)  # type: ignore[arg-type]
        await outbox.send(letters)
        topic = self.config.topic("requests")
        sent = [
            await self.app.producer.send(
                topic, None, array.value, array.partition, timestamp=None, headers=list(array.headers)
            )
            for array in self._rekeyer.arrays(events, (self.identities[tp.topic], tp.partition))
        ]
        await settled([*sent, *outbox.pending])
        if tp in self.next and self.consumer.scheduler.seeks == seeks:
            self.next[tp] = max(self.next[tp], upto)
            self.consumer.done(tp, self.next[tp])

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


def look(config: Config, settings: IngestSettings, until_end: bool) -> dict[str, Any]:
    """What the broker knows: partitions of ``requests``, the topics of others, where they end.

    Raises
    ------
    OutOfReach
        When a topic is not there.
    """
    from streams import brokers

    names = [topic.name for topic in settings.topics]
    with brokers.consumer(config, isolation_level="read_committed") as client:
        requests = brokers.partitions_of(client, config.topic("requests"))
        there = client.topics()
        for name in names:
            if name not in there:
                raise OutOfReach(f"there is no topic {name}, which [ingest] topics names")
        theirs = [tp for name in names for tp in brokers.partitions_of(client, name)]
        ends = client.end_offsets(theirs) if until_end and theirs else {}
    with brokers.admin(config) as admin:
        described = admin.describe_topics(names) if names else []
    return {
        "partitions": len(requests),
        "identities": {topic["name"]: _identity(topic) for topic in described},
        "until_end": {TP(*tp): end for tp, end in ends.items()} if until_end else None,
    }


def _identity(topic: Mapping[str, Any]) -> str:
    """The name of a topic, and which topic of this name: one that is made anew begins at offset 0 again."""
    identity = str(topic.get("topic_id") or "").replace("-", "")
    return f"{topic['name']}:{identity}" if identity.strip("0") else str(topic["name"])
