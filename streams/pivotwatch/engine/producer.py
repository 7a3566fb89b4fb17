"""Sends records to Kafka: by the producer of the app, and the outputs of operators."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pivotwatch.contracts.records import Header, Output
from pivotwatch.engine.kafka.async_client import RecordSender


class AppProducer(RecordSender):
    """Sends records with the producer of a Faust app.

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
        """Send a record."""
        future: asyncio.Future[Any] = await self._app.producer.send(
            topic, key, value, partition=partition, timestamp=None, headers=list(headers)
        )
        return future


class OutputSender:
    """Sends the outputs of an operator, and keeps each future until the broker has the record.

    Parameters
    ----------
    send
        Sends a record, and returns a future that is done when the broker has it.
    topic
        Converts a logical name to the name of the topic.
    fail
        Called at once when a record could not be sent. It must end the process.
    count
        Called with the outputs before they are sent.
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
        """Send the outputs in order; wait only while the buffer of the producer is full."""
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
