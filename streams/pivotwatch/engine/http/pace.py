"""Lets a few requests begin in one round of the event loop, so that health answers between them."""

from __future__ import annotations

import asyncio

ROUND_SECONDS = 0.01


class Pace:
    """Requests begin at once until those of this round have computed for `ROUND_SECONDS`; then one by one.

    Without it a hundred requests that came together are all computed before an answer to ``/health``, which
    takes a few rounds itself.

    Parameters
    ----------
    seconds
        How long the requests of one round may compute before others have to wait for the next.
    """

    def __init__(self, seconds: float = ROUND_SECONDS) -> None:
        self._seconds = seconds
        self._queue = asyncio.Lock()  # Fair: who came first begins first.
        self._round_began: float | None = None

    async def wait(self) -> None:
        """Wait until the caller may begin."""
        if not self._queue.locked() and self._has_time():
            return
        async with self._queue:
            await asyncio.sleep(0)
            while not self._has_time():  # noqa: ASYNC110  # rounds of the loop are what it waits for
                await asyncio.sleep(0)

    def _has_time(self) -> bool:
        """Whether this round of the loop has time left."""
        loop = asyncio.get_running_loop()
        if self._round_began is None:
            self._round_began = loop.time()
            loop.call_soon(self._end_round)
            return True
        return loop.time() - self._round_began < self._seconds

    def _end_round(self) -> None:
        self._round_began = None
