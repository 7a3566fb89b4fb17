"""The HTTP bodies that the server is reading: their total size, and which one makes room for another."""

from __future__ import annotations

from collections.abc import Callable


class IncomingBody:
    """A body that the server is reading.

    Attributes
    ----------
    size
        Bytes that have arrived.
    is_open
        Whether the server continues to read the body; False after it made room for another one.
    """

    def __init__(self, close: Callable[[], None]) -> None:
        self.size = 0
        self.is_open = True
        self._close = close

    def drop(self) -> None:
        """Discard the body and close its connection."""
        self.is_open = False
        self._close()


class IncomingBodies:
    """All bodies that the server is reading.

    The server can check a signature only when the whole body has arrived, so any client can begin a body.
    When the space is used up, the bodies of unknown senders make room, the oldest first. So they block
    neither a body of a known sender nor a body that arrives quickly.

    Examples
    --------
    >>> bodies = IncomingBodies()
    >>> slow = bodies.begin(is_known=False, close=lambda: print("slow is closed"))
    >>> quick = bodies.begin(is_known=False, close=lambda: print("quick is closed"))
    >>> bodies.grow(slow, 80, room=100), bodies.grow(quick, 30, room=100), bodies.size
    slow is closed
    (True, True, 30)
    """

    def __init__(self) -> None:
        self.size = 0
        self._bodies: set[IncomingBody] = set()
        self._unknown: dict[IncomingBody, None] = {}

    def begin(self, *, is_known: bool, close: Callable[[], None]) -> IncomingBody:
        """Add a body.

        Parameters
        ----------
        is_known
            Whether its sender is authenticated.
        close
            Closes the connection of the body.
        """
        body = IncomingBody(close)
        self._bodies.add(body)
        if not is_known:
            self._unknown[body] = None
        return body

    def grow(self, body: IncomingBody, size: int, room: int) -> bool:
        """Add bytes to a body, and discard other bodies if necessary; returns whether there is room.

        Parameters
        ----------
        room
            Largest total size of all bodies in bytes.
        """
        if not body.is_open:
            return False
        body.size += size
        self.size += size
        while self.size > room:
            oldest = next((one for one in self._unknown if one is not body and one.size), None)
            if oldest is None:
                return False
            self.end(oldest)
            oldest.drop()
        return True

    def end(self, body: IncomingBody) -> None:
        """Remove a body. Removing it again has no effect."""
        self._unknown.pop(body, None)
        if body in self._bodies:
            self._bodies.remove(body)
            self.size -= body.size
