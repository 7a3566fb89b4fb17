"""From the backlog to native events and dead letters, as far in event time as may be."""

from __future__ import annotations

import asyncio
import dataclasses
import math

from faust.types import TP

from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.detection.counting.deduplication import Place
from pivotwatch.ingest.decoder import Decoded, Decoder, Event
from pivotwatch.ingest.event_time_merge import EventTimeMerge
from pivotwatch.ingest.metrics import IngestMetrics
from pivotwatch.ingest.rejects import letter
from pivotwatch.ingest.settings import Decoders, IngestSettings
from pivotwatch_models.method import STATE

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
    skipped
        Documents that are no requests.
    """

    next: int = 0
    events: list[tuple[Place, Event]] = dataclasses.field(default_factory=list)
    letters: list[Output] = dataclasses.field(default_factory=list)
    skipped: int = 0


class SourceReader:
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

    def __init__(self, settings: IngestSettings, backlog: EventTimeMerge, metrics: IngestMetrics) -> None:
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
        decoder, read, taken = self._decoders[tp.topic], Read(), 0
        front = self._backlog.passed(tp, -math.inf)
        while self._backlog.left(tp) and len(read.events) < room:
            record = self._backlog.take(tp)
            decoded = decoder.decode(record.value)
            read.next, stamp = record.offset + 1, record.timestamp
            # Times that will be refused as future move nothing.
            latest = math.inf if stamp is None or stamp < 0 else stamp + STATE.membership.future_ms
            for position, event in decoded.events:
                read.events.append(((record.offset, position), event))
                if front < event["ts"] <= latest:
                    front = event["ts"]
            read.skipped += decoded.skipped
            if decoded.misread:
                self._misread(tp, decoder.mapping.name, record, decoded, read)
            taken += 1
            if front > limit:
                break
            if taken % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
        self._backlog.passed(tp, front)
        self.counts["events"] += len(read.events)
        self.counts["skipped"] += read.skipped
        self._metrics.read(decoder.mapping.name, events=len(read.events), skipped=read.skipped)
        return read

    def _misread(self, tp: TP, source: str, record: InputRecord, decoded: Decoded, read: Read) -> None:
        self.counts["misread"] += decoded.bad
        place = tp.topic, tp.partition
        read.letters += [
            letter(misread, self._redaction, source, record, place) for misread in decoded.misread
        ]
