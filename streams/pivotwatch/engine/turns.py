"""Whose turn it is to compute, among those in one event loop who could for long."""

from __future__ import annotations

import asyncio

ROUNDS = 3
"""Rounds of the event loop from turn to turn.

With one, the next fetch was asked for only when nothing was left to do, and a worker of four partitions was
idle for a tenth of the time; with six it was no quicker than with three, and took 27 MB more."""


class Turns:
    """One goes on every few rounds of the event loop, in the order in which they came.

    Without it each of them would go on in every round, and what takes a few rounds (the next fetch, an
    answer to ``/health``, a record on its way to the broker) would wait for all of them each time.

    Examples
    --------
    >>> async def compute(name, turns):
    ...     for part in range(2):
    ...         await turns.wait()
    ...         print(name, part)
    >>> async def example():
    ...     turns = Turns()
    ...     await asyncio.gather(compute("a", turns), compute("b", turns))
    >>> asyncio.run(example())
    a 0
    b 0
    a 1
    b 1
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()  # Fair: who came first gets it first.

    async def wait(self) -> None:
        """Let everybody else run, until it is the caller's turn."""
        async with self._lock:
            for _ in range(ROUNDS):
                await asyncio.sleep(0)
