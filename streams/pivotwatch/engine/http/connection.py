"""One HTTP connection, with a deadline for each thing that its client must do."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from pivotwatch.engine.http.guest import CLOSE_SECONDS, Guest, Phase
from pivotwatch.engine.http.pace import Pace

logger = logging.getLogger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

MOST_HEADER = 64 * 1024
CONTINUE = "100-continue"


class Connection(web.RequestHandler):
    """aiohttp's connection, which tells its guest what it waits for.

    Parameters
    ----------
    server
        aiohttp's server of the application.
    guest
        Keeps what the connection waits for.
    vital
        Paths that are served on a seat of the reserve, and before others.
    pace
        When the other requests of the server may begin.
    keep_alive
        Seconds; aiohttp's own timer, which ours comes before.
    """

    def __init__(
        self, server: web.Server, guest: Guest, vital: Collection[str], pace: Pace, keep_alive: float
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=keep_alive + CLOSE_SECONDS,
            lingering_time=CLOSE_SECONDS,
            logger=logger,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to have none
        )
        self._guest = guest
        self._vital = vital
        self._pace = pace
        self._header_bytes = 0
        self._handling = False
        self._paused_in: Phase | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over; its first-byte deadline runs since it was accepted."""
        super().connection_made(transport)
        assert self.transport is not None
        self._guest.closes_by(self.transport.abort)
        self._guest.expired = self._expire

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the seat back."""
        self._guest.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a header or a body."""
        if data and self._is_idle():
            self._header_bytes = 0
            self._guest.waits("header")
        complete = self._request_count
        super().data_received(data)
        if self._guest.phase != "header":
            return
        if self._request_count > complete:
            self._guest.serves()  # Until `_handle_request` knows whether there is a body.
            return
        self._header_bytes += len(data)
        if self._header_bytes > MOST_HEADER:
            self._refuse("431 Request Header Fields Too Large")

    def _is_idle(self) -> bool:
        """Whether the next byte begins a request."""
        phase = self._guest.phase
        if phase == "answer":
            return not self._handling and not self.writing_paused
        return phase in ("first byte", "keep alive")

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._paused_in = self._guest.phase
        self._guest.waits("answer")

    def resume_writing(self) -> None:
        """Go on where the client stopped to read."""
        super().resume_writing()
        if self._handling and self._paused_in is None:
            self._guest.serves()
        else:
            self._guest.waits(self._paused_in or "keep alive")

    async def _handle_request(
        self, request: web.BaseRequest, start_time: float | None, request_handler: Handler
    ) -> tuple[web.StreamResponse, bool]:
        content = request.content
        self._handling = True
        if content.is_eof():
            self._guest.serves()
        else:
            self._guest.waits("body")
            content.on_eof(self._have_body)
        try:
            answer = functools.partial(self._answer, request_handler)
            return await super()._handle_request(request, start_time, answer)
        finally:
            self._handling = False
            if content.is_eof():
                self._rest()

    async def _answer(self, handler: Handler, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", CONTINUE).lower() != CONTINUE:
            return web.Response(status=417, text=f"expected Expect: {CONTINUE}")
        if request.path not in self._vital:
            if self._guest.seat.reserved:
                return web.Response(status=503, text="too many connections", headers={"Retry-After": "2"})
            await self._pace.wait()
        return await handler(request)

    def _have_body(self) -> None:
        if self._guest.phase == "body":
            if self._handling:
                self._guest.serves()
            else:
                self._rest()

    def _rest(self) -> None:
        """An answer is written, though the client may not have read it yet."""
        if self.transport is not None:
            self._guest.waits("answer" if self.transport.get_write_buffer_size() else "keep alive")

    def _expire(self, phase: Phase) -> None:
        if self.transport is None:
            self._guest.close()
        elif phase == "answer" and not self._handling and not self.transport.get_write_buffer_size():
            self._guest.waits("keep alive")  # It was small enough never to make us pause.
        elif phase == "header" or (phase == "body" and self._handling):
            self._refuse("408 Request Timeout")
        else:
            self._guest.close()

    def _refuse(self, status: str) -> None:
        """Answer without a request; what the client still sends is dropped until it closes, or soon after."""
        assert self.transport is not None
        self.transport.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._guest.waits("closing")
        self.close()

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log a fault of ours with its traceback, and one of the client in a line without what it sent."""
        error = kw.get("exc_info")
        if isinstance(error, ConnectionError) and self.transport is None:
            return  # The client has gone, which is not a fault.
        if isinstance(error, HttpProcessingError | web.RequestPayloadError):
            self.logger.warning("a client sent what is not HTTP: %s", type(error).__name__)
        else:
            super().log_exception(*args, **kw)
