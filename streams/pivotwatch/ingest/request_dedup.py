"""Duplicates over HTTP: a poster that got no answer posts again; `id` says that it is the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

MAX_IDS = 1_000_000

Sent = asyncio.Future[None]
"""Done when the broker has the event; failed or cancelled when it never got it."""


class Dedup:
    """Remembers ids for a window of time (at least: up to twice as long), at most a million of them.

    What is on its way to the broker is remembered with its future: who posts it again waits for
    the same answer. What failed is forgotten, so that it may come again.

    Parameters
    ----------
    window
        In seconds.
    clock
        Tells the time.
    """

    def __init__(self, window: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window
        self._clock = clock
        self._young: dict[str, Sent] = {}
        self._old: dict[str, Sent] = {}
        self._since = clock()

    def claim(self, ids: Iterable[str], sent: Sent) -> tuple[list[bool], set[Sent]]:
        """Which ids are new, and futures of those that are not but are still on their way.

        A new one is remembered with ``sent`` from now on.
        """
        self._turn()
        new, waiting = [], set()
        for one in ids:
            known = self._young.get(one) or self._old.get(one)
            if known is not None and known.done() and _failed(known):
                known = None
            if known is None:
                self._young[one] = sent
            elif known is not sent and not known.done():
                waiting.add(known)
            new.append(known is None)
        return new, waiting

    def _turn(self) -> None:
        now = self._clock()
        if now - self._since >= self._window or len(self._young) >= MAX_IDS:
            late = now - self._since >= 2 * self._window
            self._old, self._young = ({} if late else self._young), {}
            self._since = now


def _failed(sent: Sent) -> bool:
    return sent.cancelled() or sent.exception() is not None
