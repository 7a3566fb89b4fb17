"""Reads the topics of the page whole and follows them: no group, so every page has all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from aiokafka import ConsumerRecord, TopicPartition
from mode import Service

from pivotwatch.config.config import Config, Logical
from pivotwatch.engine.kafka.async_client import reader
from pivotwatch.web.read_model import ReadModel
from pivotwatch.web.server_sent_events import EventStream

TOPICS: tuple[Logical, ...] = ("decisions", "status", "alerts")
POLL_MS = 500


class Reader(Service):
    """A service beside Faust's own.

    Parameters
    ----------
    config
        The configuration.
    places
        What to read: logical topics and partitions.
    read_model, event_stream
        What it fills.
    clock
        Seconds of a monotonic clock.

    Attributes
    ----------
    ready
        Set when everything is there that the topics held at the start.
    next
        Where to read on, by topic and partition.
    polled_at
        When the broker was last asked, by ``clock``.
    """

    def __init__(
        self,
        config: Config,
        places: Sequence[tuple[Logical, int]],
        read_model: ReadModel,
        event_stream: EventStream,
        clock: Callable[[], float] = time.monotonic,
        **service: Any,
    ) -> None:
        self.config, self.read_model, self.event_stream, self.clock = config, read_model, event_stream, clock
        self._places = places
        self.ready = asyncio.Event()
        self.next: dict[tuple[Logical, int], int] = {}
        self.polled_at = clock()
        super().__init__(**service)

    @Service.task
    async def _read(self) -> None:
        async with reader(self.config) as consumer:
            places = {
                TopicPartition(self.config.topic(name), number): (name, number)
                for name, number in self._places
            }
            consumer.assign(list(places))
            starts = await consumer.beginning_offsets(list(places))
            ends = await consumer.end_offsets(list(places))
            for tp, start in starts.items():
                consumer.seek(tp, start)
            while not self.should_stop:
                if not self.ready.is_set() and all(
                    [await consumer.position(tp) >= ends[tp] for tp in places]
                ):
                    self.ready.set()
                batch = await consumer.getmany(timeout_ms=POLL_MS)
                self.polled_at = self.clock()
                # Decisions and status first: an alert is then shown with what is known of it.
                for tp in sorted(batch, key=lambda tp: TOPICS.index(places[tp][0])):
                    for record in batch[tp]:
                        self.take(places[tp], record)
                for tp, place in places.items():
                    self.next[place] = await consumer.position(tp)

    def take(self, place: tuple[Logical, int], record: ConsumerRecord[bytes, bytes]) -> None:
        """Take one record, and tell those who follow if it says something new."""
        if place[0] == "alerts":
            told = self.read_model.take_alert(record.value)
        elif place[0] == "decisions":
            told = self.read_model.take_decision(record.offset, record.key, record.value, record.headers)
        else:
            told = self.read_model.take_status(record.value, record.timestamp)
        name = {"alerts": "alert", "decisions": "decision"}.get(place[0], place[0])
        self.event_stream.add(place, record.offset, name if told else None, orjson.dumps(told).decode())

    def progress(self) -> Mapping[int, int]:
        """How far ``status`` is read, for `pivotwatch.engine.health.Health`: one consumer reads all
        topics.
        """
        return {0: self.next.get(("status", 0), 0)}

    def is_ready(self) -> bool:
        """Is everything there that the topics held at the start?"""
        return self.ready.is_set()
