"""The accounts of a partition as row numbers; groups and sets of groups as small integers.

An account is a member of a group from its first active bucket there until 90 days after its last one. Joining
and leaving are reported once each. So the sum over the partitions is the number of accounts that were seen in
a group within 90 days.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from heapq import nsmallest
from typing import Any

import numpy as np

from pivotwatch.detection.counting.long_sort import long_sorted
from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.base.columns import Columns
from pivotwatch_models.base.counts import Group
from pivotwatch_models.method import STATE
from pivotwatch_models.settings import Settings

_MEMBERSHIP = STATE.membership
_MOST_GROUPS = STATE.group_bounds.per_account
SLACK = 10_000
"""Number of unused sets of groups that is allowed before they are forgotten."""


class AccountTable:
    """The accounts of one partition, and their groups.

    Parameters
    ----------
    settings
        Width of a bucket.
    shards
        Number of shards that the accounts are divided into, by a hash of the id.

    Attributes
    ----------
    rows, names
        Row of each account, and account of each row.
    columns
        Per row: shard, first and last active bucket, time of creation in epoch milliseconds (-1: unknown),
        requests, and the set of groups of its last activity.
    groups, sets
        Group of each number, and the sorted group numbers of each set.
    elsewhere
        For each row the groups outside the last set, with the bucket in which the account was last active
        there.
    crowded_out
        How many accounts left each group because they were in too many: then they leave the one in which
        they were active longest ago.

    Examples
    --------
    >>> accounts = AccountTable(Settings(), shards=4)
    >>> home = accounts.set_id((accounts.group_id(("network", "AS64500")),))
    >>> rows = np.array([accounts.row("acct-1"), accounts.row("acct-2")])
    >>> accounts.meet(rows, bucket=7)
    >>> joined = accounts.settle(7, rows, sets=np.array([home, home]), requests=np.array([5, 1]))
    >>> accounts.named(joined)
    [['network', 'AS64500', 2]]
    """

    def __init__(self, settings: Settings, shards: int) -> None:
        self.shards = shards
        self.keep = settings.buckets(_MEMBERSHIP.keep_ms)
        self.sweep_each = max(1, -(-shards * settings.bucket_ms // _MEMBERSHIP.sweep_ms))
        self.rows: dict[str, int] = {}
        self.names: list[str] = []
        self.free: list[int] = []
        self.columns = Columns(
            {
                "shard": ("i4", -1),
                "first": ("i4", -1),
                "last": ("i4", -1),
                "created": ("i8", -1),
                "requests": ("i8", 0),
                "home": ("i4", 0),
            }
        )
        self.groups: list[Group] = []
        self._group_ids: dict[Group, int] = {}
        self._by_name: list[int] = []
        self._name_rank: Ints = np.empty(0, dtype=np.int64)
        self.sets: list[tuple[int, ...]] = []
        self._set_ids: dict[tuple[int, ...], int] = {}
        self.set_id(())
        self.elsewhere: dict[int, dict[int, int]] = {}
        self.crowded_out: dict[int, int] = {}

    def row(self, account: str) -> int:
        """Row of an account; an unknown account gets a new row."""
        row = self.rows.get(account)
        if row is None:
            if self.free:
                row = self.free.pop()
                self.names[row] = account
            else:
                row = len(self.names)
                self.names.append(account)
            self.rows[account] = row
        return row

    def meet(self, rows: Ints, bucket: int) -> None:
        """Note the first active bucket of accounts. From then on they are part of the state."""
        self.columns.reserve(len(self.names))
        fresh = rows[self.columns["first"][rows] < 0]
        shards = [zlib.crc32(self.names[row].encode()) % self.shards for row in fresh.tolist()]
        self.columns["shard"][fresh] = shards
        self.columns["first"][fresh] = bucket

    def set_id(self, groups: tuple[int, ...]) -> int:
        """Number of a set of groups, given as sorted group numbers."""
        number = self._set_ids.get(groups)
        if number is None:
            number = self._set_ids[groups] = len(self.sets)
            self.sets.append(groups)
        return number

    def group_id(self, group: Group) -> int:
        """Number of a group."""
        number = self._group_ids.get(group)
        if number is None:
            number = self._group_ids[group] = len(self.groups)
            self.groups.append(group)
        return number

    def name_rank(self, groups: Ints) -> Ints:
        """Rank of groups by name, among all groups that are known."""
        if len(self._name_rank) < len(self.groups):
            name = self.groups.__getitem__
            new = long_sorted(range(len(self._name_rank), len(self.groups)), name)
            self._by_name = sorted([*self._by_name, *new], key=name)  # Two runs: it is a merge.
            self._name_rank = np.empty(len(self.groups), dtype=np.int64)
            self._name_rank[self._by_name] = np.arange(len(self.groups))
        return self._name_rank[groups]

    def named(self, counts: Mapping[int, int]) -> list[list[Any]]:
        """Counts by group number as rows [kind, id, count], sorted by kind and id."""
        groups = np.array(list(counts), dtype=np.int64)
        rank = self.name_rank(groups)
        return [[*self.groups[g], counts[g]] for g in groups[np.argsort(rank)].tolist()]

    def settle(self, bucket: int, rows: Ints, sets: Ints, requests: Ints) -> dict[int, int]:
        """Note that accounts were active in sets of groups; returns how many accounts joined each group.

        An account that was active in a later bucket, too, stays in the set of that activity.

        Parameters
        ----------
        bucket
            The bucket of the activity.
        rows, sets, requests
            Accounts, each once, with the set of groups and the requests of each.
        """
        joined: dict[int, int] = {}
        last, home = self.columns["last"], self.columns["home"]
        self.columns["requests"][rows] += requests
        newest = last[rows] < bucket
        rows, sets = rows[newest], sets[newest]
        moved = home[rows] != sets
        for row, new in zip(rows[moved].tolist(), sets[moved].tolist(), strict=True):
            self._move(row, new, joined)
        home[rows] = sets
        last[rows] = bucket
        return joined

    def _move(self, row: int, new: int, joined: dict[int, int]) -> None:
        """Move an account to another set of groups, and count the groups that it joins."""
        old = self.sets[self.columns["home"][row]]
        if not old and row not in self.elsewhere:
            for group in self.sets[new]:
                joined[group] = joined.get(group, 0) + 1
            return
        seen = self.elsewhere.get(row, {})
        for group in self.sets[new]:
            if group in old or seen.pop(group, None) is not None:
                continue
            joined[group] = joined.get(group, 0) + 1
        for group in old:
            if group not in self.sets[new]:
                seen[group] = int(self.columns["last"][row])
        over = len(seen) + len(self.sets[new]) - _MOST_GROUPS
        if over > 0:
            for group in nsmallest(over, seen, key=lambda group: (seen[group], self.groups[group])):
                del seen[group]
                self.crowded_out[group] = self.crowded_out.get(group, 0) + 1
        if seen:
            self.elsewhere[row] = seen
        else:
            self.elsewhere.pop(row, None)

    def take_crowded_out(self) -> dict[int, int]:
        """How many accounts left each group since the last call, because they were in too many."""
        taken, self.crowded_out = self.crowded_out, {}
        return taken

    def sweep(
        self, since: int, bucket: int, in_use: Callable[[], Ints]
    ) -> tuple[dict[int, int], Ints, set[int]]:
        """Forget memberships and accounts that were last active over 90 days ago, in some of the shards.

        The buckets ``since`` to ``bucket`` alone decide which shards are swept. Each is swept within a day.

        Parameters
        ----------
        since, bucket
            First and last bucket since the last sweep.
        in_use
            Returns the rows that open buckets use. Such a row keeps its account, which counts as new when its
            bucket closes.

        Returns
        -------
        left
            How many accounts left each group.
        gone
            Rows whose state was cleared.
        changed
            Shards that changed.
        """
        first = max(since, bucket + 1 - self.shards) * self.sweep_each
        turn = sorted({number % self.shards for number in range(first, (bucket + 1) * self.sweep_each)})
        self.columns.reserve(len(self.names))
        size, oldest = len(self.names), bucket - self.keep
        last = self.columns["last"][:size]
        stale = (last >= 0) & (last < oldest)
        gone = (
            np.flatnonzero(stale & np.isin(self.columns["shard"][:size], turn))
            if stale.any()
            else np.empty(0, int)
        )
        left: dict[int, int] = {}
        for row in gone.tolist():
            for group in (*self.sets[self.columns["home"][row]], *self.elsewhere.pop(row, {})):
                left[group] = left.get(group, 0) + 1
        for row in np.setdiff1d(gone, in_use()).tolist() if len(gone) else ():
            del self.rows[self.names[row]]
            self.free.append(row)
        self.columns.clear(gone)
        for row in [r for r in self.elsewhere if self.columns["shard"][r] in turn]:
            for group in [g for g, seen in self.elsewhere[row].items() if seen < oldest]:
                del self.elsewhere[row][group]
                left[group] = left.get(group, 0) + 1
        return left, gone, set(turn) if left or len(gone) else set()

    def tidy(self) -> bool:
        """Forget unused sets and groups once they are many; returns whether all numbers have changed."""
        home = self.columns["home"]
        used = np.union1d(0, home)
        if len(self.sets) <= 2 * len(used) + SLACK:
            return False
        old_sets, old_groups = [self.sets[number] for number in used.tolist()], self.groups
        self.groups, self.sets, self._by_name = [], [], []
        self._name_rank = np.empty(0, dtype=np.int64)
        self._group_ids.clear()
        self._set_ids.clear()
        numbers = [self.set_id(tuple(sorted(self.group_id(old_groups[g]) for g in old))) for old in old_sets]
        home[:] = np.array(numbers)[np.searchsorted(used, home)]
        for row, seen in self.elsewhere.items():
            self.elsewhere[row] = {self.group_id(old_groups[g]): bucket for g, bucket in seen.items()}
        return True

    def in_shard(self, shard: int) -> Ints:
        """Rows of a shard in the order of their account ids, so that equal states have equal bytes."""
        rows = np.flatnonzero(self.columns["shard"] == shard)
        return np.array(sorted(rows.tolist(), key=self.names.__getitem__), dtype=np.int64)

    def snapshot(self, rows: Ints, home: Ints, sets: list[list[Group]]) -> tuple[dict[str, Any], bytes]:
        """Names, sets and memberships of some rows, JSON-able, and their columns.

        Parameters
        ----------
        rows
            Accounts.
        home, sets
            The last set of each, and what these numbers stand for
            (`pivotwatch.detection.counting.group_sets`): here sets have the
            order in which they were met.
        """
        elsewhere = [
            [i, sorted([*self.groups[g], seen] for g, seen in self.elsewhere[row].items())]
            for i, row in enumerate(rows.tolist())
            if row in self.elsewhere
        ]
        fields = {
            "names": [self.names[row] for row in rows.tolist()],
            "sets": sets,
            "elsewhere": elsewhere,
        }
        return fields, self.columns.snapshot(rows, home=home.astype(self.columns["home"].dtype))

    def restore(self, state: dict[str, Any], columns: bytes) -> Ints:
        """Add the accounts of a shard; returns their rows."""
        rows = np.array([self.row(name) for name in state["names"]], dtype=np.int64)
        if len(rows):
            self.columns.reserve(len(self.names))
            self.columns.restore(rows, columns)
            numbers = [
                self.set_id(tuple(sorted(self.group_id((kind, name)) for kind, name in groups)))
                for groups in state["sets"]
            ]
            home = self.columns["home"]
            home[rows] = [numbers[i] for i in home[rows].tolist()]
        for i, memberships in state["elsewhere"]:
            self.elsewhere[int(rows[i])] = {self.group_id((kind, g)): seen for kind, g, seen in memberships}
        return rows
