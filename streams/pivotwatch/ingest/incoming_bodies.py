"""Bodies that are being read: how many bytes they hold together, and which one makes room for another."""

from __future__ import annotations

from collections.abc import Callable


class IncomingBody:
    """A body that is being read.

    Attributes
    ----------
    size
        Bytes that have arrived.
    is_open
        Whether it may go on. A body that made room for another may not.
    """

    def __init__(self, close: Callable[[], None]) -> None:
        self.size = 0
        self.is_open = True
        self._close = close

    def drop(self) -> None:
        """Give up this body and close its connection."""
        self.is_open = False
        self._close()


class IncomingBodies:
    """All bodies that are being read.

    The signature of a body can be checked only when all of it is there, so anybody can begin one. Such a body
    makes room when the bytes do not suffice: the oldest first. So they cannot keep a body out whose sender is
    known, nor one that arrives quickly.

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
        """Begin a body.

        Parameters
        ----------
        is_known
            Whether its sender is authenticated.
        close
            Closes its connection.
        """
        body = IncomingBody(close)
        self._bodies.add(body)
        if not is_known:
            self._unknown[body] = None
        return body

    def grow(self, body: IncomingBody, size: int, room: int) -> bool:
        """Add bytes to a body; returns whether there was room, after others were dropped for it.

        Parameters
        ----------
        room
            Bytes that all bodies may hold together.
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
        """Forget a body; said twice does no harm."""
        self._unknown.pop(body, None)
        if body in self._bodies:
            self._bodies.remove(body)
            self.size -= body.size
