"""Random requests to every route of the page and of ingest: whatever comes, the fault is the client's."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from tests.engine.http_rig import Client
from tests.ingest.test_http_access import SECRET, TOKEN
from tests.ingest.test_http_access import serving as serving_ingest
from tests.web.site import KIM, PEOPLE, TOKENS, site

REQUESTS = 800
METHODS = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "CONNECT", "FOO", "get"]
INCIDENT = "/incidents/0000000000000001"
PATHS = [
    *(
        "/",
        "/incidents",
        INCIDENT,
        f"{INCIDENT}/decisions",
        "/incidents/%00",
        "/runbook",
        "/login",
        "/logout",
        "/sessions",
        "/login/oidc",
        "/login/oidc/callback?code=x&state=x",
    ),
    *("/login?next=//x", "/static/page.css", "/static/../x", "/incidents?state=all&page=99999&kind=x"),
    *(
        "/api/v1/incidents",
        f"/api/v1{INCIDENT}",
        f"/api/v1{INCIDENT}/decisions",
        "/api/v1/releases",
        "/api/v1/decisions",
    ),
    *("/api/v1/events?since=x", "/api/v1/incidents?limit=-1", "/health", "/ready", "/metrics", "/healthz"),
    *("/v1/events", "/v1/events/native", "/v1/events/%ff", "/v1/traces", "//", "/%0a%0dX", "*"),
    *("http://evil/", "/?a=%ff&b[]=1"),
]
NAMES = [
    *("Host", "Authorization", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Cookie", "Origin"),
    *("Sec-Fetch-Site", "Last-Event-ID", "X-Forwarded-User", "X-Form-Token", "If-None-Match", "Range"),
    *("Accept", "Connection", "Upgrade", "Expect", "webhook-id", "webhook-timestamp", "webhook-signature"),
    *("Content-Length", "X"),
]
VALUES = [
    *("", "x", "\xff", "\x00", "%00", "null", "[", "{}", "-1", "9" * 400, "é", "a,b", "; ;", "=", '"'),
    *("Bearer", f"Bearer {KIM}", f"Bearer {TOKEN}", "Bearer \xff", "Basic eDp5", "gzip", "deflate", "br"),
    *("zstd", "identity", "chunked", "application/json", "text/plain; charset=nonsense", "v1,x v1,y"),
    *("multipart/form-data; boundary=x", "application/x-www-form-urlencoded; charset=utf-16", "1760000000"),
    *("application/x-protobuf", "same-origin", "cross-site", "https://evil", "[::1", "[::1]:99999"),
    *("127.0.0.1:abc", "a:b:c", "localhost", "websocket", "Upgrade", "keep-alive", "100-continue"),
    *("pivotwatch=x; pivotwatch-login=x", "pivotwatch=\xff; pivotwatch-login=\xff"),
]
BODIES = [
    *("", "{}", "[]", "null", "form_token=x&token=y", "verdict=benign&form_token=\xff", "\x1f\x8b\x08"),
    *('{"verdict":1,"entity":[],"note":{}}', '{"verdict":"benign","form_token":"\\ud800"}', '[{"id":1}]'),
    *('{"id":"a","ts":1,"account":"a","model":"m"}', "a\nb\n", "\x00" * 100, "[" * 3000, "--x\r\n\r\n--x--"),
]


def message(chance: random.Random) -> bytes:
    """One request, more or less."""
    body = chance.choice(BODIES)
    headers = {"Host": "127.0.0.1", "Content-Length": str(len(body))}
    headers |= {chance.choice(NAMES): chance.choice(VALUES) for _ in range(chance.randrange(6))}
    first = f"{chance.choice(METHODS)} {chance.choice(PATHS)} HTTP/1.{chance.choice('0111')}"
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", body]).encode("latin-1", "replace")


async def flood(port: int, seed: int) -> None:
    """Send many, several at once; none is answered with a fault of ours."""
    chance, statuses = random.Random(seed), Counter[int]()

    async def send() -> None:
        sent = message(chance)
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        client.writer.write(sent)
        try:
            status = await client.status(0.3)
        except TimeoutError:
            status = -1  # It waits for more, or tells what happens.
        finally:
            client.close()
        assert status != 500, sent
        statuses[status] += 1

    for _ in range(0, REQUESTS, 20):
        await asyncio.gather(*(send() for _ in range(20)))
    assert len(statuses) > 4, statuses


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**TOKENS, "TOKEN": TOKEN, "SECRET": SECRET.decode()}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("settings", [{"open_as": "operator"}, {"people": PEOPLE}], ids=["open", "people"])
def test_no_request_makes_the_page_fail(
    settings: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> None:
        async with site(**settings) as made:
            made.put_alert()
            await flood(made.client.port or 0, seed=len(settings))
            assert (await made.get("/health")).status == 200

    asyncio.run(play())
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "settings", [{"allow_without_token": True}, {"token_env": "TOKEN", "hmac_env": "SECRET"}]
)
def test_no_request_makes_ingest_fail(settings: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        async with serving_ingest(**settings, sources=["native", "otlp_json", "otlp_proto"]) as made:
            await flood(made.server.port, seed=len(settings))
            made.number = 1_000_000
            secret = {} if "allow_without_token" in settings else {"Authorization": f"Bearer {TOKEN}"}
            assert await made.post(**secret) == 200

    asyncio.run(play())
    assert "Traceback" not in caplog.text
