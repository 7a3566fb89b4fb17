"""Authorization, duplicates, and answers of the HTTP server when Kafka is slow."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from pivotwatch.base.errors import WrongUse
from pivotwatch.config.config import load
from pivotwatch.ingest.http_auth import Authenticator, Unauthorized, sign
from pivotwatch.ingest.http_publisher import HttpPublisher
from pivotwatch.ingest.http_server import IngestServer
from pivotwatch.ingest.metrics import IngestMetrics
from pivotwatch.ingest.request_dedup import RequestDedup, http_identity
from pivotwatch.ingest.request_identity import Identity, record_identity
from pivotwatch.ingest.settings import read_settings
from tests.engine.rig import Nobody

NOW = 1_770_314_400
BODY = b'{"id":"r","ts":1,"account":"a","model":"m"}'


def signed(secret: bytes, at: int = NOW, body: bytes = BODY) -> dict[str, str]:
    return {
        "webhook-id": "msg-1",
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,other {sign(secret, 'msg-1', str(at), body)}",
    }


def refused(authenticator: Authenticator, headers: dict[str, str], body: bytes = BODY) -> str:
    with pytest.raises(Unauthorized) as caught:
        authenticator.check(headers, body)
    return str(caught.value)


def test_a_signature_is_valid_only_for_its_body() -> None:
    raw = b"twenty-four bytes of it."
    authenticator = Authenticator(None, b"whsec_" + base64.b64encode(raw), clock=lambda: NOW)
    authenticator.check(signed(raw), BODY)
    assert "is wrong" in refused(authenticator, signed(raw), BODY + b" ")
    assert "is wrong" in refused(authenticator, signed(b"another secret of tests"))
    assert "five minutes" in refused(authenticator, signed(raw, NOW - 301))
    assert "five minutes" in refused(authenticator, {**signed(raw), "webhook-timestamp": "soon"})
    assert "expected the headers" in refused(authenticator, {})


def test_either_a_token_or_a_signature() -> None:
    authenticator = Authenticator(b"a token of the tests", b"a secret of the tests", clock=lambda: NOW)
    authenticator.check({"Authorization": "bearer a token of the tests"}, BODY)
    authenticator.check(signed(b"a secret of the tests"), BODY)
    for wrong in ("Bearer a token", "Basic a token of the tests", "Bearer"):
        assert "bearer token" in refused(authenticator, {"Authorization": wrong})
    for odd in ("Bearer \udcff\udcfe", "Bearer é"):  # Bytes that are not UTF-8, as servers pass them on.
        assert "bearer token" in refused(authenticator, {"Authorization": odd})
        assert "is wrong" in refused(
            authenticator, {**signed(b"a secret of the tests"), "webhook-signature": odd, "webhook-id": odd}
        )
    Authenticator(None, None).check({}, b"")
    assert "expected the header" in refused(Authenticator(b"a token of the tests", None), {})


def test_a_server_without_a_secret_needs_loopback_and_an_explicit_setting() -> None:
    with pytest.raises(WrongUse, match="set token_file or hmac_file"):
        read_settings({"http": {"port": 0, "host": "0.0.0.0", "allow_without_token": True}})
    with pytest.raises(WrongUse, match="allow_without_token = true lets every program"):
        read_settings({"http": {"port": 0}})
    with pytest.raises(WrongUse, match="allow_without_token: remove it"):
        read_settings({"http": {"port": 0, "token_env": "T", "allow_without_token": True}})
    assert read_settings({"http": {"port": 0, "host": "0.0.0.0", "token_env": "T"}}).http
    assert read_settings({"http": {"port": 0, "allow_without_token": True}}).http


def posted(*ids: str, account: str = "a", ts: int = 1) -> list[Identity]:
    events = [{"id": each, "ts": ts, "account": account, "model": "m"} for each in ids]
    return [http_identity("native", event, record_identity(event, "")) for event in events]


def test_duplicates_are_known_during_the_window_and_failed_posts_may_be_repeated() -> None:
    async def play() -> None:
        now = 0.0
        dedup = RequestDedup(10, clock=lambda: now)
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()
        assert dedup.claim(posted("a", "b", "a"), first) == ([True, True, False], set())
        assert dedup.claim(posted("a", "c"), second) == ([False, True], {first})
        first.set_result(None)
        second.set_exception(OSError())
        assert dedup.claim(posted("a", "c"), loop.create_future()) == ([False, True], set())
        now = 11
        assert dedup.claim(posted("a"), loop.create_future())[0] == [False]
        now = 22
        assert dedup.claim(posted("d"), loop.create_future())[0] == [True]
        now = 44
        assert dedup.claim(posted("a", "d"), loop.create_future())[0] == [True, True]

    asyncio.run(play())


def test_equal_ids_of_other_accounts_or_times_are_no_duplicates() -> None:
    async def play() -> None:
        dedup, future = RequestDedup(10), asyncio.get_running_loop().create_future()
        assert dedup.claim(posted("a"), future)[0] == [True]
        assert dedup.claim(posted("a", account="b"), future)[0] == [True]
        assert dedup.claim(posted("a", ts=2), future)[0] == [True]
        assert dedup.claim(posted("a", ts=2), future)[0] == [False]

    asyncio.run(play())


class StuckPublisher(HttpPublisher):
    """A publisher whose broker never answers."""

    def __init__(self) -> None:
        super().__init__(load(), 1)
        self.since: float | None = None

    @property
    def silent_seconds(self) -> float:
        return self.since or 0.0


async def post(port: int, body: Any, **how: Any) -> tuple[int, Any, Any]:
    url = f"http://127.0.0.1:{port}/v1/events"
    async with aiohttp.ClientSession() as client, client.post(url, data=body, **how) as answer:
        return answer.status, orjson.loads(await answer.read()), answer.headers.get("Retry-After")


def test_clients_are_asked_to_retry_while_the_broker_is_slow() -> None:
    async def play() -> None:
        settings = read_settings(
            {
                "http": {
                    "port": 0,
                    "allow_without_token": True,
                    "max_pending": 1024,
                    "broker_timeout": "200ms",
                    "max_body": 4096,
                }
            }
        )
        http_publisher = StuckPublisher()
        server = IngestServer(settings, http_publisher, IngestMetrics(Nobody()))
        await server.start()
        try:
            padded = BODY[:-1] + b',"padding":"' + b"x" * 900 + b'"}'
            assert (await post(server.port, padded))[::2] == (503, "1"), "no answer in time"
            status, told, retry = await post(server.port, BODY.replace(b'"r"', b'"r2"') + b" " * 200)
            assert (status, retry) == (429, "1"), told
            assert (await post(server.port, b"x" * 5000))[0] == 413
            [(_, _, sent)] = http_publisher._waiting
            sent.set_result(None)
            await asyncio.sleep(0)
            assert http_publisher.pending == 0
            status, told, _ = await post(server.port, padded)
            assert (status, told["accepted"], told["duplicates"]) == (200, 0, 1), "the event did arrive"
            assert (await post(server.port, b"x" * 5000))[0] == 413
            http_publisher.since = 60.0
            assert (await post(server.port, BODY))[::2] == (503, "1")
        finally:
            await server.stop()

    asyncio.run(play())


def test_bodies_are_limited_while_they_arrive() -> None:
    async def parts(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * 500

    async def play() -> None:
        settings = read_settings(
            {"http": {"port": 0, "allow_without_token": True, "max_pending": 2000, "max_body": 4096}}
        )
        server = IngestServer(settings, StuckPublisher(), IngestMetrics(Nobody()))
        await server.start()
        try:
            assert (await post(server.port, parts(6)))[::2] == (429, "1"), "no length was given"
            settings = read_settings({"http": {"port": 0, "allow_without_token": True, "max_body": 4096}})
            other = IngestServer(settings, StuckPublisher(), IngestMetrics(Nobody()))
            await other.start()
            assert (await post(other.port, parts(60)))[0] == 413
            status, told, _ = await post(other.port, b"no gzip", headers={"Content-Encoding": "gzip"})
            assert (status, told["error"]) == (400, "the body does not match its Content-Encoding")
            assert server._incoming.size == other._incoming.size == 0
            await other.stop()
        finally:
            await server.stop()

    asyncio.run(play())
