"""The activity of one bucket as arrays: requests of each account, by group and by model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from heapq import nsmallest
from itertools import pairwise
from typing import Any

import numpy as np

from pivotwatch.contracts.bucket_content import AGES, BY_FIRST_SIGHT, NOT_YOUNG, YOUNG, Body, ToModel, encoded
from pivotwatch.detection.counting.aggregates import NO_DATE, Run
from pivotwatch.detection.counting.dictionary import OTHER_MODEL, Dictionary
from pivotwatch.detection.counting.group_sets import NamedSets
from pivotwatch.detection.counting.long_sort import long_sorted
from pivotwatch_models.accounts.split_blocks import Blocks
from pivotwatch_models.base.arrays import Ints, Mask
from pivotwatch_models.method import STATE
from pivotwatch_models.population.cohorts import BANDS, volume_band
from pivotwatch_models.settings import Settings

_REACH, _SIZE_STEPS = STATE.candidates.reach, STATE.split_blocks.size_steps
_MOST_GROUPS = STATE.group_bounds.per_bucket
_YOUNG_MS = STATE.membership.young_ms


class BucketActivity:
    """The active accounts of one bucket, each once, and their requests.

    Attributes
    ----------
    bucket
        Index of the bucket.
    rows, n
        Active accounts and their requests, aligned.
    sets
        The set of groups that each was active in.
    dropped_links
        Groups of single accounts that are not counted, because the accounts have too many.
    use
        Requests and reach of each model that was used (`pivotwatch.detection.counting.model_tracker`).

    Examples
    --------
    >>> from pivotwatch.detection.counting.account_table import AccountTable
    >>> from pivotwatch.detection.counting.aggregates import Cells
    >>> dictionary = Dictionary(AccountTable(Settings(), shards=1), aliases=())
    >>> row, choice = dictionary.accounts.row("acct-1"), dictionary.choice("m-2", None)
    >>> network, cells = dictionary.network("AS64500"), Cells()
    >>> cells.add(np.array([[25_200_000, row, choice, network, 0, NO_DATE, 10, 20, 0]]))
    >>> activity = BucketActivity(Settings(bucket="1h"), dictionary, bucket=7)
    >>> activity.read(cells.whole())
    >>> activity.n.tolist(), activity.total("m-2"), activity.use
    ([1], (1, 1, 10, 20, 0), {'m-2': (1, 1000)})
    """

    def __init__(self, settings: Settings, dictionary: Dictionary, bucket: int) -> None:
        self.dictionary, self.accounts = dictionary, dictionary.accounts
        self.bucket, self._settings = bucket, settings
        self.dropped_links = 0

    def read(self, cells: Run) -> None:
        """Read the counts of the bucket."""
        settings, names, bucket = self._settings, self.dictionary, self.bucket
        model, own = names.chosen_models()
        self._model, self._by_choice = model[cells.choice], own[cells.choice]
        self._counts = np.column_stack([cells.requests, cells.tokens_in, cells.tokens_out, cells.with_tools])
        self.rows, starts, self._inverse = _blocks(cells.account)
        self.accounts.meet(self.rows, bucket)
        self._note_created(np.minimum.reduceat(cells.created.view(np.uint64), starts).view(np.int64))
        self.n = np.add.reduceat(cells.requests, starts)
        places, place = np.unique(cells.place, return_inverse=True)
        cell_set = names.sets(places)[place]
        self.sets, cell_set = self._sets(cell_set, starts)
        self._cohort = self._cohorts()
        self.use = self._use(cells.who)
        self._named = NamedSets(self.accounts)
        self._named.name(self.sets)
        self._set_of = self._named.rank[self.sets]
        band, young, previous = self._cohort.T
        oldest = bucket - settings.buckets(settings.watch_ms)
        span = bucket - oldest + 2
        since = np.where(previous < 0, 0, previous - oldest + 1)
        codes = ((self._set_of * BANDS + band) * AGES + young) * span + since
        codes, first, self._code = np.unique(codes, return_index=True, return_inverse=True)
        self._codes = np.column_stack([self._set_of[first], *(column[first] for column in self._cohort.T)])
        self._traffic = self._per_group(cell_set)

    def body(self) -> Body:
        """The content of the record, without its models."""
        groups, counts = self._traffic[:, 1], self._traffic[:, 3:]
        total = np.zeros((len(self._named.groups), counts.shape[1]), dtype=np.int64)
        bounds = np.flatnonzero(np.diff(self._traffic[:, 0], prepend=-1, append=-1)).tolist()
        for start, end in pairwise(bounds):  # a model's groups, each once
            total[groups[start:end]] += counts[start:end]
        _, tokens_in, tokens_out, with_tools = self._counts.sum(axis=0).tolist()
        return Body(
            groups=encoded(self._named.groups),
            sets=encoded(self._named.sets),
            requests=int(self.n.sum()),
            spent=(tokens_in, tokens_out, with_tools),
            active=encoded(self.cohorts(np.ones(len(self.rows), dtype=bool))),
            traffic=encoded(total),
        )

    def chosen(self, model: str) -> Ints:
        """Requests of each active account to a model by its own choice, shape (accounts,)."""
        return self._per_account((self._model == self.dictionary.model(model)) & self._by_choice)

    def total(self, model: str) -> ToModel:
        """Requests of all accounts to a model: by choice, all, tokens in, tokens out, with tools."""
        to_model = self._model == self.dictionary.model(model)
        chosen = self._counts[to_model & self._by_choice, 0].sum()
        requests, tokens_in, tokens_out, with_tools = self._counts[to_model].sum(axis=0).tolist()
        return int(chosen), requests, tokens_in, tokens_out, with_tools

    def traffic(self, model: str) -> Ints:
        """Per group that used a model: index, then as `total`, shape (groups, 6)."""
        first, end = np.searchsorted(
            self._traffic[:, 0], [self.dictionary.model(model), self.dictionary.model(model) + 1]
        )
        return np.ascontiguousarray(self._traffic[first:end, 1:])

    def cohorts(self, mask: Mask) -> Ints:
        """Number of accounts in ``mask`` per set and cohort: [set, band, age, previous bucket, accounts]."""
        counts = np.bincount(self._code[mask], minlength=len(self._codes))
        some = np.flatnonzero(counts)
        return np.column_stack([self._codes[some], counts[some]])

    def movers(self, events: tuple[Mask, Mask]) -> list[list[Any]]:
        """Accounts with an event, sorted: [account, set, first use, switch, age, previous bucket]."""
        first, switch = events
        moved = self._by_name(np.flatnonzero(first | switch))
        names = [self.accounts.names[row] for row in self.rows[moved].tolist()]
        which = first[moved].astype(np.int64).tolist(), switch[moved].astype(np.int64).tolist()
        cohort = self._cohort[moved, 1:].T.tolist()
        return [list(row) for row in zip(names, self._set_of[moved].tolist(), *which, *cohort, strict=True)]

    def blocks(self, model: str, ended: Blocks) -> list[list[Any]]:
        """Accounts that completed a block: [account, set, second, steady, split, size in, size out].

        A size is 16 ln of the mean tokens of the bucket's requests to the model; -1 without tokens.
        """
        if not len(ended.place):
            return []
        to_model = self._model == self.dictionary.model(model)
        requests, *tokens = (self._per_account(to_model, column)[ended.place] for column in range(3))
        sizes = [_log_mean(of, requests) for of in tokens]
        flags = [mask.astype(np.int64) for mask in (ended.second, ended.steady)]
        columns = [self._set_of[ended.place], *flags, ended.split, *sizes]
        at = np.zeros(len(self.rows), dtype=np.int64)
        at[ended.place] = np.arange(len(ended.place))
        places = self._by_name(ended.place)
        names = [self.accounts.names[row] for row in self.rows[places].tolist()]
        numbers = [column[at[places]].tolist() for column in columns]
        return [list(row) for row in zip(names, *numbers, strict=True)]

    def _use(self, who: Ints) -> dict[str, tuple[int, int]]:
        """Requests and reach of each model."""
        new = np.diff(who, prepend=-1) != 0  # one for each name that an account requested
        account, model = self._inverse[new], self._model[new]
        given = _REACH // np.bincount(account)[account]
        # Sums far below 2^53, so as floats they are exact.
        reach = np.bincount(model, weights=given).astype(np.int64)
        requests = np.bincount(self._model, weights=self._counts[:, 0]).astype(np.int64)
        name = dict(zip(self.dictionary.models.values(), self.dictionary.models, strict=True))
        used = np.flatnonzero(requests).tolist()
        return {name[i]: (int(requests[i]), int(reach[i])) for i in used if name[i] != OTHER_MODEL}

    def _by_name(self, places: Ints) -> Ints:
        """Places of active accounts, in the order of the accounts' names."""
        names = [self.accounts.names[row] for row in self.rows[places].tolist()]
        order = long_sorted(range(len(names)), names.__getitem__)
        return places[np.array(order, dtype=np.int64)]

    def set_index(self, i: int) -> int:
        """Index in the record of the set of the i-th active account."""
        return int(self._set_of[i])

    def _note_created(self, created: Ints) -> None:
        """Keep the earliest known time of creation of each account."""
        column = self.accounts.columns["created"]
        dated = np.flatnonzero(created != NO_DATE)
        rows, created = self.rows[dated], created[dated]
        known = column[rows]
        column[rows] = np.where(known < 0, created, np.minimum(known, created))

    def _per_account(self, mask: Mask, column: int = 0) -> Ints:
        counts = np.zeros(len(self.rows), dtype=np.int64)
        np.add.at(counts, self._inverse[mask], self._counts[mask, column])
        return counts

    def _per_group(self, cell_set: Ints) -> Ints:
        """Per model and group: model, then as `traffic`, sorted by both."""
        cell, group = self._named.spread(cell_set)
        key = self._model[cell] * (len(self._named.groups) + 1) + group
        order = np.argsort(key, kind="stable")
        cell, group = cell[order], group[order]
        _, starts, _ = _blocks(key[order])
        counts = self._counts[cell]
        chosen = np.where(self._by_choice[cell], counts[:, 0], 0)
        table = np.column_stack([chosen, counts])
        sums = np.add.reduceat(table, starts, axis=0) if len(starts) else table
        return np.column_stack([self._model[cell[starts]], group[starts], sums])

    def _sets(self, cell_set: Ints, starts: Ints) -> tuple[Ints, Ints]:
        """The set of groups of each account: the union over its cells; and the sets of the cells.

        An account that was active in too many groups is counted in those of them with the most accounts.
        """
        least, most = np.minimum.reduceat(cell_set, starts), np.maximum.reduceat(cell_set, starts)
        several = least != most
        if several.any():
            union: dict[int, set[int]] = {}
            cells = np.flatnonzero(several[self._inverse])
            for account, number in zip(self._inverse[cells].tolist(), cell_set[cells].tolist(), strict=True):
                union.setdefault(account, set()).update(self.accounts.sets[number])
            over = {account for account, groups in union.items() if len(groups) > _MOST_GROUPS}
            if over:
                reach = self._reach(union, least[~several])
                for account in over:
                    union[account] = self._furthest(union[account], reach)
                cell_set = self._without_dropped(cell_set, union, over)
            for account, groups in union.items():
                least[account] = self.accounts.set_id(tuple(sorted(groups)))
        return least, cell_set

    def _reach(self, union: Mapping[int, set[int]], others: Ints) -> Counter[int]:
        """Number of accounts of each group, given the groups of some accounts and the sets of the others."""
        reach: Counter[int] = Counter()
        for groups in union.values():
            reach.update(groups)
        for number, accounts in zip(
            *map(np.ndarray.tolist, np.unique(others, return_counts=True)), strict=True
        ):
            for group in self.accounts.sets[number]:
                reach[group] += accounts
        return reach

    def _furthest(self, groups: set[int], reach: Mapping[int, int]) -> set[int]:
        self.dropped_links += len(groups) - _MOST_GROUPS
        names = self.accounts.groups
        return set(nsmallest(_MOST_GROUPS, groups, key=lambda group: (-reach[group], names[group])))

    def _without_dropped(self, cell_set: Ints, union: Mapping[int, set[int]], over: set[int]) -> Ints:
        """The sets of cells without the groups in which their accounts are not counted."""
        cell_set, sets = cell_set.copy(), self.accounts.sets
        for cell in np.flatnonzero(np.isin(self._inverse, list(over))).tolist():
            kept = union[int(self._inverse[cell])]
            groups = tuple(group for group in sets[int(cell_set[cell])] if group in kept)
            cell_set[cell] = self.accounts.set_id(groups)
        return cell_set

    def _cohorts(self) -> Ints:
        """Band, age and previous active bucket (-1: none) of each account, shape (accounts, 3)."""
        columns = self.accounts.columns
        start = self.bucket * self._settings.bucket_ms
        created = columns["created"][self.rows]
        first_sight = (self.bucket - columns["first"][self.rows]) * self._settings.bucket_ms < _YOUNG_MS
        young = np.where(
            created >= 0,
            np.where(start - created < _YOUNG_MS, YOUNG, NOT_YOUNG),
            np.where(first_sight, BY_FIRST_SIGHT, NOT_YOUNG),
        )
        previous = columns["last"][self.rows].astype(np.int64)
        oldest = self.bucket - self._settings.buckets(self._settings.watch_ms)
        # Accounts with late events may have been active in later buckets.
        previous = np.where(previous < 0, -1, np.clip(previous, oldest, self.bucket - 1))
        return np.column_stack([volume_band(self.n), young, previous])


def _blocks(ordered: Ints) -> tuple[Ints, Ints, Ints]:
    """Distinct values of a sorted array, where each begins, and the index of the value at each place."""
    first = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    return ordered[starts], starts, np.cumsum(first) - 1


def _log_mean(tokens: Ints, requests: Ints) -> Ints:
    """16 ln of the tokens per request, rounded; -1 without tokens."""
    some = (tokens > 0) & (requests > 0)
    mean = np.where(some, tokens, 1) / np.where(some, requests, 1)
    return np.where(some, np.rint(_SIZE_STEPS * np.log(mean)), -1).astype(np.int64)
