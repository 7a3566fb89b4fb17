"""Sorting by the hundred thousand while others wait."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

PART = 8192
"""So many things are sorted in one go: two milliseconds."""


def long_sorted(things: Sequence[T], key: Callable[[T], Any]) -> list[T]:
    """Things sorted by keys that are all different, as `sorted` does.

    `sorted` keeps the interpreter to itself until it is done, for a second with a million names, and an
    event loop in another thread stands still. Here things are dealt to ranges of keys first, between some
    of them, and each range is sorted alone.

    Examples
    --------
    >>> long_sorted([3, 1, 2], key=abs)
    [1, 2, 3]
    """
    if len(things) <= PART:
        return sorted(things, key=key)
    bounds = sorted(map(key, things[:: PART // 2]))
    ranges: list[list[T]] = [[] for _ in range(len(bounds) + 1)]
    for thing in things:
        ranges[bisect_right(bounds, key(thing))].append(thing)
    return [thing for dealt in ranges for thing in sorted(dealt, key=key)]
