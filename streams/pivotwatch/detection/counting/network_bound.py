"""Bounds the names of networks in the open buckets.

Whoever sends requests may make up networks. When the names of the open buckets take too much, those that the
fewest accounts use are not counted, until the rest takes half: their events stay, without a network. This is
decided where links are bounded (`pivotwatch.detection.counting.link_bound`), from the events alone.
"""

from __future__ import annotations

import numpy as np

from pivotwatch.detection.counting.dictionary import Dictionary, size_of_name
from pivotwatch.detection.counting.open_counts import OpenCounts
from pivotwatch_models.method import STATE

_OPEN_SIZE = STATE.group_bounds.open_size


def drop_networks(counts: OpenCounts, dictionary: Dictionary) -> int:
    """Stop counting the networks of fewest accounts when there are too many; returns how many these are."""
    pairs = counts.pairs("network")
    reach = np.bincount(pairs & 0xFFFFFFFF, minlength=len(dictionary.network_names))
    used = [(number, name) for number in np.flatnonzero(reach) if (name := dictionary.network_names[number])]
    if sum(size_of_name(name) for _, name in used) <= _OPEN_SIZE:
        return 0
    change = np.arange(len(dictionary.network_names))
    room, dropped = _OPEN_SIZE // 2, 0
    for number, name in sorted(used, key=lambda one: (-reach[one[0]], one[1])):
        room -= size_of_name(name)
        if room < 0:
            change[number] = 0
            dropped += 1
    counts.replace_networks(change)
    return dropped
