"""A TCP proxy that can stall and cut the connections through it."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import Self


class Proxy:
    """Forwards one port of 127.0.0.1 to another, in its own thread.

    Parameters
    ----------
    port, target
        The port on which it listens, and the port to which it connects.
    """

    def __init__(self, port: int, target: int) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", port))
        self._selector = selectors.DefaultSelector()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._open = threading.Event()
        self._open.set()
        self._cut = threading.Event()
        self._ended = threading.Event()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._open.set()
        self._thread.join(10)
        for one in [*self._peers, self._listener]:
            one.close()

    def stall(self) -> None:
        """Pass no data, but keep every connection open."""
        self._open.clear()

    def flow(self) -> None:
        """Pass data again."""
        self._open.set()

    def cut(self) -> None:
        """Close every connection."""
        self._cut.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._open.wait()
            if self._cut.is_set():
                self._cut.clear()
                for one in list(self._peers):
                    self._drop(one)
            for key, _ in self._selector.select(0.05):
                if not self._open.is_set():
                    break
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._pass_on(key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            one.settimeout(5)
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket) -> None:
        if one not in self._peers:
            return
        try:
            data = one.recv(1 << 18)
            if data:
                self._peers[one].sendall(data)
                return
        except OSError:
            pass
        self._drop(one)

    def _drop(self, one: socket.socket) -> None:
        other = self._peers.pop(one, None)
        for end in (one, other):
            if end is not None:
                self._peers.pop(end, None)
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(end)
                end.close()
