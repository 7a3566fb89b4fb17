"""The counts of one open bucket: one cell per account, model, requested name, network and links.

Events arrive as rows of integers (`EVENT`). Array operations sort and add up thousands of them at a time. So
an open bucket holds no Python object per account or cell. The garbage collector would visit a million of
such objects again and again, and they would leave the memory fragmented when the bucket closes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple, Self

import numpy as np

from pivotwatch_models.base.arrays import Ints

EVENT = struct.Struct("=9q")
"""ts, account, choice, network, links, account created (-1: unknown), tokens in, tokens out, tools."""
NO_DATE = -1
_LOW = 0xFFFFFFFF

RUN = 1 << 16
"""Number of cells that may wait before they are added up."""


class Run(NamedTuple):
    """Cells in order, each once, as columns of one length.

    Attributes
    ----------
    who, place
        Account << 32 | choice; network << 32 | links.
    created
        Earliest known time of creation of the account in epoch milliseconds, or `NO_DATE`.
    requests, tokens_in, tokens_out, with_tools
        Requests, their input and output tokens, and how many of them used tools.
    """

    who: Ints
    place: Ints
    created: Ints
    requests: Ints
    tokens_in: Ints
    tokens_out: Ints
    with_tools: Ints

    @classmethod
    def of(cls, columns: Iterable[Ints]) -> Self:
        """Sort columns by cell, and add up what belongs to one cell."""
        who, place, created, *counts = columns
        order = np.lexsort((place, who))
        who, place = who[order], place[order]
        first = np.empty(len(who), dtype=bool)
        first[:1] = True
        np.logical_or(who[1:] != who[:-1], place[1:] != place[:-1], out=first[1:])
        starts = np.flatnonzero(first)
        if not len(starts):
            return cls(who, place, created, *counts)
        # As an unsigned number, NO_DATE comes last.
        earliest = np.minimum.reduceat(created.view(np.uint64)[order], starts).view(np.int64)
        sums = [np.add.reduceat(column[order], starts) for column in counts]
        return cls(who[starts], place[starts], earliest, *sums)

    @property
    def account(self) -> Ints:
        """Row of the account of each cell."""
        return self.who >> 32

    @property
    def choice(self) -> Ints:
        """Number of the model and the requested name of each cell."""
        return self.who & _LOW

    @property
    def network(self) -> Ints:
        """Number of the network of each cell."""
        return self.place >> 32

    @property
    def links(self) -> Ints:
        """Number of the links of each cell."""
        return self.place & _LOW


class Cells:
    """Counts of one bucket by cell.

    Examples
    --------
    >>> cells = Cells()
    >>> one = np.array([[1_770_000_000_000, 4, 0, 1, 0, NO_DATE, 10, 20, 1]])
    >>> cells.add(one)
    >>> cells.add(one)
    >>> cells.whole().requests.tolist(), cells.whole().tokens_in.tolist()
    ([2], [20])
    """

    __slots__ = ("_merged", "_size", "requests", "runs")

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._size = self._merged = 0
        self.requests = 0

    def __len__(self) -> int:
        return len(self.whole().who) if self.runs else 0

    def add(self, events: Ints) -> None:
        """Count events: rows as `EVENT` packs them, shape (events, 9)."""
        _, account, choice, network, links, created, tokens_in, tokens_out, tools = events.T
        ones = np.ones(len(events), dtype=np.int64)
        used = (tools > 0).astype(np.int64)
        columns = (created, ones, tokens_in, tokens_out, used)
        self._append(
            Run.of([account << 32 | choice, network << 32 | links, *map(np.ascontiguousarray, columns)])
        )

    def merge(self, other: Cells) -> None:
        """Add the counts of another bucket."""
        for run in other.runs:
            self._append(run)

    def take_over(self, other: Cells) -> None:
        """Add the counts of another bucket without adding them up; `whole` does."""
        self.runs += other.runs
        self._size += other._size
        self.requests += other.requests

    def append(self, run: Run) -> None:
        """Add cells that a snapshot held."""
        if len(run.who):
            self._append(run)

    def _append(self, run: Run) -> None:
        self.runs.append(run)
        self._size += len(run.who)
        self.requests += int(run.requests.sum())
        if self._size > 2 * (self._merged + RUN):
            self.whole()

    def whole(self) -> Run:
        """All cells, each once."""
        if len(self.runs) != 1:
            columns = zip(*self.runs, strict=True) if self.runs else [()] * len(Run._fields)
            self.runs = [Run.of(np.concatenate(c) if c else np.empty(0, np.int64) for c in columns)]
        self._size = self._merged = len(self.runs[0].who)
        return self.runs[0]

    def renumber(self, change: Callable[[Run], Run]) -> None:
        """Replace every run by what ``change`` makes of it."""
        self.runs = [change(run) for run in self.runs]
