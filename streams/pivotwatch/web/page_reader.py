"""Reads the topics of the page completely and follows them, without a consumer group."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import orjson

from pivotwatch.config.config import Config
from pivotwatch.config.topic_settings import Logical
from pivotwatch.contracts.codec import within_calendar
from pivotwatch.contracts.records import InputRecord
from pivotwatch.engine.topic_follower import TopicFollower
from pivotwatch.engine.types import TP
from pivotwatch.web.read_model import ReadModel
from pivotwatch.web.server_sent_events import EventStream
from pivotwatch.web.sessions import Sessions

TOPICS: tuple[Logical, ...] = ("sessions", "decisions", "status", "alerts")
"""Decisions and status before alerts, so an alert is shown together with them."""


class Reader:
    """Fills the read model and the event stream.

    Parameters
    ----------
    config
        The configuration.
    places
        Logical topics and partitions to read.
    read_model, event_stream
        Receive the records and their events.
    sessions
        Receives the records of sessions, which are not events.
    """

    def __init__(
        self,
        config: Config,
        places: Sequence[tuple[Logical, int]],
        read_model: ReadModel,
        event_stream: EventStream,
        sessions: Sessions,
    ) -> None:
        self.read_model, self.event_stream, self.sessions = read_model, event_stream, sessions
        self._places: dict[TP, tuple[Logical, int]] = {
            TP(config.topic(name), number): (name, number)
            for name, number in sorted(places, key=lambda place: TOPICS.index(place[0]))
        }
        self._follower = TopicFollower(config, list(self._places), self._take)
        sessions.loaded = self._follower.caught_up
        self.run = self._follower.run
        self.logs = self._follower.logs

    @property
    def ready(self) -> asyncio.Event:
        """Set once every record is taken that the topics held at the start."""
        return self._follower.caught_up

    @property
    def next(self) -> Mapping[TP, int]:
        """The offset behind the last record taken, by partition."""
        return self._follower.next

    async def _take(self, tp: TP, record: InputRecord) -> None:
        self.take(self._places[tp], record)

    def take(self, place: tuple[Logical, int], record: InputRecord) -> None:
        """Apply one record, and add its event to the stream."""
        if place[0] == "sessions":
            self.sessions.take(record.offset, record.key, record.value)
            return
        if place[0] == "alerts":
            event = self.read_model.take_alert(record.value)
        elif place[0] == "decisions":
            event = self.read_model.take_decision(record.offset, record.key, record.value, record.headers)
        else:
            event = self.read_model.take_status(record.value, within_calendar(record.timestamp))
        name = {"alerts": "alert", "decisions": "decision"}.get(place[0], place[0])
        self.event_stream.add(place, record.offset, name if event else None, orjson.dumps(event).decode())
