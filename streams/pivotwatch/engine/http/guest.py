"""A connection from its acceptance to its end: what it waits for, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal, get_args

from pivotwatch.config.http_limits import HttpLimits
from pivotwatch.engine.http.admission import Admission, Seat

Phase = Literal["first byte", "header", "body", "answer", "keep alive", "closing"]
"""What a connection waits for; nothing while a request is served."""

CLOSE_SECONDS = 2.0
RESERVE_SECONDS = 2.0
"""Longest phase of a connection that has a seat of the reserve."""


def phase_seconds(limits: HttpLimits) -> dict[Phase, float]:
    """How long each phase may take.

    Examples
    --------
    >>> phase_seconds(HttpLimits())["first byte"]
    10.0
    """
    given = {name.replace("_", " "): value for name, value in limits}
    return {
        phase: CLOSE_SECONDS if phase == "closing" else given[phase].total_seconds()
        for phase in get_args(Phase)
    }


class Guest:
    """Says for one connection when it waits for its client, and when it is served.

    Parameters
    ----------
    seat, admission
        Its seat, and who gave it.
    seconds
        How long each phase may take (`phase_seconds`).

    Attributes
    ----------
    phase
        What it waits for, None while a request is served.
    expired
        Called with the phase that takes too long.
    """

    def __init__(self, seat: Seat, admission: Admission, seconds: Mapping[Phase, float]) -> None:
        self.seat = seat
        self.phase: Phase | None = None
        self.expired: Callable[[Phase], None] = lambda _: self.close()
        self._close: Callable[[], object] = _nothing
        self._admission = admission
        self._seconds = seconds
        self._time = asyncio.get_running_loop().time
        seat.evict, seat.expire = self.close, self._expire

    def closes_by(self, close: Callable[[], object]) -> None:
        """Set what closes the connection at once."""
        self._close = close

    def close(self) -> None:
        """Close the connection at once, whatever waits to be read or written."""
        self._close()

    def waits(self, phase: Phase) -> None:
        """It waits for its client from now on."""
        self.phase = phase
        seconds = self._seconds[phase]
        if self.seat.reserved:
            seconds = min(seconds, RESERVE_SECONDS)
        self._admission.waits(self.seat, self._time() + seconds)

    def serves(self) -> None:
        """A request is complete."""
        self.phase = None
        self._admission.serves(self.seat)

    def leave(self) -> None:
        """It is closed."""
        self._admission.leave(self.seat)

    def _expire(self) -> None:
        if self.phase is not None:
            self.expired(self.phase)


def _nothing() -> None:
    """There is nothing to close yet."""
