"""The newest events in memory, for clients that follow: each receives everything after its position, once."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections import deque
from collections.abc import AsyncIterator, Mapping

from pivotwatch.web.event_cursor import Place

KEPT = 20_000


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

    A slow client delays nobody and needs no buffer. When its next event is no longer held it receives
    `RESET`.

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
        """Every event after a position, or `RESET` when some of them are no longer held."""
        if self._lost(position):
            return [RESET]
        return [e for e in self._entries if e.offset > position.get(e.place, -1)]

    def _fresh(self, seen: int, position: Mapping[Place, int]) -> list[Entry]:
        """The same as `behind`, looking only at entries after the first ``seen``."""
        count = self._number - seen
        if seen < 0 or count > len(self._entries):
            return self.behind(position)
        newest = list(itertools.islice(reversed(self._entries), count))
        return [e for e in reversed(newest) if e.offset > position.get(e.place, -1)]

    def _lost(self, position: Mapping[Place, int]) -> bool:
        unknown = any(offset > self.positions.get(place, -1) for place, offset in position.items())
        return unknown or any(offset > position.get(place, -1) for place, offset in self._gone.items())

    async def follow(self, position: Mapping[Place, int]) -> AsyncIterator[tuple[Entry, dict[Place, int]]]:
        """Every entry after a position, each with the position after it, as they are added; until `close`."""
        mine, seen = dict(position), -1
        while not self.closed:
            more = self._more
            if seen != self._number:
                fresh, seen = self._fresh(seen, mine), self._number
                for entry in fresh:
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
