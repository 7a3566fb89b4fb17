"""The counts of open buckets as bytes. They carry names, as the numbers of names hold within one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pivotwatch.detection.counting.aggregates import Cells, Run
from pivotwatch.detection.counting.dictionary import Dictionary
from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.base.columns import pack, unpack

KEYS = ("account", "choice", "network", "links")
COUNTS = ("created", "requests", "tokens_in", "tokens_out", "with_tools")


def pack_counts(buckets: Mapping[int, Cells], dictionary: Dictionary) -> bytes:
    """The counts of buckets as bytes. Equal counts give equal bytes, whatever their order and numbers."""
    runs = {bucket: cells.whole() for bucket, cells in sorted(buckets.items())}
    of_kind: tuple[Sequence[Any], ...] = (
        dictionary.accounts.names,
        dictionary.choice_names,
        dictionary.network_names,
        dictionary.link_sets,
    )
    columns = {key: _joined(runs, key) for key in (*KEYS, *COUNTS)}
    fields: dict[str, Any] = {}
    for key, known in zip(KEYS, of_kind, strict=True):
        fields[key], columns[key] = _ranked(columns[key], known)
    columns["bucket"] = np.repeat(list(runs), [len(run.who) for run in runs.values()])
    order = np.lexsort([columns[key] for key in (*reversed(KEYS), "bucket")])
    return pack({key: _narrow(column[order]) for key, column in sorted(columns.items())}, **fields)


def unpack_counts(content: bytes, dictionary: Dictionary) -> Iterator[tuple[int, Run]]:
    """Read what `pack_counts` wrote: each bucket with its cells."""
    arrays, fields = unpack(content)
    numbers: tuple[Callable[[Any], int], ...] = (
        dictionary.accounts.row,
        lambda choice: dictionary.choice(*choice),
        dictionary.network,
        lambda links: dictionary.link_set(tuple((kind, name) for kind, name in links)),
    )
    columns = {key: array.astype(np.int64) for key, array in arrays.items()}
    for key, number in zip(KEYS, numbers, strict=True):
        known = np.array([number(name) for name in fields[key]], dtype=np.int64)
        columns[key] = known[columns[key]]
    who = columns["account"] << 32 | columns["choice"]
    place = columns["network"] << 32 | columns["links"]
    for bucket in np.unique(columns["bucket"]).tolist():
        own = columns["bucket"] == bucket
        yield bucket, Run.of([column[own] for column in (who, place, *(columns[key] for key in COUNTS))])


def _joined(runs: Mapping[int, Run], key: str) -> Ints:
    parts = [getattr(run, key) for run in runs.values()]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _ranked(numbers: Ints, names: Sequence[Any]) -> tuple[list[Any], Ints]:
    """The names that are used, sorted, and the numbers of their places in that order."""
    used, inverse = np.unique(numbers, return_inverse=True)
    found = [names[number] for number in used.tolist()]
    keys = found if set(map(type, found)) == {str} else [orjson.dumps(name) for name in found]
    order = sorted(range(len(found)), key=keys.__getitem__)
    rank = np.empty(len(found), dtype=np.int64)
    rank[order] = np.arange(len(found))
    return [found[i] for i in order], rank[inverse]


def _narrow(column: Ints) -> NDArray[Any]:
    """The same numbers in the smallest type that holds them."""
    if not len(column):
        return column
    return column.astype(np.promote_types(*map(np.min_scalar_type, (column.min(), column.max()))))
