"""Chunks on their way to their partitions: each takes its own in their order, and none waits for another.

The chunks of all partitions of a worker come in one stream. A checkpoint may wait for the broker;
meanwhile the chunks of its partition wait here, and those of the others are taken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.partition_task import PartitionTask
from pivotwatch.engine.types import TP

ENOUGH = 3
"""A partition for which so many chunks wait is held. A fetch that is under way may bring four more."""

L = TypeVar("L", bound=PartitionTask[Any])


class ChunkQueues(Generic[L]):
    """A queue of chunks for each live partition, and as long as it is not empty a task that feeds them.

    Parameters
    ----------
    feed
        Gives a chunk to its partition, unless it is out of date: asked when it is its turn.
    fail
        Called with what ``feed`` raised; the process must end then.
    hold
        Called with the partitions from which nothing more is wanted for now.

    Examples
    --------
    >>> from types import SimpleNamespace as Named
    >>> async def feed(live, chunk):
    ...     print(live.tp, list(chunk))
    ...     await asyncio.sleep(0)
    >>> async def example():
    ...     queues = ChunkQueues(feed, fail=print, hold=lambda tps: None)
    ...     for tp, text in [("p0", "ab"), ("p1", "c"), ("p0", "d")]:
    ...         queues.add(Named(tp=tp), Chunk(text, after=-1, seek=1))
    ...     while queues:
    ...         await asyncio.sleep(0)
    >>> asyncio.run(example())
    p0 ['a', 'b']
    p1 ['c']
    p0 ['d']
    """

    def __init__(
        self,
        feed: Callable[[L, Chunk], Awaitable[None]],
        fail: Callable[[BaseException], None],
        hold: Callable[[frozenset[TP]], None],
    ) -> None:
        self._feed = feed
        self._fail = fail
        self._hold = hold
        self._queues: dict[TP, deque[Chunk]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def __bool__(self) -> bool:
        """Is a chunk here that waits, or that is being taken?"""
        return bool(self._queues)

    def add(self, live: L, chunk: Chunk) -> None:
        """Put a chunk behind those that wait for its partition."""
        if self._closed:
            return
        if live.tp not in self._queues:
            queue = self._queues[live.tp] = deque[Chunk]()
            task = asyncio.create_task(self._feed_all(live, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._queues[live.tp].append(chunk)
        self._tell()

    def clear(self) -> None:
        """Nothing that waits is wanted any more. What is being taken ends by itself, with its partition."""
        if self._queues:
            for queue in self._queues.values():
                queue.clear()  # Its task ends with what it is at.
            self._queues.clear()
            self._tell()

    def close(self) -> None:
        """From now on no chunk is taken; those that are being taken may come to their end."""
        self._closed = True
        self.clear()

    def cancel(self) -> None:
        """Break off what is being taken, too."""
        self.close()
        for task in self._tasks:
            task.cancel()

    async def _feed_all(self, live: L, queue: deque[Chunk]) -> None:
        try:
            while queue:
                chunk = queue.popleft()
                self._tell()
                await self._feed(live, chunk)
                chunk.clear()  # One that was out of date, too: nobody keeps its values.
        except asyncio.CancelledError as error:
            if not self._closed:  # Nobody of ours did that: a record was not sent.
                self._fail(error)
            raise
        except Exception as error:
            self._fail(error)
        finally:
            if self._queues.get(live.tp) is queue:
                del self._queues[live.tp]

    def _tell(self) -> None:
        self._hold(frozenset(tp for tp, queue in self._queues.items() if len(queue) >= ENOUGH))
