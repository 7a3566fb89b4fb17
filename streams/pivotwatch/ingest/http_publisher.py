"""Sends the events of HTTP requests to Kafka. Requests that wait at the same time are sent together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from pivotwatch.base.errors import OutOfReach
from pivotwatch.config.config import Config
from pivotwatch.contracts.records import Output
from pivotwatch.engine.checkpoint import settled
from pivotwatch.engine.kafka.async_client import Producer
from pivotwatch.ingest.arrays import ArrayBuilder
from pivotwatch.ingest.decoded import Event
from pivotwatch.ingest.request_dedup import Acknowledgement

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
STOP_SECONDS = 5.0


class Request(NamedTuple):
    """The events and dead letters of one HTTP request, and the future of their acknowledgement."""

    events: list[Event]
    dead_letters: list[Output]
    acknowledgement: Acknowledgement


class HttpPublisher:
    """Sends events as arrays, one per partition and batch of requests.

    Parameters
    ----------
    config
        The configuration.
    partitions
        Number of partitions of ``requests``.

    Attributes
    ----------
    pending
        Bytes of the requests that Kafka has not acknowledged.
    finished
        Number of finished requests, whether they succeeded or not.
    """

    def __init__(self, config: Config, partitions: int) -> None:
        self._config = config
        self._arrays = ArrayBuilder(partitions)
        self._waiting: list[Request] = []
        self._sending: list[Request] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._producer: Producer | None = None
        self._sending_since: float | None = None
        self._accepted = 0
        self._reconnecting = False
        self.pending = 0
        self.finished = 0

    async def start(self) -> None:
        """Connect to Kafka.

        Raises
        ------
        OutOfReach
            When no broker answers.
        """
        self._producer = self._new_producer()
        await self._producer.start()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Send waiting requests, then disconnect."""
        waiting = {request.acknowledgement for request in (*self._waiting, *self._sending)}
        if waiting:
            await asyncio.wait(waiting, timeout=STOP_SECONDS)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._producer is not None:
            await self._producer.stop()

    @property
    def total(self) -> int:
        """Number of requests so far. A lost connection counts as one more request, until it is restored."""
        return self._accepted + self._reconnecting

    @property
    def silent_seconds(self) -> float:
        """How long the running send has waited for the broker, in seconds."""
        since = self._sending_since
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    def send(self, request: Request, size: int) -> None:
        """Send a request; its acknowledgement is done when Kafka has acknowledged everything.

        Parameters
        ----------
        size
            Bytes of the body.
        """
        self.pending += size
        self._accepted += 1
        request.acknowledgement.add_done_callback(self._on_done(size))
        self._waiting.append(request)
        self._wake.set()

    def _on_done(self, size: int) -> Callable[[Acknowledgement], None]:
        def finish(acknowledgement: Acknowledgement) -> None:
            self.pending -= size
            self.finished += 1
            if not acknowledgement.cancelled():
                acknowledgement.exception()  # Mark it as retrieved: the client may have disconnected.

        return finish

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            self._sending = batch
            self._sending_since = loop.time()
            try:
                await self._send(batch)
            except Exception as error:
                # After any error, these clients need an answer and later requests must still be sent.
                logger.error("%d requests were not sent: %s", len(batch), type(error).__name__)
                for request in batch:
                    if not request.acknowledgement.done():
                        request.acknowledgement.set_exception(
                            OutOfReach("Kafka did not acknowledge the events")
                        )
                await self._reconnect()
            for request in batch:
                if not request.acknowledgement.done():
                    request.acknowledgement.set_result(None)
            self._sending_since, self._sending = None, []

    async def _send(self, batch: list[Request]) -> None:
        assert self._producer is not None
        topic, dlq = self._config.topic("requests"), self._config.topic("dlq")
        events = (((0, 0), event) for request in batch for event in request.events)
        sent: list[Any] = [
            await self._producer.send(topic, None, array.value, partition=array.partition)
            for array in self._arrays.arrays(events, None)
        ]
        for request in batch:
            for letter in request.dead_letters:
                sent.append(await self._producer.send(dlq, letter.key, letter.value, headers=letter.headers))
        await settled(sent)

    async def _reconnect(self) -> None:
        """Replace the producer: after an error it has lost its sequence numbers."""
        self._reconnecting = True
        while True:
            with contextlib.suppress(Exception):
                if self._producer is not None:
                    await self._producer.stop()
            self._producer = self._new_producer()
            try:
                await self._producer.start()
                self._reconnecting = False
                return
            except OutOfReach:
                await asyncio.sleep(RETRY_SECONDS)

    def _new_producer(self) -> Producer:
        return Producer(
            self._config, enable_idempotence=True, request_timeout_ms=120_000, max_batch_size=262_144
        )
