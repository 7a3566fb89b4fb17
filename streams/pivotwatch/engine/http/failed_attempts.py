"""Slows those who try wrong secrets. Whoever has the right one never waits, wherever others guess."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from pivotwatch.base.addresses import client_network

ALLOWED = 10
WINDOW_SECONDS = 300.0
DELAY_SECONDS = 1.0
DELAYED_OF_ADDRESS = 4
DELAYED = 64
MOST_ADDRESSES = 10_000


class FailedAttempts:
    """Counts failures per address (an IPv6 /64 counts as one) and delays those beyond the allowance.

    Check the secret first, and call `add` only when it is wrong. Few failures are delayed at once, because a
    delayed one holds a connection; the others are answered without a delay. Memory is bounded: of more than
    `MOST_ADDRESSES` addresses the one that failed longest ago is forgotten.

    Parameters
    ----------
    allowed
        Failures of one address that are not slowed.
    window
        Seconds after which failures no longer count.
    delay
        Seconds.
    clock
        Seconds of a monotonic clock.

    Examples
    --------
    >>> attempts = FailedAttempts(allowed=1, delay=0.01)
    >>> asyncio.run(attempts.add("203.0.113.7")), asyncio.run(attempts.add("203.0.113.7"))
    (0, 300)
    >>> asyncio.run(attempts.add("203.0.113.8"))
    0
    """

    def __init__(
        self,
        allowed: int = ALLOWED,
        window: float = WINDOW_SECONDS,
        delay: float = DELAY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed, self._window, self._delay, self._clock = allowed, window, delay, clock
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._delayed: Counter[str] = Counter()

    async def add(self, address: str | None) -> int:
        """Count a failure and wait; return the seconds for ``Retry-After``, 0 within the allowance."""
        network = client_network(address)
        since, count = self._failures.pop(network, (self._clock(), 0))
        if self._clock() - since >= self._window:
            since, count = self._clock(), 0
        self._failures[network] = (since, count + 1)
        if len(self._failures) > MOST_ADDRESSES:
            self._failures.popitem(last=False)
        if count < self._allowed:
            return 0
        await self._wait(network)
        return max(1, round(since + self._window - self._clock()))

    async def _wait(self, network: str) -> None:
        if self._delayed[network] >= DELAYED_OF_ADDRESS or self._delayed.total() >= DELAYED:
            return
        self._delayed[network] += 1
        try:
            await asyncio.sleep(self._delay)
        finally:
            self._delayed[network] -= 1
            if not self._delayed[network]:
                del self._delayed[network]
