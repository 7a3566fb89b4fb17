"""Bounds the links of the open buckets.

Whoever sends requests may make up links, and every new one takes memory until its bucket closes. When the
links of the open buckets take too much, those that the fewest accounts use are not counted, until the rest
takes half. This is decided at every whole number of events in the open buckets, from these events alone, so
it is the same after any restart.
"""

from __future__ import annotations

import numpy as np

from pivotwatch.detection.counting.dictionary import Dictionary, size_of
from pivotwatch.detection.counting.open_counts import OpenCounts
from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.method import STATE

_OPEN_SIZE = STATE.group_bounds.open_size
Link = tuple[str, str | None]


def drop_links(counts: OpenCounts, dictionary: Dictionary) -> int:
    """Stop counting the links of fewest accounts when there are too many; returns how many were dropped."""
    pairs = counts.pairs()
    used = np.unique(pairs & 0xFFFFFFFF).tolist()
    if sum(size_of(dictionary.link_sets[number]) for number in used) <= _OPEN_SIZE:
        return 0
    numbers: dict[Link, int] = {}
    of_set = [[numbers.setdefault(link, len(numbers)) for link in dictionary.link_sets[s]] for s in used]
    reach = _reach(pairs, np.array(used), of_set, len(numbers)).tolist()
    links = list(numbers)
    kept: set[Link] = set()
    room = _OPEN_SIZE // 2
    for number in sorted(range(len(links)), key=lambda n: (-reach[n], links[n][0], links[n][1] or "")):
        room -= size_of((links[number],))
        if room < 0:
            break
        kept.add(links[number])
    change = np.arange(len(dictionary.link_sets))
    for number in used:
        change[number] = dictionary.link_set(tuple(x for x in dictionary.link_sets[number] if x in kept))
    counts.replace_links(change)
    return len(links) - len(kept)


def _reach(pairs: Ints, used: Ints, of_set: list[list[int]], links: int) -> Ints:
    """Number of accounts of each link."""
    sizes = np.array([len(one) for one in of_set], dtype=np.int64)
    flat = np.array([number for one in of_set for number in one], dtype=np.int64)
    place = np.searchsorted(used, pairs & 0xFFFFFFFF)
    own, begins = sizes[place], (np.cumsum(sizes) - sizes)[place]
    account = np.repeat(pairs >> 32, own)
    step = np.arange(len(account)) - np.repeat(np.cumsum(own) - own, own)
    link = flat[np.repeat(begins, own) + step]
    return np.bincount(np.unique(account * links + link) % links, minlength=links)
