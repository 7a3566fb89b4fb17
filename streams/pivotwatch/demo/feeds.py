"""What happens beside the display: the launch is played into Kafka, its results are read back.

Each feed is a thread that puts what it has to say into one queue; the display takes it out.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pivotwatch.config.config import Config
from pivotwatch.contracts.alerts import Alert, parse_alert
from pivotwatch.contracts.codec import millis_of
from pivotwatch.contracts.status import parse_status
from pivotwatch.engine.kafka import sync_client

if TYPE_CHECKING:
    from pivotwatch.simulation import Simulation
    from pivotwatch.simulation.encode import Slice

BATCH = 50


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """So many events more have been sent; event time is now ``until``."""

    events: int
    until: int


@dataclasses.dataclass(frozen=True, slots=True)
class Scored:
    """Everything before ``until`` has been judged."""

    until: int


@dataclasses.dataclass(frozen=True, slots=True)
class Played:
    """The last event has been acknowledged."""


@dataclasses.dataclass(frozen=True, slots=True)
class Broken:
    """A feed cannot go on."""

    error: BaseException


Message = Sent | Scored | Played | Broken | Alert


class Feeds:
    """Both threads, with the queue that they fill; leaving the ``with`` block ends them."""

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
        """Begin to read alerts and status."""
        self._begin(self._watch)

    def play(self) -> None:
        """Begin to send releases and events."""
        self._begin(self._play)

    def next(self, timeout: float) -> Message | None:
        """The next message, or None after ``timeout`` seconds without one."""
        try:
            return self._messages.get(timeout=timeout)
        except queue.Empty:
            return None

    def _begin(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                # Raised again by whoever takes it out, on the main thread.
                self._messages.put(Broken(error))

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _play(self) -> None:
        from pivotwatch.simulation.kafka import Player

        with Player(self.config.brokers, sync_client.security(self.config)) as player:
            player.send_releases(self.simulation.releases, self.config.topic("releases"))
            player.play(self._told_slices(), self.config.topic("requests"), speed=self.speed, batch=BATCH)
        self._messages.put(Played())

    def _told_slices(self) -> Iterator[Slice]:
        """The slices; each is told when the next one is asked for, which is when it has been sent."""
        for part in self.simulation.slices():
            if self._stop.is_set():
                return
            yield part
            self._messages.put(Sent(len(part), int(part.batch.ts.max())))

    def _watch(self) -> None:
        alerts, status = self.config.topic("alerts"), self.config.topic("status")
        with sync_client.consumer(self.config) as client:
            for record in sync_client.records(
                client, [alerts, status], from_beginning=True, stopped=self._stop.is_set
            ):
                if record.topic == alerts:
                    self._messages.put(parse_alert(record.value))
                else:
                    self._messages.put(Scored(millis_of(parse_status(record.value).end)))
