"""Records on their way to Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from pivotwatch.contracts.records import Output


class OutputSender:
    """Sends the outputs of a step and keeps every future until the broker has the record.

    Parameters
    ----------
    producer
        Faust's producer.
    topic
        From logical name to topic.
    fail
        Called at once when a record could not be sent; the process must end then.
    count
        Called with what is about to be sent.
    """

    def __init__(
        self,
        producer: Any,
        topic: Callable[[str], str],
        fail: Callable[[BaseException], None],
        count: Callable[[Sequence[Output]], None] = lambda outputs: None,
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._fail = fail
        self._count = count
        self._pending: set[asyncio.Future[object]] = set()

    @property
    def pending(self) -> frozenset[asyncio.Future[object]]:
        """Futures of the records that the broker has not confirmed."""
        return frozenset(self._pending)

    async def send(self, outputs: Sequence[Output]) -> None:
        """Send in order; waits only when the producer's buffer is full."""
        self._count(outputs)
        for output in outputs:
            future = await self._producer.send(
                self._topic(output.topic),
                output.key,
                output.value,
                partition=None,
                timestamp=None,
                headers=list(output.headers),
            )
            self._pending.add(future)
            future.add_done_callback(self._confirmed)

    def _confirmed(self, future: asyncio.Future[object]) -> None:
        if future.cancelled():
            self._fail(asyncio.CancelledError("a record was not sent"))
        elif (error := future.exception()) is not None:
            self._fail(error)
        else:
            self._pending.discard(future)
