"""From the backlog to native events and dead letters, as far in event time as may be."""

from __future__ import annotations

import asyncio
import dataclasses
import math

from faust.types import TP

from streams.agents.backlog import Backlog
from streams.agents.ingest_metrics import IngestMetrics
from streams.sources.decoder import Decoder, Event
from streams.sources.letters import letter
from streams.sources.settings import Decoders, IngestSettings
from streams.steps.buckets import FUTURE_MS
from streams.steps.contract import InputRecord, Output
from streams.steps.origins import Place

PAUSE_EVERY = 500
"""Records that are decoded before others may run."""


@dataclasses.dataclass(slots=True)
class Read:
    """What some records of a partition became.

    Attributes
    ----------
    next
        The offset behind the last of them.
    events, letters
        In their order.
    """

    next: int = 0
    events: list[tuple[Place, Event]] = dataclasses.field(default_factory=list)
    letters: list[Output] = dataclasses.field(default_factory=list)


class Reading:
    """Decodes the records of a backlog.

    Parameters
    ----------
    settings
        Which topic is read by which mapping.
    backlog
        Where the records are.
    metrics
        Where it is counted what they became.

    Attributes
    ----------
    counts
        The same, for the log.
    """

    def __init__(self, settings: IngestSettings, backlog: Backlog, metrics: IngestMetrics) -> None:
        decoders = Decoders(settings)
        self._decoders: dict[str, Decoder] = {
            topic.name: decoders.of(topic.source) for topic in settings.topics
        }
        self._redaction = settings.dead_letters
        self._backlog = backlog
        self._metrics = metrics
        self.counts = {"events": 0, "misread": 0, "skipped": 0}

    async def take(self, tp: TP, limit: float, room: int) -> Read:
        """Take records of a partition until one passes the limit, or there are ``room`` events."""
        read, taken = Read(), 0
        while self._backlog.left(tp) and len(read.events) < room:
            record = self._backlog.take(tp)
            before = len(read.events)
            self._decode(tp, record, read)
            if self._front(tp, record, read.events[before:]) > limit:
                break
            taken += 1
            if taken % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
        return read

    def _decode(self, tp: TP, record: InputRecord, read: Read) -> None:
        decoder, offset = self._decoders[tp.topic], record.offset
        decoded = decoder.decode(record.value)
        read.next = offset + 1
        read.events += [((offset, position), event) for position, event in decoded.events]
        self.counts["events"] += len(decoded.events)
        self.counts["skipped"] += decoded.skipped
        self.counts["misread"] += decoded.bad
        self._metrics.read(decoder.mapping.name, decoded)
        for misread in decoded.misread:
            told: dict[str, object] = {
                "source": decoder.mapping.name,
                "topic": tp.topic,
                "partition": tp.partition,
                "offset": offset,
            }
            read.letters.append(letter(misread, self._redaction, told, record))

    def _front(self, tp: TP, record: InputRecord, events: list[tuple[Place, Event]]) -> float:
        """The highest event time of a partition so far, but for times that will be refused as future."""
        stamp = record.timestamp
        latest = math.inf if stamp is None or stamp < 0 else stamp + FUTURE_MS
        times = (event["ts"] for _, event in events)
        return self._backlog.passed(tp, max((ts for ts in times if ts <= latest), default=-math.inf))
