"""A real server on a free port of 127.0.0.1, and clients that misbehave."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from pivotwatch.config.http_limits import HttpLimits
from pivotwatch.engine.http.server import HttpServer

SHORT = "300ms"
LONG = "60s"
PATIENT = {"first_byte": LONG, "header": LONG, "body": LONG, "answer": LONG, "keep_alive": LONG}


class Client:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.begun = time.monotonic()

    def send(self, text: str) -> None:
        self.writer.write(text.encode())

    async def read(self, seconds: float = 10.0) -> str:
        """Everything until the server closes, within some seconds."""
        async with asyncio.timeout(seconds):
            try:
                return (await self.reader.read()).decode()
            except ConnectionError:
                return ""

    async def status(self, seconds: float = 10.0) -> int:
        """The status of the next answer, 0 when the server closes."""
        async with asyncio.timeout(seconds):
            try:
                line = await self.reader.readline()
            except ConnectionError:
                return 0
        return int(line.split()[1]) if line else 0

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it, as far as this side has noticed."""
        return not self.reader.at_eof() and self.reader.exception() is None

    def close(self) -> None:
        self.writer.transport.abort()


class Served:
    """The server under test, and its clients."""

    def __init__(self, server: HttpServer, tls: ssl.SSLContext | None) -> None:
        self.server = server
        self.tls = tls
        self.clients: list[Client] = []
        self.release = asyncio.Event()

    async def connect(self, *, plain: bool = False) -> Client:
        host, port = self.server.address
        streams = await asyncio.open_connection(host, port, ssl=None if plain else self.tls)
        self.clients.append(Client(*streams))
        return self.clients[-1]

    async def ask(self, path: str, method: str = "GET", body: str = "", **headers: str) -> int:
        """Send one request over its own connection; return the status, or 0 when the server closes."""
        client = await self.connect()
        client.send(request(path, method, body, Connection="close", **headers))
        status = await client.status()
        client.close()
        return status


def request(path: str, method: str = "GET", body: str = "", **headers: str) -> str:
    """A whole request."""
    named = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", body])


def application(release: asyncio.Event) -> web.Application:
    """Routes for every way to hold a connection."""

    async def quick(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def echo(asked: web.Request) -> web.Response:
        return web.Response(text=str(len(await asked.read())))

    async def busy(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response(text="ok")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 20_000_000)

    async def computing(_: web.Request) -> web.Response:
        time.sleep(0.01)
        return web.Response(text="ok")

    async def fault(_: web.Request) -> web.Response:
        raise RuntimeError("a fault of ours")

    app = web.Application()
    app.add_routes(
        [
            web.get("/", quick),
            web.get("/health", quick),
            web.post("/", echo),
            web.get("/busy", busy),
            web.get("/large", large),
            web.get("/computing", computing),
            web.get("/fault", fault),
        ]
    )
    return app


@asynccontextmanager
async def serving(
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None, **limits: Any
) -> AsyncIterator[Served]:
    """A server with some limits; the others are out of the way."""
    release = asyncio.Event()
    server = HttpServer(
        application(release),
        "test",
        "127.0.0.1",
        0,
        HttpLimits(**(PATIENT | limits)),
        tls=tls[0] if tls else None,
    )
    await server.start()
    made = Served(server, tls[1] if tls else None)
    made.release = release
    try:
        yield made
    finally:
        release.set()
        for client in made.clients:
            client.close()
        await server.stop()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test that may not take long."""

    async def inside() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(inside())


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as a warning or worse, whole."""
    formatter = logging.Formatter()
    return [formatter.format(one) for one in caplog.records if one.levelno >= logging.WARNING]
