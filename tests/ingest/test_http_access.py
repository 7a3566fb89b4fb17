"""Access to the HTTP server of ingest, with real sockets: guesses, other sites, unsigned bodies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pivotwatch.config.config import load
from pivotwatch.engine.http.failed_attempts import ALLOWED
from pivotwatch.ingest.http_auth import sign
from pivotwatch.ingest.http_publisher import HttpPublisher, Request
from pivotwatch.ingest.http_server import IngestServer
from pivotwatch.ingest.metrics import IngestMetrics
from pivotwatch.ingest.settings import read_settings
from tests.engine.http_rig import Client, request, until
from tests.engine.rig import Nobody

TOKEN = "a-token-of-the-tests-0123"
SECRET = b"a secret of the tests"
EVENT = '{"id":"%d","ts":1,"account":"a","model":"m"}'
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Publisher(HttpPublisher):
    """A publisher that stores its records; its broker acknowledges at once."""

    def __init__(self) -> None:
        super().__init__(load(), 1)
        self.got: list[str] = []

    def send(self, request: Request, size: int) -> None:
        self.got += [event["id"] for event in request.events]
        request.acknowledgement.set_result(None)


class Server:
    """A server and its clients."""

    def __init__(self, server: IngestServer, publisher: Publisher) -> None:
        self.server, self.publisher = server, publisher
        self.clients: list[Client] = []
        self.number = 0

    async def connect(self) -> Client:
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.server.port)))
        return self.clients[-1]

    async def post(self, body: str = "", **headers: str) -> int:
        """Post an event; return the status."""
        self.number += 1
        client = await self.connect()
        client.send(
            request("/v1/events", "POST", body or EVENT % self.number, **{"Connection": "close", **headers})
        )
        return await client.status()


@asynccontextmanager
async def serving(**http: Any) -> AsyncIterator[Server]:
    publisher = Publisher()
    server = IngestServer(read_settings({"http": {"port": 0, **http}}), publisher, IngestMetrics(Nobody()))
    await server.start()
    made = Server(server, publisher)
    try:
        yield made
    finally:
        for client in made.clients:
            client.close()
        await server.stop()


def signed(body: str, number: str = "1", secret: bytes = SECRET) -> dict[str, str]:
    at = str(int(time.time()))
    return {
        "webhook-id": number,
        "webhook-timestamp": at,
        "webhook-signature": sign(secret, number, at, body.encode()),
    }


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    monkeypatch.setenv("SECRET", SECRET.decode())


# Guesses.


@pytest.mark.parametrize("way", ["token", "signature", "token beside a secret"])
def test_the_right_secret_passes_while_others_guess(way: str, caplog: pytest.LogCaptureFixture) -> None:
    table = {
        "token": {"token_env": "TOKEN"},
        "signature": {"hmac_env": "SECRET"},
        "token beside a secret": {"token_env": "TOKEN", "hmac_env": "SECRET"},
    }[way]
    body = EVENT % 99
    right = signed(body) if way == "signature" else BEARER
    wrong = (
        signed(body, secret=b"another secret") if way == "signature" else {"Authorization": "Bearer guess"}
    )

    async def play() -> None:
        async with serving(**table) as made:
            begun = time.monotonic()
            statuses = await asyncio.gather(*(made.post(body, **wrong) for _ in range(ALLOWED + 20)))
            assert sorted(statuses) == [401] * ALLOWED + [429] * 20
            assert time.monotonic() - begun >= 1.0, "some guesses were delayed"
            guesses = [asyncio.create_task(made.post(body, **wrong)) for _ in range(3)]
            begun = time.monotonic()
            assert await made.post(body, **right) == 200
            assert time.monotonic() - begun < 0.9, (
                "the right secret must not be delayed, nor wait behind guesses"
            )
            await asyncio.gather(*guesses)
            assert made.publisher.got == ["99"]

    asyncio.run(play())
    assert "a wrong token or signature from 127.0.0.1" in caplog.text
    assert TOKEN not in caplog.text
    assert "guess" not in caplog.text


def test_a_post_without_a_secret_is_not_a_guess(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        async with serving(token_env="TOKEN", hmac_env="SECRET") as made:
            assert {await made.post() for _ in range(2 * ALLOWED)} == {401}

    asyncio.run(play())
    assert caplog.text == ""


# Browsers of other sites.

FOREIGN = [
    {"Origin": "https://evil.example", "Content-Type": "text/plain"},
    {"Origin": "null", "Content-Type": "text/plain"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Host": "evil.example", "Origin": "http://evil.example"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "localhost.evil.example:4319"},
    {"Host": "[::1"},
    {"Host": ""},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_without_a_token_other_sites_cannot_post_through_a_browser(headers: dict[str, str]) -> None:
    async def play() -> None:
        async with serving(allow_without_token=True) as made:
            assert await made.post(**headers) in (400, 403)
            assert made.publisher.got == []

    asyncio.run(play())


@pytest.mark.parametrize("headers", FOREIGN[:5], ids=str)
def test_with_a_token_other_sites_cannot_post_either(headers: dict[str, str]) -> None:
    async def play() -> None:
        async with serving(token_env="TOKEN") as made:
            assert await made.post(**headers, **BEARER) == 403
            assert await made.post(**BEARER, Host="ingest.example") == 200, "any configured name is accepted"

    asyncio.run(play())


def test_a_local_program_may_post_without_a_token_when_configured() -> None:
    async def play() -> None:
        async with serving(allow_without_token=True) as made:
            port = made.server.port
            for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "LOCALHOST"):
                assert await made.post(Host=host) == 200
            assert await made.post(Host=f"127.0.0.1:{port}", Origin=f"http://127.0.0.1:{port}") == 200
            assert await made.post(Content_Type="text/plain") == 200

    asyncio.run(play())


# Bodies of unknown senders.


def test_endless_unsigned_bodies_do_not_block_signed_ones() -> None:
    async def play() -> None:
        async with serving(hmac_env="SECRET", max_pending=64_000, max_body=16_000) as made:
            slow = []
            for number in range(20):
                slow.append(await made.connect())
                slow[-1].send(
                    request("/v1/events", "POST", "x" * 16_000, **signed("other", str(number)))[:-1]
                )
            await until(lambda: made.server._incoming.size > 48_000)
            body = " " * 10_000 + EVENT % 7
            assert await made.post(body, **signed(body)) == 200
            assert made.server._incoming.size <= 64_000
            assert await slow[0].read() == "", "the oldest body was dropped"

    asyncio.run(play())


def test_bodies_of_known_senders_are_never_dropped() -> None:
    async def play() -> None:
        async with serving(token_env="TOKEN", hmac_env="SECRET", max_pending=20_000, max_body=16_000) as made:
            known = await made.connect()
            whole = request("/v1/events", "POST", "[" + " " * 15_000 + EVENT % 7 + "]", **BEARER)
            known.send(whole[:-1])
            await until(lambda: made.server._incoming.size > 14_000)
            for number in range(5):
                unknown = await made.connect()
                unknown.send(request("/v1/events", "POST", "x" * 16_000, **signed("other", str(number)))[:-1])
                assert await unknown.status() in (0, 429)
            known.send(whole[-1:])
            assert await known.status() == 200

    asyncio.run(play())
