"""An HTTP server that no client can fill or hold.

It accepts connections itself, so that a limit counts from there, a TLS handshake included, and so that
running out of open files costs one log line a second and not the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import os
import socket
import ssl
from collections.abc import Collection, Sequence
from typing import Any

from aiohttp import web

from pivotwatch.base.addresses import IPNetwork, client_network, is_within
from pivotwatch.base.errors import OutOfReach
from pivotwatch.config.http_limits import HttpLimits
from pivotwatch.engine.http.admission import RESERVE, Admission
from pivotwatch.engine.http.connection import Connection
from pivotwatch.engine.http.guest import CLOSE_SECONDS, Guest, phase_seconds
from pivotwatch.engine.http.pace import Pace
from pivotwatch.engine.open_files import room_for_connections

logger = logging.getLogger(__name__)

VITAL = ("/health", "/healthz", "/metrics", "/ready")
"""Served although all other places are taken."""
BACKLOG = 512
STOP_SECONDS = 5.0
PAUSE_SECONDS = 0.1
MOST_TICK = 0.5
"""Seconds from one look at the deadlines to the next, at most."""
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class HttpServer:
    """Serves an application of aiohttp.

    Parameters
    ----------
    app
        The application.
    name
        For messages; the key of the configuration that has the port.
    host, port
        Where to listen; port 0 is a free one.
    limits
        How many connections, and how long to wait for clients.
    tls
        Serve HTTPS with this.
    proxies
        Networks of reverse proxies: the limit of one address does not hold for them.

    Attributes
    ----------
    address
        Where it listens (host and port), once it does.
    pace
        When a request may begin to compute; a handler that computes for long once more waits for it again.
    """

    address: tuple[str, int]

    def __init__(
        self,
        app: web.Application,
        name: str,
        host: str,
        port: int,
        limits: HttpLimits,
        *,
        tls: ssl.SSLContext | None = None,
        proxies: Sequence[IPNetwork] = (),
        vital: Collection[str] = VITAL,
    ) -> None:
        self._name, self._host, self._port = name, host, port
        self._limits, self._tls, self._vital = limits, tls, vital
        # Whoever asks and goes must not leave a handler behind that waits.
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=STOP_SECONDS, handler_cancellation=True
        )
        self._admission = Admission(
            self._most_connections(), limits.connections_per_address, lambda text: is_within(text, proxies)
        )
        self.pace = Pace()
        self._seconds = phase_seconds(limits)
        self._listening: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._entering: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._admission)

    def closed(self) -> dict[str, int]:
        """How many connections a limit closed so far, by reason."""
        admission = self._admission
        return {
            "displaced": admission.evicted,
            "refused": admission.refused,
            "deadline": admission.expired,
        }

    def bind(self) -> None:
        """Take the port, before the event loop runs; `start` does it otherwise.

        Raises
        ------
        OutOfReach
            When the port is in use, or the host is not one of this machine.
        """
        try:
            self._listening = _listen(self._host, self._port)
        except OSError as error:
            number = error.errno or 0  # Below zero for an unknown host.
            problem = os.strerror(number) if number > 0 else error.strerror
            raise OutOfReach(f"{self._name}: cannot listen on {self._host}:{self._port}: {problem}") from None
        self.address = self._listening[0].getsockname()[:2]

    async def start(self) -> None:
        """Accept connections.

        Raises
        ------
        OutOfReach
            As `bind` does.
        """
        if not self._listening:
            self.bind()
        await self._runner.setup()
        self._tasks = [asyncio.create_task(self._accept(one)) for one in self._listening]
        self._tasks.append(asyncio.create_task(self._watch()))

    async def stop(self) -> None:
        """Take no further connection, close those that wait for their client, finish the others."""
        for task in (*self._tasks, *self._entering):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._entering, return_exceptions=True)
        for one in self._listening:
            one.close()
        self._listening = []
        self._admission.close_waiting()
        await self._runner.cleanup()

    def _most_connections(self) -> int:
        room = max(RESERVE, room_for_connections() - RESERVE)
        if room < self._limits.connections:
            logger.warning(
                "%s: holds %d connections instead of %d: this process may open too few files (ulimit -n)",
                self._name,
                room,
                self._limits.connections,
            )
        return min(room, self._limits.connections)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(listening)
            except OSError as error:
                await asyncio.sleep(0)  # The client may have gone before it was accepted.
                if error.errno in EXHAUSTED:
                    logger.error("%s: cannot accept a connection: %s", self._name, error.strerror)
                    self._admission.shed()
                    await asyncio.sleep(PAUSE_SECONDS)
                continue
            self._welcome(sock, peer[0])
            await asyncio.sleep(0)  # While others wait to be accepted, accepting does not.

    async def _watch(self) -> None:
        """Close what takes too long."""
        loop, tick = asyncio.get_running_loop(), min(MOST_TICK, min(self._seconds.values()) / 8)
        while True:
            self._admission.expire(loop.time())
            await asyncio.sleep(tick)

    def _welcome(self, sock: socket.socket, address: str) -> None:
        evicted = self._admission.evicted
        seat = self._admission.admit(client_network(address))
        if seat is None:
            logger.warning("%s: turned a connection away: all are busy", self._name)
            _turn_away(sock, plain=self._tls is None)
            return
        if self._admission.evicted > evicted:
            logger.warning("%s: closed the connection that was idle longest, for a new one", self._name)
        guest = Guest(seat, self._admission, self._seconds)
        task = asyncio.create_task(self._enter(sock, guest))
        guest.closes_by(task.cancel)
        guest.waits("first byte")
        self._entering.add(task)
        task.add_done_callback(functools.partial(self._entered, sock, guest))

    async def _enter(self, sock: socket.socket, guest: Guest) -> None:
        """Make a connection of a socket, after the handshake if there is one."""
        server = self._runner.server
        assert server is not None
        tls: dict[str, Any] = (
            {} if self._tls is None else {"ssl": self._tls, "ssl_shutdown_timeout": CLOSE_SECONDS}
        )
        keep_alive = self._seconds["keep alive"]
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: Connection(server, guest, self._vital, self.pace, keep_alive), sock, **tls
        )

    def _entered(self, sock: socket.socket, guest: Guest, task: asyncio.Task[None]) -> None:
        self._entering.discard(task)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            guest.leave()
            sock.close()
        if isinstance(error, ssl.SSLError):
            logger.warning("%s: a TLS handshake failed: %s", self._name, error.reason)
        elif error is not None and not isinstance(error, OSError):
            logger.error("%s: cannot take a connection", self._name, exc_info=error)


def _listen(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listening: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            listening.append(socket.create_server(address, family=family, backlog=BACKLOG))
            listening[-1].setblocking(False)
    except OSError:
        for one in listening:
            one.close()
        raise
    return listening


def _turn_away(sock: socket.socket, *, plain: bool) -> None:
    with contextlib.suppress(OSError):
        if plain:
            sock.send(FULL)
    sock.close()
