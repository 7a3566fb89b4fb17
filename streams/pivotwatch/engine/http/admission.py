"""Limits on connections, in all and per address, and the choice of the connection that a new one replaces.

A connection either waits for its client (for a handshake, a header, a body, the next request, or for the
client to read) or is served. A served connection ends soon, so it stays. At a limit, a new connection
replaces the one that has waited longest: among those of the same address at the limit per address, else among
those of the address with most waiting connections. So clients that only hold connections displace each
other, and not clients that send requests.

While all connections are served, a new one gets one of the `RESERVE` seats, which serve only health and
metrics.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

RESERVE = 16


class Seat:
    """A place of one connection.

    Attributes
    ----------
    address
        The network that counts as one client (`pivotwatch.base.addresses.client_network`).
    reserved
        Whether the seat belongs to the reserve.
    deadline
        The time of the event loop until which the connection may wait for its client.
    evict, expire
        Close the connection, for a new one or after its deadline. The connection sets both.
    """

    __slots__ = ("address", "deadline", "evict", "expire", "reserved")

    def __init__(self, address: str, *, reserved: bool) -> None:
        self.address = address
        self.reserved = reserved
        self.deadline = math.inf
        self.evict: Callable[[], None] = lambda: None
        self.expire: Callable[[], None] = lambda: None


class Admission:
    """Gives seats to connections and takes them back. A new seat waits for its client.

    Parameters
    ----------
    connections, per_address
        The limits.
    is_exempt
        Whether an address may exceed ``per_address``: a proxy brings the connections of many.

    Attributes
    ----------
    evicted, refused, expired
        Number of connections that a new one replaced, of new connections without a seat, and of
        connections that passed a deadline.

    Examples
    --------
    >>> admission = Admission(connections=2, per_address=2)
    >>> first, second = admission.admit("a"), admission.admit("a")
    >>> first.evict = lambda: print("first leaves")
    >>> third = admission.admit("b")
    first leaves
    >>> admission.serves(second)
    >>> admission.serves(third)
    >>> admission.admit("c").reserved
    True
    """

    def __init__(
        self, connections: int, per_address: int, is_exempt: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._connections = connections
        self._per_address = per_address
        self._is_exempt = is_exempt
        self._seats: set[Seat] = set()
        self._held: Counter[str] = Counter()
        self._reserve: set[Seat] = set()
        # The one that has waited longest comes first.
        self._waiting: dict[str, dict[Seat, None]] = {}
        self._waiting_reserve: dict[Seat, None] = {}
        self.evicted = 0
        self.refused = 0
        self.expired = 0

    def __len__(self) -> int:
        return len(self._seats) + len(self._reserve)

    def admit(self, address: str) -> Seat | None:
        """A seat for a new connection, None when even the reserve is full of those who are served."""
        if self._find_room(address):
            seat = Seat(address, reserved=False)
            self._seats.add(seat)
            self._held[address] += 1
        elif len(self._reserve) < RESERVE or self._evict_first(self._waiting_reserve):
            seat = Seat(address, reserved=True)
            self._reserve.add(seat)
        else:
            self.refused += 1
            return None
        self.waits(seat, math.inf)
        return seat

    def waits(self, seat: Seat, deadline: float) -> None:
        """The server waits for the client of this connection, from now on and until a deadline."""
        if seat in self._seats or seat in self._reserve:
            seat.deadline = deadline
            self._forget_waiting(seat)
            self._line_of(seat)[seat] = None

    def serves(self, seat: Seat) -> None:
        """The client waits for the server."""
        self._forget_waiting(seat)

    def leave(self, seat: Seat) -> None:
        """Take the seat back. A second call does nothing."""
        self._forget_waiting(seat)
        self._reserve.discard(seat)
        if seat in self._seats:
            self._seats.remove(seat)
            self._held[seat.address] -= 1
            if not self._held[seat.address]:
                del self._held[seat.address]

    def shed(self) -> bool:
        """Close the connection that has waited longest at the address with most of them, if there is one."""
        return self._evict_first(max(self._waiting.values(), key=len, default={}))

    def expire(self, now: float) -> None:
        """Close every connection whose deadline has passed."""
        for line in (*self._waiting.values(), self._waiting_reserve):
            for seat in [one for one in line if one.deadline <= now]:
                self.expired += 1
                seat.expire()

    def close_waiting(self) -> None:
        """Close every connection that waits for its client."""
        for line in (*self._waiting.values(), self._waiting_reserve):
            for seat in tuple(line):
                seat.evict()

    def _find_room(self, address: str) -> bool:
        if self._held[address] >= self._per_address and not self._is_exempt(address):
            return self._evict_first(self._waiting.get(address, {}))
        return len(self._seats) < self._connections or self.shed()

    def _line_of(self, seat: Seat) -> dict[Seat, None]:
        return self._waiting_reserve if seat.reserved else self._waiting.setdefault(seat.address, {})

    def _forget_waiting(self, seat: Seat) -> None:
        line = self._line_of(seat)
        line.pop(seat, None)
        if not line and not seat.reserved:
            del self._waiting[seat.address]

    def _evict_first(self, line: dict[Seat, None]) -> bool:
        """Close the connection that has waited longest of a line; whether there was one."""
        seat = next(iter(line), None)
        if seat is None:
            return False
        self.evicted += 1
        self.leave(seat)
        seat.evict()
        return True
