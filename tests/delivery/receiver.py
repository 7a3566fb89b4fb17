"""A real HTTP receiver on 127.0.0.1: it verifies signatures, stores requests, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from aiohttp import web
from standardwebhooks import Webhook

SECRET = "whsec_c2VjcmV0LW9mLXRoZS1yZWNlaXZlcg=="


class Receiver:
    """Accepts requests on any path.

    Attributes
    ----------
    script
        Answers to the next requests, one each: a status, ``(status, headers)``, ``hang``, ``cut``,
        or ``taken-but-cut`` (the request is stored, but the sender gets no answer).
    always
        The answer after the script is used up.
    taken
        Headers and body of every request that was answered with 2xx or was taken but cut.
    tries
        Every request with its answer.
    """

    def __init__(self) -> None:
        self.script: deque[Any] = deque()
        self.always: Any = 200
        self.taken: list[tuple[dict[str, str], Any]] = []
        self.tries: list[tuple[str, Any]] = []
        self.url = ""

    def bodies(self) -> list[Any]:
        """Bodies of the accepted requests."""
        return [body for _, body in self.taken]

    def webhook_ids(self) -> list[str]:
        """Ids of the accepted requests, with repeats; verifies every signature with the reference library."""
        return [headers["webhook-id"] for headers, _ in self.taken]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        act = self.script.popleft() if self.script else self.always
        self.tries.append((headers.get("webhook-id", ""), act))
        if "webhook-signature" in headers:
            Webhook(SECRET).verify(raw, headers)
        if act == "hang":
            await asyncio.sleep(60)
        if act == "taken-but-cut":
            self.taken.append((headers, orjson.loads(raw)))
        if act in ("hang", "cut", "taken-but-cut"):
            if request.transport is not None:  # None when the sender has disconnected.
                request.transport.abort()
            return web.Response()
        status, answer_headers = act if isinstance(act, tuple) else (act, {})
        if 200 <= status < 300:
            self.taken.append((headers, orjson.loads(raw)))
        return web.Response(status=status, headers=answer_headers, text="ok" if status < 300 else "no")


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Yield a receiver that runs in its own thread."""
    made, started, loop = Receiver(), threading.Event(), asyncio.new_event_loop()

    async def serve() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", made._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        started.set()
        return runner

    async def end(runner: web.AppRunner) -> None:
        # A hanging request would never end.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await runner.cleanup()

    def run() -> None:
        runner = loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(end(runner))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
