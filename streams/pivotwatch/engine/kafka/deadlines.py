"""How long aiokafka waits for a broker that does not answer.

aiokafka has one time-out for every request and connection. Faust sets it to minutes, because a member of a
group waits that long while others join. A broker that hangs (its host swaps, its disk stalls, the network
drops its packets) would then stop the worker for minutes after another broker has become leader. So only
requests that wait for other members have the long time-out. A fetch that took too long gets more time at its
next try: over a slow line its answer needs it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any

from aiokafka import conn
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest

ANSWER_SECONDS = 10.0
"""After this time the connection is closed, and another broker is asked who the leader is. The request is
repeated, so a slow answer costs time and nothing else."""
WAITING = (JoinGroupRequest, SyncGroupRequest)
"""Requests that a broker answers when other members have come."""

_fetch_seconds: dict[tuple[str, int], float] = {}
"""Of brokers whose fetches took too long: how long they may take now."""


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """A connection that does not wait long for a broker that hangs."""

    _request_timeout: float

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._longest = self._request_timeout
        self._request_timeout = min(ANSWER_SECONDS, self._longest)

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Send a request; the result waits for the answer."""
        if isinstance(request, WAITING):
            return self._send(request, expect_response, self._longest)
        if isinstance(request, FetchRequest):
            seconds = _fetch_seconds.get((self.host, self.port), self._request_timeout)
            return self._fetched(self._send(request, expect_response, seconds), seconds)
        return super().send(request, expect_response)

    def _send(self, request: Any, expect_response: bool, seconds: float) -> Any:
        usual, self._request_timeout = self._request_timeout, seconds
        try:
            return super().send(request, expect_response)
        finally:
            self._request_timeout = usual

    async def _fetched(self, answer: Awaitable[Any], seconds: float) -> Any:
        """Wait for the answer to a fetch, and note how long the next one may take."""
        broker, begun = (self.host, self.port), time.monotonic()
        try:
            found = await answer
        except TimeoutError:
            _fetch_seconds[broker] = min(2 * seconds, self._longest)
            raise
        if time.monotonic() - begun < self._request_timeout / 2:
            _fetch_seconds.pop(broker, None)
        return found


def install() -> None:
    """Let aiokafka's clients make such connections, in this process."""
    conn.AIOKafkaConnection = Connection
