"""Bounds the names of models in the open buckets, and the names under which they are requested.

Whoever sends requests may make up both. When they take too much, the models of fewest accounts are counted as
one that no release can name, and the requested names of fewest accounts are not told apart. Their requests
stay, and for each model that is kept, so does how many were the choice of the account. This is decided where
links are bounded (`pivotwatch.detection.counting.link_bound`), from the events alone.
"""

from __future__ import annotations

import numpy as np

from pivotwatch.detection.counting.dictionary import (
    OTHER_MODEL,
    SOME_ALIAS,
    Dictionary,
    size_of_choice,
    size_of_name,
)
from pivotwatch.detection.counting.open_counts import OpenCounts
from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.method import STATE

_OPEN_SIZE = STATE.group_bounds.open_size


def drop_choices(counts: OpenCounts, dictionary: Dictionary) -> int:
    """Merge the choices of fewest accounts when there are too many; returns how many were merged."""
    names, pairs = tuple(dictionary.choice_names), counts.pairs("choice")
    used = np.unique(pairs & 0xFFFFFFFF).tolist()
    if sum(size_of_choice(*names[number]) for number in used) <= _OPEN_SIZE:
        return 0
    models = _most_used_models(pairs, names)
    reach = np.bincount(pairs & 0xFFFFFFFF, minlength=len(names))
    change, dropped, room = np.arange(len(names)), 0, _OPEN_SIZE // 4
    for number in sorted(used, key=lambda n: (-reach[n], names[n][0], names[n][1] or "")):
        model, requested = names[number]
        if model not in models:
            model, requested = OTHER_MODEL, None
        elif requested is not None:
            room -= size_of_choice(model, requested)
            if room < 0:
                requested = SOME_ALIAS if dictionary.is_alias(requested) else None
        if (model, requested) != names[number]:
            change[number] = dictionary.choice(model, requested)
            dropped += 1
    counts.replace_choices(change)
    return dropped


def _most_used_models(pairs: Ints, names: tuple[tuple[str, str | None], ...]) -> set[str]:
    """The models of most accounts, as many as take a sixteenth: two choices of each have room."""
    models = sorted({model for model, _ in names})
    number = {model: n for n, model in enumerate(models)}
    of_choice = np.array([number[model] for model, _ in names])
    found = np.unique(pairs >> 32 << 32 | of_choice[pairs & 0xFFFFFFFF])
    reach = np.bincount(found & 0xFFFFFFFF, minlength=len(models)).tolist()
    kept: set[str] = set()
    room = _OPEN_SIZE // 16
    for model in sorted(models, key=lambda one: (-reach[number[one]], one)):
        room -= size_of_name(model)
        if room < 0:
            break
        kept.add(model)
    return kept
