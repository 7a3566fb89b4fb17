"""Sorting in slices: names by the hundred thousand, without a pause of more than a few milliseconds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pivotwatch.base import work
from pivotwatch.base.work import Work, sliced

S = TypeVar("S")


def ordered(things: Sequence[S], key: Callable[[S], Any]) -> Work[list[S]]:
    """Things sorted by keys that are all different: as `sorted` does, in slices.

    They are dealt to ranges of keys first, between some of them, and each range is sorted alone.

    Examples
    --------
    >>> from pivotwatch.base.work import at_once
    >>> at_once(ordered([3, 1, 2], key=abs))
    [1, 2, 3]
    """
    if len(things) <= work.PART:
        yield
        return sorted(things, key=key)
    bounds = sorted(map(key, things[:: work.PART // 2]))
    ranges: list[list[S]] = [[] for _ in range(len(bounds) + 1)]
    for some in sliced(things):
        for thing in some:
            ranges[bisect_right(bounds, key(thing))].append(thing)
        yield
    out: list[S] = []
    for dealt in ranges:
        out += yield from ordered(dealt, key)
    return out


def merged(old: Sequence[S], new: Sequence[S], key: Callable[[S], Any]) -> Work[list[S]]:
    """Two sorted sequences as one.

    Examples
    --------
    >>> from pivotwatch.base.work import at_once
    >>> at_once(merged([1, 3], [2, 5], key=abs))
    [1, 2, 3, 5]
    """
    out: list[S] = []
    taken = 0
    for some in sliced(old):
        until = bisect_right(new, key(some[-1]), lo=taken, key=key)
        out += sorted([*some, *new[taken:until]], key=key)  # two runs: it is one pass
        taken = until
        yield
    return [*out, *new[taken:]]
