"""The counts of one open bucket: one cell per account, model, network, requested name and links.

Four lists of numbers and one index, rather than an object per cell: a million small objects would be
walked by the garbage collector again and again, which cost as much as the counting itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.counts import Group

Key = tuple[str, str, str | None, str | None, int | str | None, tuple[tuple[str, str | None], ...] | None]
"""account, model, network, requested model, account created, links"""


class Cells:
    """Counts by key.

    Attributes
    ----------
    index
        Key to the place of its numbers in the lists.
    requests, tokens_in, tokens_out, with_tools
        Requests, their input and output tokens, and how many of them used tools.

    Examples
    --------
    >>> cells = Cells()
    >>> cells.add(("a", "m", "AS1", None, None, None), 2, 10, 20, 1)
    >>> more = Cells()
    >>> more.add(("a", "m", "AS1", None, None, None), 1, 1, 1, 0)
    >>> cells.merge(more)
    >>> cells.counts().tolist()
    [[3, 11, 21, 1]]
    """

    __slots__ = ("index", "requests", "tokens_in", "tokens_out", "with_tools")

    def __init__(self) -> None:
        self.index: dict[Key, int] = {}
        self.requests: list[int] = []
        self.tokens_in: list[int] = []
        self.tokens_out: list[int] = []
        self.with_tools: list[int] = []

    def __len__(self) -> int:
        return len(self.index)

    def add(self, key: Key, requests: int, tokens_in: int, tokens_out: int, with_tools: int) -> None:
        """Add to a cell, a new one if there is none."""
        i = self.index.get(key)
        if i is None:
            self.index[key] = len(self.requests)
            self.requests.append(requests)
            self.tokens_in.append(tokens_in)
            self.tokens_out.append(tokens_out)
            self.with_tools.append(with_tools)
        else:
            self.requests[i] += requests
            self.tokens_in[i] += tokens_in
            self.tokens_out[i] += tokens_out
            self.with_tools[i] += with_tools

    def items(self) -> Iterator[tuple[Key, tuple[int, int, int, int]]]:
        """Keys and their four numbers."""
        numbers = zip(self.requests, self.tokens_in, self.tokens_out, self.with_tools, strict=True)
        return zip(self.index, numbers, strict=True)

    def merge(self, other: Cells) -> None:
        """Add the counts of another."""
        for key, numbers in other.items():
            self.add(key, *numbers)

    def counts(self) -> NDArray[np.int64]:
        """Requests, tokens in, tokens out, requests with tools: one row a cell, in the order of ``index``."""
        table = (self.requests, self.tokens_in, self.tokens_out, self.with_tools)
        return np.array(table, dtype=np.int64).T

    def snapshot(self) -> list[Any]:
        """State, JSON-able."""
        return [list(self.index), self.requests, self.tokens_in, self.tokens_out, self.with_tools]

    @classmethod
    def restored(cls, state: list[Any]) -> Cells:
        """The cells that `snapshot` told."""
        cells = cls()
        keys, cells.requests, cells.tokens_in, cells.tokens_out, cells.with_tools = state
        for i, (*key, links) in enumerate(keys):
            cells.index[*key, tuple((k, v) for k, v in links) if links else None] = i
        return cells


def groups_of(network: str | None, links: Iterable[tuple[str, str | None]] | None) -> Iterator[Group]:
    """The groups that an event's account is active in by this event: its network and its links.

    Examples
    --------
    >>> list(groups_of("AS1", (("payment", "p7"), ("device", ""))))
    [('network', 'AS1'), ('payment', 'p7')]
    """
    if network:
        yield ("network", network)
    for kind, name in links or ():
        if name:
            yield (kind, name)
