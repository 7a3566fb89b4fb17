"""The feeds of the demo: one thread sends the simulated launch to Kafka, one reads the results.

Both threads put messages into one queue, which the main thread reads.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Callable, Iterator

from pivotwatch.config.config import Config
from pivotwatch.contracts.alerts import Alert, parse_alert
from pivotwatch.contracts.codec import millis_of
from pivotwatch.contracts.status import parse_status
from pivotwatch.engine.kafka import sync_client
from pivotwatch.simulation import Simulation
from pivotwatch.simulation.encode import Slice
from pivotwatch.simulation.kafka import Player

BATCH = 50
"""Events per Kafka record."""


@dataclasses.dataclass(frozen=True, slots=True)
class EventsSent:
    """``events`` more events were sent. Event time is now ``until`` (epoch milliseconds)."""

    events: int
    until: int


@dataclasses.dataclass(frozen=True, slots=True)
class BucketsScored:
    """The workers have scored every bucket before ``until`` (epoch milliseconds)."""

    until: int


@dataclasses.dataclass(frozen=True, slots=True)
class PlaybackEnded:
    """Kafka has acknowledged the last event."""


@dataclasses.dataclass(frozen=True, slots=True)
class FeedFailed:
    """A feed ended with an error."""

    error: BaseException


Message = EventsSent | BucketsScored | PlaybackEnded | FeedFailed | Alert


class Feeds:
    """The two threads and their queue. Leaving the ``with`` block ends the threads.

    Parameters
    ----------
    config
        The configuration of the demo.
    simulation
        The launch.
    speed
        Seconds of event time per second.
    """

    def __init__(self, config: Config, simulation: Simulation, speed: float) -> None:
        self.config = config
        self.simulation = simulation
        self.speed = speed
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Feeds:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def watch(self) -> None:
        """Start to read alerts and status."""
        self._start(self._watch)

    def play(self) -> None:
        """Start to send releases and events."""
        self._start(self._play)

    def next(self, timeout: float) -> Message | None:
        """The next message, or None after ``timeout`` seconds without one."""
        try:
            return self._messages.get(timeout=timeout)
        except queue.Empty:
            return None

    def _start(self, feed: Callable[[], None]) -> None:
        def run() -> None:
            try:
                feed()
            except BaseException as error:
                # The main thread raises it again.
                self._messages.put(FeedFailed(error))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _play(self) -> None:
        with Player(self.config.brokers, sync_client.security(self.config)) as player:
            player.send_releases(self.simulation.releases, self.config.topic("releases"))
            player.play(self._slices(), self.config.topic("requests"), speed=self.speed, batch=BATCH)
        self._messages.put(PlaybackEnded())

    def _slices(self) -> Iterator[Slice]:
        """The slices of the simulation. The player asks for the next slice when it has sent one."""
        for part in self.simulation.slices():
            if self._stop.is_set():
                return
            yield part
            self._messages.put(EventsSent(len(part), int(part.batch.ts.max())))

    def _watch(self) -> None:
        alerts, status = self.config.topic("alerts"), self.config.topic("status")
        with sync_client.consumer(self.config) as client:
            for record in sync_client.records(
                client, [alerts, status], from_beginning=True, stopped=self._stop.is_set
            ):
                if record.topic == alerts:
                    self._messages.put(parse_alert(record.value))
                else:
                    self._messages.put(BucketsScored(millis_of(parse_status(record.value).end)))
