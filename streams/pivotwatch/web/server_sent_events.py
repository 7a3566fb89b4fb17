"""What has happened, for those who follow: each gets everything behind its own position, once."""

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
    """One event: where it came from, its name, and its JSON."""

    place: Place
    offset: int
    name: str
    data: str


RESET = Entry(("alerts", 0), -1, "reset", "{}")
"""Somebody's position is not to be continued: look at everything anew."""


class EventStream:
    """The newest events, and where each partition stands.

    A follower that is slow holds nothing back and nothing for itself: when what it needs is gone it is
    told to look at everything anew.

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
        """Take a record; one without a name only moves the position on."""
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
        """Let every follower end."""
        self.closed = True
        self._wake()

    async def reached(self, place: Place, offset: int) -> None:
        """Wait until a record has been taken."""
        while not self.closed and self.positions.get(place, -1) < offset:
            await self._more.wait()

    def behind(self, position: Mapping[Place, int]) -> list[Entry]:
        """Everything that comes after a position, or `RESET` when some of it is gone."""
        if self._lost(position):
            return [RESET]
        return [e for e in self._entries if e.offset > position.get(e.place, -1)]

    def _fresh(self, seen: int, position: Mapping[Place, int]) -> list[Entry]:
        """`behind`, for who has looked at the first ``seen`` entries: at the newer ones only."""
        count = self._number - seen
        if seen < 0 or count > len(self._entries):
            return self.behind(position)
        newest = list(itertools.islice(reversed(self._entries), count))
        return [e for e in reversed(newest) if e.offset > position.get(e.place, -1)]

    def _lost(self, position: Mapping[Place, int]) -> bool:
        unknown = any(offset > self.positions.get(place, -1) for place, offset in position.items())
        return unknown or any(offset > position.get(place, -1) for place, offset in self._gone.items())

    async def follow(self, position: Mapping[Place, int]) -> AsyncIterator[tuple[Entry, dict[Place, int]]]:
        """Every entry behind a position, each with the position after it, as they come; ends with `close`."""
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
