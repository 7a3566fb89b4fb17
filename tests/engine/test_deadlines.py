"""Brokers that do not answer are not waited for long, except where the answer needs it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import JoinGroupRequest
from aiokafka.protocol.metadata import MetadataRequest

from pivotwatch.engine.kafka import deadlines


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(deadlines, "ANSWER_SECONDS", 0.2)
    deadlines._fetch_seconds.clear()
    yield
    deadlines._fetch_seconds.clear()


class Silent:
    """A broker that accepts connections and never answers."""

    async def __aenter__(self) -> int:
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def accept(self, reader: Any, writer: Any) -> None:
        await reader.read()
        writer.close()


def test_a_broker_that_accepts_and_never_answers_is_given_up() -> None:
    async def run() -> float:
        async with Silent() as port:
            begun = time.monotonic()
            with pytest.raises(TimeoutError):
                await deadlines.conn.create_conn("127.0.0.1", port, request_timeout_ms=90_000)
            return time.monotonic() - begun

    assert asyncio.run(run()) < 5


def waited(request: Any, tries: int = 1) -> list[float]:
    """How long each request that nobody answers may take."""

    async def run() -> list[float]:
        connection = deadlines.Connection("broker", 9092, request_timeout_ms=90_000)
        found: list[float] = []

        async def answer(seconds: float) -> None:
            found.append(seconds)
            raise TimeoutError

        def send(self: Any, request: Any, expect_response: bool = True) -> Any:
            return answer(self._request_timeout)

        library = deadlines.Connection.__mro__[1]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(library, "send", send)
            for _ in range(tries):
                with pytest.raises(TimeoutError):
                    await connection.send(request)
        return found

    return asyncio.run(run())


def test_only_requests_that_wait_for_others_have_the_long_time() -> None:
    assert waited(MetadataRequest([])) == [0.2]
    assert waited(JoinGroupRequest.__new__(JoinGroupRequest)) == [90.0]


def test_a_fetch_over_a_slow_line_gets_more_time_at_each_try() -> None:
    seconds = waited(FetchRequest.__new__(FetchRequest), tries=12)
    assert seconds[:3] == [0.2, 0.4, 0.8]
    assert seconds[-1] == 90.0
