"""Deduplication of events that clients post over HTTP.

A client that gets no answer posts the same events again. Equal ids identify them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

MAX_IDS = 1_000_000

Acknowledgement = asyncio.Future[None]
"""Done when Kafka has acknowledged the events; failed or cancelled when the events were not sent."""


class RequestDedup:
    """Remembers the ids of a time window, and at most the last `MAX_IDS` to twice as many.

    An event that is being sent is remembered with its acknowledgement, so that a client that posts it
    again waits for the same one. An event whose acknowledgement failed is new again.

    Parameters
    ----------
    window
        Length of the window in seconds; ids are remembered for one to two windows.
    clock
        Returns the time in seconds.
    """

    def __init__(self, window: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window
        self._clock = clock
        self._young: dict[str, Acknowledgement] = {}
        self._old: dict[str, Acknowledgement] = {}
        self._since = clock()

    def claim(
        self, ids: Iterable[str], acknowledgement: Acknowledgement
    ) -> tuple[list[bool], set[Acknowledgement]]:
        """Whether each id is new, and the acknowledgements to wait for of those that are not.

        New ids are remembered with ``acknowledgement``.
        """
        self._rotate()
        new, waiting = [], set()
        for one in ids:
            known = self._young.get(one) or self._old.get(one)
            if known is not None and known.done() and _failed(known):
                known = None
            if known is None:
                self._young[one] = acknowledgement
            elif known is not acknowledgement and not known.done():
                waiting.add(known)
            new.append(known is None)
        return new, waiting

    def _rotate(self) -> None:
        """Forget the older half of the ids when the window is over or there are too many."""
        now = self._clock()
        if now - self._since >= self._window or len(self._young) >= MAX_IDS:
            expired = now - self._since >= 2 * self._window
            self._old, self._young = ({} if expired else self._young), {}
            self._since = now


def _failed(acknowledgement: Acknowledgement) -> bool:
    return acknowledgement.cancelled() or acknowledgement.exception() is not None
