"""One HTTP connection with a deadline for everything that its client has to do."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Literal

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from pivotwatch.config.http_limits import HttpLimits
from pivotwatch.engine.http.admission import Admission, Seat

logger = logging.getLogger(__name__)

Phase = Literal["first byte", "header", "body", "answer", "keep alive", "closing"]
"""What a connection waits for; nothing while a request is served."""
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

MOST_HEADER = 64 * 1024
CLOSE_SECONDS = 2.0
RESERVE_SECONDS = 2.0
"""Longest phase of a connection that has a seat of the reserve."""


class Guest:
    """A connection from its acceptance to its end: its seat, and the one timer that runs for it.

    Parameters
    ----------
    seat, admission
        Its seat, and who gave it.
    limits
        The deadlines.

    Attributes
    ----------
    phase
        What it waits for, None while a request is served.
    expired
        Called with the phase whose deadline has passed.
    """

    def __init__(self, seat: Seat, admission: Admission, limits: HttpLimits) -> None:
        self.seat = seat
        self.phase: Phase | None = None
        self.expired: Callable[[Phase], None] = lambda _: self.close()
        self._close: Callable[[], object] = _nothing
        self._admission = admission
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        seat.evict = self.close

    def closes_by(self, close: Callable[[], object]) -> None:
        """Set what closes the connection at once."""
        self._close = close

    def close(self) -> None:
        """Close the connection at once, whatever waits to be read or written."""
        self._stop_timer()
        self._close()

    def waits(self, phase: Phase) -> None:
        """It waits for its client from now on."""
        self._stop_timer()
        self.phase = phase
        self._timer = asyncio.get_running_loop().call_later(self._seconds(phase), self._expire, phase)
        self._admission.waits(self.seat)

    def serves(self) -> None:
        """A request is complete."""
        self._stop_timer()
        self.phase = None
        self._admission.serves(self.seat)

    def leave(self) -> None:
        """It is closed."""
        self._stop_timer()
        self._admission.leave(self.seat)

    def _seconds(self, phase: Phase) -> float:
        if phase == "closing":
            return CLOSE_SECONDS
        seconds: float = getattr(self._limits, phase.replace(" ", "_")).total_seconds()
        return min(seconds, RESERVE_SECONDS) if self.seat.reserved else seconds

    def _expire(self, phase: Phase) -> None:
        self._timer = None
        if phase != "keep alive":
            self._admission.expired += 1
        self.expired(phase)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Connection(web.RequestHandler):
    """aiohttp's connection, which tells its guest what it waits for.

    Parameters
    ----------
    server
        aiohttp's server of the application.
    guest
        The seat and the timer.
    vital
        Paths that are served on a seat of the reserve.
    keep_alive
        Seconds; aiohttp's own timer, which ours comes before.
    """

    def __init__(self, server: web.Server, guest: Guest, vital: Collection[str], keep_alive: float) -> None:
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
        if self._guest.seat.reserved and request.path not in self._vital:
            return web.Response(status=503, text="too many connections", headers={"Retry-After": "2"})
        try:
            return await handler(request)
        except ConnectionError:
            if self.transport is not None:
                raise
            return web.Response()  # The client has gone: nobody reads this, and it is no fault.

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
        """Answer without a request, and close."""
        if self.transport is not None:
            self.transport.write(
                f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
            self._guest.waits("closing")
        self.force_close()

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log a fault of ours with its traceback, and one of the client in a line without what it sent."""
        error = kw.get("exc_info")
        if isinstance(error, HttpProcessingError | ConnectionError | web.RequestPayloadError):
            self.logger.warning("a client sent what is not HTTP: %s", type(error).__name__)
        else:
            super().log_exception(*args, **kw)


def _nothing() -> None:
    """There is nothing to close yet."""
