"""The newest events in memory, for clients that follow: each receives everything after its position, once."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import AsyncIterator, Mapping

from pivotwatch.web.event_cursor import Place

KEPT = 20_000
BATCH = 256
"""Events that a client holds in memory while it is slow to read them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One event: partition and offset of its record, its name, and its JSON."""

    place: Place
    offset: int
    name: str
    data: str


RESET = Entry(("alerts", 0), -1, "reset", "{}")
"""Tells a client that its position cannot be continued: it has to load everything again."""


class EventStream:
    """The newest events, and the newest offset of each partition.

    A slow client delays nobody, and holds at most `BATCH` events in memory. When the stream no longer has its
    next event it receives `RESET`.

    Examples
    --------
    >>> event_stream = EventStream()
    >>> event_stream.add(("alerts", 0), 5, "alert", "{}")
    >>> event_stream.behind({("alerts", 0): 4})[0].offset, event_stream.behind({("alerts", 0): 5})
    (5, [])
    >>> event_stream.behind({("alerts", 0): 99}) == [RESET]
    True
    """

    def __init__(self, kept: int = KEPT) -> None:
        self.positions: dict[Place, int] = {}
        self._entries: deque[Entry] = deque()
        self._gone: dict[Place, int] = {}
        self._kept = kept
        self._number = 0
        self._more = asyncio.Event()
        self.closed = False

    def add(self, place: Place, offset: int, name: str | None, data: str = "") -> None:
        """Add the event of a record; without a name it only advances the position."""
        self.positions[place] = offset
        self._wake()
        if name is None:
            return
        self._entries.append(Entry(place, offset, name, data))
        self._number += 1
        if len(self._entries) > self._kept:
            old = self._entries.popleft()
            self._gone[old.place] = old.offset

    def close(self) -> None:
        """End every `follow`."""
        self.closed = True
        self._wake()

    async def reached(self, place: Place, offset: int) -> None:
        """Wait until a record was added."""
        while not self.closed and self.positions.get(place, -1) < offset:
            await self._more.wait()

    def behind(self, position: Mapping[Place, int]) -> list[Entry]:
        """At most `BATCH` events after a position, or `RESET` when some of them are no longer held."""
        return self._next(-1, position)[0]

    def _next(self, seen: int, position: Mapping[Place, int]) -> tuple[list[Entry], int]:
        """The same as `behind` without the first ``seen`` events; and how many were seen after it."""
        oldest = self._number - len(self._entries)
        if seen < oldest:
            if self._lost(position):
                return [RESET], self._number
            seen = oldest
        last = min(seen + BATCH, self._number)
        looked_at = (self._entries[number - oldest] for number in range(seen, last))
        return [e for e in looked_at if e.offset > position.get(e.place, -1)], last

    def _lost(self, position: Mapping[Place, int]) -> bool:
        unknown = any(offset > self.positions.get(place, -1) for place, offset in position.items())
        return unknown or any(offset > position.get(place, -1) for place, offset in self._gone.items())

    async def follow(self, position: Mapping[Place, int]) -> AsyncIterator[tuple[Entry, dict[Place, int]]]:
        """Every entry after a position, each with the position after it, as they are added; until `close`."""
        mine, seen = dict(position), -1
        while not self.closed:
            more = self._more
            if seen != self._number:
                entries, seen = self._next(seen, mine)
                for entry in entries:
                    if entry is RESET:
                        mine = dict(self.positions)
                    else:
                        mine[entry.place] = max(entry.offset, mine.get(entry.place, -1))
                    yield entry, mine
                continue
            await more.wait()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()
