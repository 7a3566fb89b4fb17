"""A fake model, and a server of `ingest` that real producers report to."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.audit import ROOT
from tests.ingest.test_http_access import Server, serving

PYTHON = ROOT / ".venv-producers" / "bin" / "python"
needs_producers = pytest.mark.skipif(not PYTHON.exists(), reason="make producers makes their environment")
FAILS_EVERY = 10


class FakeModel:
    """An interface of OpenAI with one model; every tenth request fails.

    Attributes
    ----------
    answered, failed
        Numbers of requests.
    """

    def __init__(self, *, fails: bool = True) -> None:
        self.answered = self.failed = 0
        self._fails = fails
        self._numbers = itertools.count(1)

    async def complete(self, request: web.Request) -> web.Response:
        """Answer a request for a chat completion."""
        asked = await request.json()
        number = next(self._numbers)
        if self._fails and number % FAILS_EVERY == 0:
            self.failed += 1
            return web.json_response(
                {"error": {"message": "bad", "type": "invalid_request_error"}}, status=400
            )
        self.answered += 1
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}
        return web.json_response(
            {
                "id": f"chatcmpl-{number}",
                "object": "chat.completion",
                "created": 1_770_000_000 + number,
                "model": asked["model"],
                "choices": [choice],
                "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
            }
        )


@asynccontextmanager
async def model(*, fails: bool = True) -> AsyncIterator[tuple[FakeModel, str]]:
    """A fake model, and its address."""
    fake = FakeModel(fails=fails)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", fake.complete)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0]
        yield fake, f"http://{host}:{port}/v1"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def ingest(**http: Any) -> AsyncIterator[Server]:
    """A server of `ingest` for LiteLLM and OTLP."""
    sources = ["litellm", "otlp_json", "otlp_proto"]
    async with serving(allow_without_token=True, on_bad="dead_letters", sources=sources, **http) as served:
        yield served


@asynccontextmanager
async def process(*command: str | Path, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A producer, which is killed at the end."""
    running = await asyncio.create_subprocess_exec(
        *map(str, command),
        env={"PATH": f"{PYTHON.parent}:/usr/bin:/bin", "HOME": "/tmp", **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def until_answers(address: str, seconds: float = 120) -> None:
    """Wait until a server answers."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(seconds):
        while True:
            try:
                async with session.get(address) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)


def counts(served: Server) -> dict[str, float]:
    """The counters of `ingest` by name and labels."""
    lines = served.server._metrics.text().decode().splitlines()
    found = (line.rpartition(" ") for line in lines if line.startswith("pivotwatch_ingest_"))
    return {name.removeprefix("pivotwatch_ingest_"): float(value) for name, _, value in found}
