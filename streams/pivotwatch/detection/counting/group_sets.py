"""Numbers for sets of groups that follow from the names of the groups alone.

`AccountTable` numbers sets in the order in which they came. What leaves the process (the record of a bucket,
the state of a shard) must not depend on that order.
"""

from __future__ import annotations

import numpy as np

from pivotwatch.detection.counting.account_table import AccountTable
from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.base.counts import Group

NONE = np.empty(0, dtype=np.int64)


class NamedSets:
    """Some sets of groups, numbered by the names of their groups.

    Attributes
    ----------
    groups
        Names of the groups, sorted.
    sets
        Indices into ``groups`` of each set, sorted.
    rank
        For each set number of the account table, its number here.
    """

    def __init__(self, accounts: AccountTable) -> None:
        self._accounts = accounts

    def name(self, sets: Ints) -> None:
        """Number these sets."""
        accounts, used = self._accounts, np.unique(sets)
        sizes, flat = self._members(used)
        groups = np.unique(flat)
        order = np.argsort(accounts.name_rank(groups))
        self.groups = [accounts.groups[group] for group in groups[order].tolist()]
        index = np.empty(len(groups), dtype=np.int64)
        index[order] = np.arange(len(groups))
        # One row a set, filled up with -1: in the order of rows, a set comes before a longer one like it.
        table = np.full((len(used), int(sizes.max(initial=0))), len(groups), dtype=np.int64)
        table[np.arange(table.shape[1]) < sizes[:, None]] = index[np.searchsorted(groups, flat)]
        table.sort(axis=1)
        table[table == len(groups)] = -1
        by_names = np.lexsort(table.T[::-1]) if table.shape[1] else np.arange(len(used))
        table, sizes = table[by_names], sizes[by_names]
        self.sets = [row[:size] for row, size in zip(table.tolist(), sizes.tolist(), strict=True)]
        self.rank = np.zeros(len(accounts.sets), dtype=np.int64)
        self.rank[used[by_names]] = np.arange(len(used))
        self._index = np.zeros(len(accounts.groups), dtype=np.int64)
        self._index[groups] = index

    def _members(self, sets: Ints) -> tuple[Ints, Ints]:
        """How many groups each set has, and the groups."""
        members = [self._accounts.sets[number] for number in sets.tolist()]
        sizes = np.array([len(groups) for groups in members], dtype=np.int64)
        return sizes, np.array([group for groups in members for group in groups], dtype=np.int64)

    def some(self, sets: Ints) -> tuple[Ints, list[list[Group]]]:
        """Some of the sets by themselves: their numbers, and what these stand for."""
        used, numbers = np.unique(self.rank[sets], return_inverse=True)
        group = self.groups.__getitem__
        return numbers, [list(map(group, self.sets[number])) for number in used.tolist()]

    def spread(self, cell_set: Ints) -> tuple[Ints, Ints]:
        """Every cell once per group that it is in: places of cells, and indices of groups."""
        used, inverse = np.unique(cell_set, return_inverse=True)
        sizes, groups = self._members(used)
        flat = self._index[groups]
        begins = np.cumsum(sizes) - sizes
        of_cell = sizes[inverse]
        cell = np.repeat(np.arange(len(cell_set)), of_cell)
        step = np.arange(len(cell)) - np.repeat(np.cumsum(of_cell) - of_cell, of_cell)
        return cell, flat[begins[inverse[cell]] + step]
