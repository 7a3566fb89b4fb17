"""What came over HTTP on its way to Kafka: whatever waits goes together and is answered together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pivotwatch.base.errors import OutOfReach
from pivotwatch.config.config import Config
from pivotwatch.contracts.records import Output
from pivotwatch.engine.checkpoint import settled
from pivotwatch.engine.kafka.async_client import client_settings
from pivotwatch.ingest.arrays import Rekeyer
from pivotwatch.ingest.decoder import Event
from pivotwatch.ingest.request_dedup import Sent

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
STOP_SECONDS = 5.0

Posted = tuple[list[Event], list[Output], Sent]


class HttpPublisher:
    """Sends events as arrays, one per partition and flush.

    Parameters
    ----------
    config
        The configuration.
    partitions
        Of ``requests``.

    Attributes
    ----------
    pending
        Bytes that the broker has not confirmed.
    finished
        Posts that are done with, whatever came of them.
    """

    def __init__(self, config: Config, partitions: int) -> None:
        self._config = config
        self._rekeyer = Rekeyer(partitions)
        self._waiting: list[Posted] = []
        self._sending: list[Posted] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._producer: AIOKafkaProducer | None = None
        self._oldest: float | None = None
        self._taken = 0
        self._connects = False
        self.pending = 0
        self.finished = 0

    async def start(self) -> None:
        """Connect.

        Raises
        ------
        OutOfReach
            When no broker answers.
        """
        self._producer = self._new_producer()
        try:
            await self._producer.start()
        except KafkaError as error:
            await self._producer.stop()
            raise OutOfReach(f"no broker at {self._config.brokers}: {error}") from None
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Send what waits, then disconnect."""
        waiting = {sent for *_, sent in (*self._waiting, *self._sending)}
        if waiting:
            await asyncio.wait(waiting, timeout=STOP_SECONDS)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._producer is not None:
            await self._producer.stop()

    @property
    def end(self) -> int:
        """What `finished` comes to when nothing waits any more; a lost connection counts as waiting."""
        return self._taken + self._connects

    @property
    def silent(self) -> float:
        """Seconds that the broker has not answered for while something waits."""
        return 0.0 if self._oldest is None else asyncio.get_running_loop().time() - self._oldest

    def post(self, events: list[Event], letters: list[Output], size: int, sent: Sent) -> None:
        """Send; ``sent`` is done when the broker has all of it."""
        self.pending += size
        self._taken += 1
        sent.add_done_callback(self._release(size))
        self._waiting.append((events, letters, sent))
        self._wake.set()

    def _release(self, size: int) -> Callable[[Sent], None]:
        def release(sent: Sent) -> None:
            self.pending -= size
            self.finished += 1
            if not sent.cancelled():
                sent.exception()  # Somebody may have left before the answer.

        return release

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            self._sending = batch
            self._oldest = loop.time()
            try:
                await self._send(batch)
            except Exception as error:
                # Whatever it is: who waits must be told, and what comes next must go out.
                logger.error("not sent: %s", type(error).__name__)
                for *_, sent in batch:
                    if not sent.done():
                        sent.set_exception(OutOfReach("the broker did not take it"))
                await self._reconnect()
            for *_, sent in batch:
                if not sent.done():
                    sent.set_result(None)
            self._oldest, self._sending = None, []

    async def _send(self, batch: list[Posted]) -> None:
        assert self._producer is not None
        topic = self._config.topic("requests")
        events = (((0, 0), event) for some, _, _ in batch for event in some)
        sent: list[Any] = [
            await self._producer.send(topic, array.value, partition=array.partition)
            for array in self._rekeyer.arrays(events, None)
        ]
        for _, letters, _ in batch:
            for one in letters:
                dlq = self._config.topic("dlq")
                headers = list(one.headers)
                sent.append(await self._producer.send(dlq, one.value, key=one.key, headers=headers))
        await settled(sent)

    async def _reconnect(self) -> None:
        """A producer that has failed cannot number what comes next."""
        self._connects = True
        while True:
            with contextlib.suppress(Exception):
                if self._producer is not None:
                    await self._producer.stop()
            self._producer = self._new_producer()
            try:
                await self._producer.start()
                self._connects = False
                return
            except (KafkaError, OSError):
                await asyncio.sleep(RETRY_SECONDS)

    def _new_producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **client_settings(self._config),
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=120_000,
            max_batch_size=262_144,
        )
