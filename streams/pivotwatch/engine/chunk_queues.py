"""Queues of chunks, one per partition: no partition waits for the checkpoint of another one.

The chunks of all partitions of a worker arrive in one stream. While a checkpoint waits for the broker, the
chunks of its partition wait here, and those of the other partitions are processed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.partition_task import PartitionTask
from pivotwatch.engine.types import TP

FULL = 3
"""Number of queued chunks from which a partition is held. A fetch that is under way may bring four more."""

L = TypeVar("L", bound=PartitionTask[Any])


class ChunkQueues(Generic[L]):
    """A queue of chunks for each live partition, and a task that processes them while the queue is not empty.

    Parameters
    ----------
    feed
        Processes a chunk, unless it is stale by then.
    fail
        Called with the exception of ``feed``. It must end the process.
    hold
        Called with the partitions from which nothing more should be fetched for now.

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
        """Whether a chunk is queued or being processed."""
        return bool(self._queues)

    def add(self, live: L, chunk: Chunk) -> None:
        """Append a chunk to the queue of its partition."""
        if self._closed:
            return
        if live.tp not in self._queues:
            queue = self._queues[live.tp] = deque[Chunk]()
            task = asyncio.create_task(self._feed_all(live, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._queues[live.tp].append(chunk)
        self._report_full()

    def clear(self) -> None:
        """Discard queued chunks. A chunk that is being processed ends with its partition."""
        if self._queues:
            for queue in self._queues.values():
                queue.clear()  # Its task ends after the current chunk.
            self._queues.clear()
            self._report_full()

    def close(self) -> None:
        """Accept no more chunks, and discard queued ones. Chunks that are being processed may finish."""
        self._closed = True
        self.clear()

    def cancel(self) -> None:
        """Close, and cancel the chunks that are being processed."""
        self.close()
        for task in self._tasks:
            task.cancel()

    async def _feed_all(self, live: L, queue: deque[Chunk]) -> None:
        try:
            while queue:
                chunk = queue.popleft()
                self._report_full()
                await self._feed(live, chunk)
                chunk.clear()  # Also a stale chunk: nothing keeps its values.
        except asyncio.CancelledError as error:
            if not self._closed:  # Not cancelled by `cancel`: a record was not sent.
                self._fail(error)
            raise
        except Exception as error:
            self._fail(error)
        finally:
            if self._queues.get(live.tp) is queue:
                del self._queues[live.tp]

    def _report_full(self) -> None:
        self._hold(frozenset(tp for tp, queue in self._queues.items() if len(queue) >= FULL))
