"""Deduplication of events that clients post over HTTP.

A client that gets no answer posts the same events again. Equal ids, accounts and times identify them; an id
alone does not, because some servers draw ids from a small range.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from pivotwatch.ingest.request_identity import Identity, SeenRequests, report_of

MAX_REQUESTS = 500_000

Acknowledgement = asyncio.Future[None]
"""Done when Kafka has acknowledged the events; failed or cancelled when the events were not sent."""


class RequestDedup:
    """Remembers the requests of a time window, and at most the last `MAX_REQUESTS` to twice as many.

    An event that is being sent is remembered with its acknowledgement, so that a client that posts it
    again waits for the same one. An event whose acknowledgement failed is new again.

    Parameters
    ----------
    window
        Length of the window in seconds; requests are remembered for one to two windows.
    clock
        Returns the time in seconds.
    """

    def __init__(self, window: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window
        self._clock = clock
        self._seen = SeenRequests[Acknowledgement](MAX_REQUESTS)
        self._since = clock()

    def claim(
        self, identities: Iterable[Identity], acknowledgement: Acknowledgement
    ) -> tuple[list[bool], set[Acknowledgement]]:
        """Whether each request is new, and the acknowledgements to wait for of those that are not.

        New requests are remembered with ``acknowledgement``.
        """
        self._forget()
        new, waiting = [], set()
        for identity in identities:
            known = self._seen.find(identity)
            if known is not None and known.done() and _failed(known):
                known = None
            if known is None:
                self._seen.add(identity, acknowledgement)
            elif known is not acknowledgement and not known.done():
                waiting.add(known)
            new.append(known is None)
        return new, waiting

    def _forget(self) -> None:
        """Forget the older half of the requests when the window is over."""
        now = self._clock()
        if now - self._since >= self._window:
            self._seen.rotate()
            if now - self._since >= 2 * self._window:
                self._seen.rotate()
            self._since = now


def http_identity(source: str, event: dict[str, Any], identity: Identity | None = None) -> Identity:
    """The identity of an event that a client may post again: equal id, account and time are the same."""
    if identity is None:
        identity = Identity(report_of(event, ""))
    return identity.with_key(("posted", source, event["id"], event["account"], event["ts"]))


def _failed(acknowledgement: Acknowledgement) -> bool:
    return acknowledgement.cancelled() or acknowledgement.exception() is not None
