"""Recognises requests that a producer sent twice, within the last requests of a partition.

It is off unless the configuration sets ``dedup_requests``. A request is its id and account. The window is a
number of requests, not a time, so that memory is bounded and results depend on the order of offsets alone.
Requests are remembered in segments: a checkpoint writes the segments that changed, which is mostly one.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping
from hashlib import blake2b

from pivotwatch.contracts.absent import is_absent
from pivotwatch.contracts.events import Request

SEGMENTS = 8
"""Segments that hold the window together; the newest one is filled beside them."""
SLOTS = 2 * SEGMENTS


class RecentRequests:
    """The last requests of a partition.

    Parameters
    ----------
    most
        Requests that are remembered at least; at most an eighth more.

    Attributes
    ----------
    repeated
        Number of requests that this process has left out.

    Examples
    --------
    >>> from pivotwatch.contracts.events import decode
    >>> one = decode(b'{"id":"r","ts":1,"account":"a","model":"m"}')
    >>> recent = RecentRequests(100)
    >>> recent.has(one), recent.has(one), recent.repeated
    (False, True, 1)
    """

    def __init__(self, most: int) -> None:
        self._size = max(most // SEGMENTS, 1)
        self._most = most
        self._known: set[int] = set()
        self._segments: deque[array[int]] = deque([array("Q")])
        self._number = 0
        self._changed: set[int] = {0}
        self.repeated = 0

    def __len__(self) -> int:
        return len(self._known)

    def has(self, event: Request) -> bool:
        """Whether a request came before; otherwise it is remembered."""
        if is_absent(event.id):
            return False
        digest = blake2b(f"{event.account}\0{event.id}".encode(), digest_size=8).digest()
        key = int.from_bytes(digest, "little")
        if key in self._known:
            self.repeated += 1
            return True
        self._known.add(key)
        self._segments[-1].append(key)
        self._changed.add(self._number)
        if len(self._segments[-1]) >= self._size:
            self._begin_segment()
        return False

    def _begin_segment(self) -> None:
        self._segments.append(array("Q"))
        self._number += 1
        self._changed.add(self._number)
        while len(self._segments) > SLOTS - 1 or len(self._known) - len(self._segments[0]) >= self._most:
            self._known.difference_update(self._segments.popleft())

    def meta(self) -> list[int]:
        """The numbers of the first segment and of the last one."""
        return [self._number - len(self._segments) + 1, self._number]

    def snapshot(self, *, full: bool) -> dict[int, bytes]:
        """The segments that changed since the last call, all of them when ``full``, by their slots."""
        first, last = self.meta()
        numbers = range(first, last + 1) if full else sorted(self._changed)
        self._changed.clear()
        kept = {n % SLOTS: self._segments[n - first].tobytes() for n in numbers if n >= first}
        return {slot: b"" for slot in range(SLOTS) if full} | kept

    def restore(self, meta: list[int], shards: Mapping[int, bytes]) -> None:
        """Continue where `meta` and `snapshot` were taken."""
        first, self._number = meta
        self._segments = deque(array("Q", shards.get(n % SLOTS, b"")) for n in range(first, self._number + 1))
        self._known = {key for segment in self._segments for key in segment}
        self._changed = set(range(first, self._number + 1))
