"""The page as it is served, without Kafka: tests put records in, and decisions go to a list."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import ClientResponse, CookieJar
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from pivotwatch.config.config import load
from pivotwatch.engine.http.server import HttpServer
from pivotwatch.engine.runtime import RoleApp
from pivotwatch.roles.web import build_web
from pivotwatch.web.settings import read_settings
from tests.reporting.examples import alert, status

KIM, LEE = "kim-token-0123456789abcdef", "lee-token-0123456789abcdef"
TOKENS = {"KIM_TOKEN": KIM, "LEE_TOKEN": LEE}
PEOPLE = [
    {"name": "kim", "role": "operator", "token_env": "KIM_TOKEN"},
    {"name": "lee", "token_env": "LEE_TOKEN"},
]
PLACES = [("alerts", 0), ("decisions", 0), ("sessions", 0), ("status", 0)]


class PageServer(TestServer):
    """The server that a worker runs, for aiohttp's client of tests."""

    def __init__(self, server: HttpServer) -> None:
        super().__init__(server._runner.app)
        self.http = server

    async def start_server(self, *_: Any, **__: Any) -> None:
        await self.http.start()
        self.runner = self.http._runner
        self.host, self.port = "127.0.0.1", self.http.address[1]
        self._root = URL(f"http://{self.host}:{self.port}")

    async def close(self) -> None:
        if not self.closed:
            self._closed = True
            await self.http.stop()


class Record(NamedTuple):
    """A record of Kafka."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp: int


class Broker:
    """A stand-in for Faust's producer; acknowledged records are read back at once."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.sent: list[Record] = []
        self.sessions: list[Record] = []
        self.answers = True

    async def send(self, topic: str, key: bytes, value: bytes | None, *, headers: Any, **_: Any) -> Any:
        kept = {"decisions": self.sent, "sessions": self.sessions}[topic]
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.answers:
            record = Record(len(kept), key, value, headers, 0)
            kept.append(record)
            self.site.app.shell.task.reader.take((topic, 0), record)
            future.set_result(record)
        return future


class Site:
    """A served site, with a client."""

    def __init__(self, app: RoleApp) -> None:
        self.app = app
        self.offsets = dict.fromkeys(PLACES, -1)
        self.broker = Broker(self)
        app.producer = self.broker
        self.client: TestClient[Any, Any]

    def put(self, topic: str, value: bytes, timestamp: int = 0, key: bytes | None = None) -> int:
        """Deliver a record to the page."""
        self.offsets[topic, 0] += 1
        offset = self.offsets[topic, 0]
        self.app.shell.task.reader.take((topic, 0), Record(offset, key, value, [], timestamp))
        return offset

    def put_alert(self, number: int = 1, **data: Any) -> str:
        """Deliver an alert; return its id."""
        self.put("alerts", alert(number, **data).value)
        return f"{number:016x}"

    def put_status(self, hour: int, **more: Any) -> None:
        """Deliver the status of a scored bucket."""
        self.put("status", status(hour, **({"watermark": 1_770_300_000_000} | more)).value)

    async def get(self, path: str, **how: Any) -> ClientResponse:
        """Send GET, without following redirects."""
        return await self.client.get(path, allow_redirects=False, **how)

    async def post(self, path: str, **how: Any) -> ClientResponse:
        """Send POST, without following redirects."""
        return await self.client.post(path, allow_redirects=False, **how)

    async def form_token(self, path: str, **how: Any) -> str:
        """The form token of the last form on a page."""
        found = re.findall(r'name="form_token" value="([^"]+)"', await (await self.get(path, **how)).text())
        return str(found[-1])

    async def log_in(self, token: str, **fields: Any) -> ClientResponse:
        """Post the login form."""
        form = {"form_token": await self.form_token("/login"), "token": token} | fields
        return await self.post("/login", data=form)


def bearer(token: str) -> dict[str, str]:
    """The authorization header of a program."""
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def site(*, ready: bool = True, web_host: str = "127.0.0.1", **web: Any) -> AsyncIterator[Site]:
    """Yield a site with the table ``[web]``; without keys it is open."""
    config = load(web_host=web_host, web_port=0, web=web)
    made = Site(build_web(config, read_settings(web), None, PLACES))
    made.app.finalize()
    if ready:
        made.app.shell.task.reader.ready.set()
    assert made.app.server is not None
    server = PageServer(made.app.server)
    async with TestClient(server, cookie_jar=CookieJar(unsafe=True)) as made.client:
        yield made


def served(**settings: Any) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """Turn an async test into one that gets a served site as its first argument."""

    def decorated(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(monkeypatch: Any) -> None:
            for name, token in TOKENS.items():
                monkeypatch.setenv(name, token)

            async def inside() -> None:
                async with site(**settings) as made:
                    await test(made)

            asyncio.run(inside())

        del run.__wrapped__  # type: ignore[attr-defined]  # pytest asks for the arguments of run itself
        return run

    return decorated
