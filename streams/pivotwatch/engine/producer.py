"""Records on their way to Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pivotwatch.contracts.records import Output
from pivotwatch.engine.kafka.async_client import Header, not_sent


class AppProducer:
    """The producer of a Faust app, by one call for every record.

    Parameters
    ----------
    app
        The app.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int | None = None,
        headers: Sequence[Header] = (),
    ) -> asyncio.Future[Any]:
        """Send a record; waits only while the buffer is full. The result is done when the broker has it."""
        future: asyncio.Future[Any] = await self._app.producer.send(
            topic, key, value, partition=partition, timestamp=None, headers=list(headers)
        )
        return future

    async def send_and_wait(
        self, topic: str, key: bytes | None, value: bytes | None, *, headers: Sequence[Header] = ()
    ) -> int:
        """Send a record, wait until the broker has it, and return its offset.

        Raises
        ------
        NotSent
            When the broker does not take it.
        """
        with not_sent():
            offset: int = (await (await self.send(topic, key, value, headers=headers))).offset
        return offset


class OutputSender:
    """Sends the outputs of an operator, and keeps every future until the broker has the record.

    Parameters
    ----------
    send
        Sends a record; its result is done when the broker has it.
    topic
        From logical name to topic.
    fail
        Called at once when a record could not be sent; the process must end then.
    count
        Called with what is about to be sent.
    """

    def __init__(
        self,
        send: Callable[..., Awaitable[asyncio.Future[Any]]],
        topic: Callable[[Any], str],
        fail: Callable[[BaseException], None],
        count: Callable[[Sequence[Output]], None] = lambda outputs: None,
    ) -> None:
        self._send = send
        self._topic = topic
        self._fail = fail
        self._count = count
        self._pending: set[asyncio.Future[Any]] = set()

    @property
    def pending(self) -> frozenset[asyncio.Future[Any]]:
        """Futures of the records that the broker has not confirmed."""
        return frozenset(self._pending)

    async def send(self, outputs: Sequence[Output]) -> None:
        """Send in order; waits only while the producer's buffer is full."""
        self._count(outputs)
        for output in outputs:
            future = await self._send(
                self._topic(output.topic), output.key, output.value, headers=output.headers
            )
            self._pending.add(future)
            future.add_done_callback(self._confirmed)

    def _confirmed(self, future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            self._fail(asyncio.CancelledError("a record was not sent"))
        elif (error := future.exception()) is not None:
            self._fail(error)
        else:
            self._pending.discard(future)
