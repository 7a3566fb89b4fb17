"""Decodes buffered records to native events and dead letters, up to a limit in event time."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections import Counter

from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.detection.counting.deduplication import Place
from pivotwatch.engine.types import TP
from pivotwatch.ingest.decoded import Decoded, Event
from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.event_time_merge import EventTimeMerge
from pivotwatch.ingest.metrics import IngestMetrics
from pivotwatch.ingest.rejects import dead_letter
from pivotwatch.ingest.request_identity import SeenRequests
from pivotwatch.ingest.settings import Decoders, IngestSettings
from pivotwatch_models.method import STATE

YIELD_EVERY = 500
"""Records that are decoded before other tasks of the event loop may run."""


@dataclasses.dataclass(slots=True)
class SourceBatch:
    """Decoded records of one partition.

    Attributes
    ----------
    next
        The offset after the last record.
    events, dead_letters
        Events with their places, and dead letters, in the order of the records.
    no_requests, repeats
        Number of documents that are not requests, by reason, and of repeated reports of a request.
    bad, group_accounts
        Number of bad documents by reason, and of documents whose account is a team.
    """

    next: int = 0
    events: list[tuple[Place, Event]] = dataclasses.field(default_factory=list)
    dead_letters: list[Output] = dataclasses.field(default_factory=list)
    no_requests: Counter[str] = dataclasses.field(default_factory=Counter)
    repeats: int = 0
    bad: Counter[str] = dataclasses.field(default_factory=Counter)
    group_accounts: int = 0


class SourceReader:
    """Decodes the buffered records of source partitions.

    Parameters
    ----------
    settings
        The table ``[ingest]``, which names the source of each topic.
    merge
        Buffers the records.
    metrics
        Counts events and skipped documents.

    Attributes
    ----------
    counts
        Number of events, bad documents, documents that are not requests, repeats, and events whose account
        is a team, for the log.
    """

    def __init__(self, settings: IngestSettings, merge: EventTimeMerge, metrics: IngestMetrics) -> None:
        decoders = Decoders(settings)
        self._decoders: dict[str, Decoder] = {
            topic.name: decoders.of(topic.source) for topic in settings.topics
        }
        self._redaction = settings.dead_letters
        self._merge = merge
        self._metrics = metrics
        self._seen: dict[str, SeenRequests[bool]] = {
            topic.source: SeenRequests() for topic in settings.topics
        }
        self.counts = {
            "events": 0,
            "bad documents": 0,
            "other documents": 0,
            "repeats": 0,
            "team accounts": 0,
        }

    def forget(self) -> None:
        """Forget the requests that were read: after a new assignment their records may be read again."""
        for topic_source in self._seen:
            self._seen[topic_source] = SeenRequests()

    async def read(self, tp: TP, limit: float, max_events: int) -> SourceBatch:
        """Decode records of a partition.

        Parameters
        ----------
        limit
            Stop after the first record beyond this event time (milliseconds).
        max_events
            Stop when the batch has this many events.
        """
        decoder, batch, records = self._decoders[tp.topic], SourceBatch(), 0
        seen = self._seen[decoder.mapping.name]
        event_time = self._merge.advance(tp, -math.inf)
        while self._merge.has_records(tp) and len(batch.events) < max_events:
            record = self._merge.pop(tp)
            decoded = decoder.decode(record.value, seen=seen)
            batch.next, timestamp = record.offset + 1, record.timestamp
            # Counting refuses events from the future, so they must not advance the event time.
            latest = math.inf
            if timestamp is not None and timestamp >= 0:
                latest = timestamp + STATE.membership.future_ms
            for position, event in decoded.events:
                batch.events.append(((record.offset, position), event))
                if event_time < event["ts"] <= latest:
                    event_time = event["ts"]
            batch.no_requests.update(decoded.no_requests)
            batch.repeats += decoded.repeats
            batch.group_accounts += decoded.group_accounts
            if decoded.bad:
                batch.bad.update(decoded.bad_reasons())
                self._add_dead_letters(batch, tp, decoder.mapping.name, record, decoded)
            records += 1
            if event_time > limit:
                break
            if records % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        self._merge.advance(tp, event_time)
        self.counts["events"] += len(batch.events)
        self.counts["other documents"] += batch.no_requests.total()
        self.counts["repeats"] += batch.repeats
        self.counts["team accounts"] += batch.group_accounts
        self._metrics.read(
            decoder.mapping.name,
            events=len(batch.events),
            no_requests=batch.no_requests,
            repeats=batch.repeats,
            bad=batch.bad,
            group_accounts=batch.group_accounts,
        )
        return batch

    def _add_dead_letters(
        self, batch: SourceBatch, tp: TP, source: str, record: InputRecord, decoded: Decoded
    ) -> None:
        self.counts["bad documents"] += decoded.bad_total
        batch.dead_letters += [
            dead_letter(bad, self._redaction, source, record, (tp.topic, tp.partition)) for bad in decoded.bad
        ]
