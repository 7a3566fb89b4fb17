"""One closed bucket, as arrays: who was active where, and how much of it went to which model."""

from __future__ import annotations

import fnmatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cohort import BANDS, volume_band
from models.settings import DAY_MS, Settings
from models.split import Blocks
from streams.events import parse_time
from streams.steps.cells import Cells, groups_of
from streams.steps.roster import Roster

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

YOUNG_MS = 7 * DAY_MS
NOT_YOUNG, YOUNG, BY_FIRST_SIGHT = 0, 1, 2
AGES = 3
"""Young by the date of creation or not; or, for want of one, seen first within 7 days."""


MAX_REMEMBERED = 100_000
SIZE_UNIT = 16


class Interner:
    """Small integers for the models and the groups of a cell, remembered between buckets."""

    def __init__(self, roster: Roster, aliases: tuple[str, ...]) -> None:
        self.roster = roster
        self.aliases = aliases
        self.models: dict[str, int] = {}
        self.places: dict[tuple[Any, Any], int] = {}
        self.place_sets: list[int] = []
        self._alias: dict[str | None, bool] = {None: False}

    def trim(self) -> None:
        """Forget, between two buckets, what has grown out of bounds; it is found out again."""
        if len(self.places) > MAX_REMEMBERED:
            self.places, self.place_sets = {}, []
        if len(self._alias) > MAX_REMEMBERED:
            self._alias = {None: False}
        if len(self.models) > MAX_REMEMBERED:
            self.models = {}

    def model(self, name: str) -> int:
        """Number of a model."""
        return self.models.setdefault(name, len(self.models))

    def place(self, network: str | None, links: Any) -> int:
        """Number of the network and links that an event came with."""
        number = self.places.get((network, links))
        if number is None:
            number = self.places[network, links] = len(self.place_sets)
            groups = sorted({self.roster.group_id(group) for group in groups_of(network, links)})
            self.place_sets.append(self.roster.set_id(tuple(groups)))
        return number

    def is_alias(self, requested: str | None) -> bool:
        """Was the model no choice of the account?"""
        known = self._alias.get(requested)
        if known is None:
            known = any(fnmatch.fnmatchcase(requested or "", pattern) for pattern in self.aliases)
            self._alias[requested] = known
        return known


class Activity:
    """The active accounts of one bucket, each once, and their requests.

    Attributes
    ----------
    rows, n
        Active accounts and their requests, aligned.
    sets
        The set of groups that each was active in.
    models
        Names of the models that were used, sorted.
    """

    def __init__(self, settings: Settings, interner: Interner, bucket: int, cells: Cells) -> None:
        self.interner, self.roster = interner, interner.roster
        self._bucket, self._settings = bucket, settings
        interner.trim()
        account, self._model, self._place, self._by_choice = self._columns(bucket, cells)
        self._counts = cells.counts()
        self.rows, self._inverse = np.unique(account, return_inverse=True)
        self.n = self._per_account(np.ones(len(account), dtype=bool))
        self.sets = self._sets()
        self._cohort = self._cohorts()
        names = list(interner.models)
        self.models = sorted(names[i] for i in np.unique(self._model).tolist())
        used = np.unique(self.sets).tolist()
        self._groups = sorted(
            {g for s in used for g in self.roster.sets[s]}, key=self.roster.groups.__getitem__
        )
        rank = {g: i for i, g in enumerate(self._groups)}
        named = {s: sorted(rank[g] for g in self.roster.sets[s]) for s in used}
        self._set_order = sorted(used, key=named.__getitem__)
        self._named_sets = [named[s] for s in self._set_order]
        self._set_rank = np.zeros(len(self.roster.sets), dtype=np.int64)
        self._set_rank[self._set_order] = np.arange(len(self._set_order))
        self._set_of = self._set_rank[self.sets]
        band, young, previous = self._cohort.T
        self._oldest = bucket - settings.buckets(settings.watch_ms)
        self._span = bucket - self._oldest + 2
        since = np.where(previous < 0, 0, previous - self._oldest + 1)
        self._code = ((self._set_of * BANDS + band) * AGES + young) * self._span + since

    def body(self) -> dict[str, Any]:
        """The part of the record that is not about one model (spent: tokens in, out, requests with tools)."""
        everyone = np.ones(len(self.rows), dtype=bool)
        _, *spent = self._counts.sum(axis=0).tolist()
        return {
            "groups": [self.roster.groups[g] for g in self._groups],
            "sets": self._named_sets,
            "requests": int(self.n.sum()),
            "spent": spent,
            "active": self.cohorts(everyone),
            "traffic": self._per_group(np.ones(len(self._model), dtype=bool)).tolist(),
        }

    def chosen(self, model: str) -> Ints:
        """Requests of each active account to a model by its own choice."""
        return self._per_account((self._model == self.interner.model(model)) & self._by_choice)

    def total(self, model: str) -> list[int]:
        """Requests of everyone to a model: by choice, all, tokens in, out, with tools."""
        to_model = self._model == self.interner.model(model)
        chosen = self._counts[to_model & self._by_choice, 0].sum()
        return [int(chosen), *self._counts[to_model].sum(axis=0).tolist()]

    def traffic(self, model: str) -> list[list[int]]:
        """Per group that used the model: index, requests by choice, all, tokens in, out, with tools."""
        to_model = self._model == self.interner.model(model)
        chosen = self._per_group(to_model & self._by_choice)[:, :1]
        table = np.hstack([chosen, self._per_group(to_model)])
        return [[i, *table[i].tolist()] for i in np.flatnonzero(table[:, 1]).tolist()]

    def cohorts(self, mask: Mask) -> list[list[int]]:
        """Number of accounts per set and cohort: [set, band, young, previous bucket, accounts]."""
        codes, counts = np.unique(self._code[mask], return_counts=True)
        own_set, cohort = np.divmod(codes, BANDS * AGES * self._span)
        cohort, previous = np.divmod(cohort, self._span)
        band, young = np.divmod(cohort, AGES)
        previous = np.where(previous > 0, previous + self._oldest - 1, -1)
        return np.column_stack([own_set, band, young, previous, counts]).tolist()  # type: ignore[no-any-return]

    def movers(self, events: tuple[Mask, Mask]) -> list[list[Any]]:
        """Accounts with an event: [account, set, first use, switch, young, had an earlier bucket]."""
        first, switch = events
        moved = np.flatnonzero(first | switch)
        names = [self.roster.names[row] for row in self.rows[moved].tolist()]
        own_set = self._set_of[moved].tolist()
        which = np.column_stack([first[moved], switch[moved]]).astype(np.int64).tolist()
        cohort = self._cohort[moved, 1:].tolist()
        return sorted([*row[:2], *row[2], *row[3]] for row in zip(names, own_set, which, cohort, strict=True))

    def blocks(self, model: str, ended: Blocks) -> list[list[Any]]:
        """Accounts that ended a block: [account, set, second, steady, split, size in, size out].

        Sizes are 16 ln of the mean tokens of the bucket's requests to the model; -1 when there are none.
        """
        if not len(ended.place):
            return []
        to_model = self._model == self.interner.model(model)
        requests, *tokens = (self._per_account(to_model, column)[ended.place] for column in range(3))
        sizes = [_log_mean(of, requests).tolist() for of in tokens]
        names = [self.roster.names[row] for row in self.rows[ended.place].tolist()]
        flags = [mask.astype(np.int64).tolist() for mask in (ended.second, ended.steady)]
        own_set = self._set_of[ended.place].tolist()
        return sorted(map(list, zip(names, own_set, *flags, ended.split.tolist(), *sizes, strict=True)))

    def set_index(self, i: int) -> int:
        """The record's index of the set of the i-th active account."""
        return int(self._set_of[i])

    def _columns(self, bucket: int, cells: Cells) -> tuple[Ints, Ints, Ints, Mask]:
        """Row, model, place and whether by choice, of each cell."""
        accounts, models, networks, requested, created, links = zip(*cells.index, strict=True)
        interner, rows = self.interner, list(map(self.roster.rows.get, accounts))
        if None in rows:
            rows = [self.roster.row(account, bucket) for account in accounts]
        places = list(map(interner.places.get, zip(networks, links, strict=True)))
        if None in places:
            places = list(map(interner.place, networks, links))
        row = np.array(rows, dtype=np.int64)
        known = [i for i, moment in enumerate(created) if moment is not None]
        if known:
            moments = [parse_time(created[i]) for i in known]
            self._note_created(row[known], np.array(moments, dtype=np.int64))
        by_choice = np.array([not interner.is_alias(name) for name in requested])
        model = np.array(list(map(interner.model, models)), dtype=np.int64)
        return row, model, np.array(places, dtype=np.int64), by_choice

    def _note_created(self, rows: Ints, created: Ints) -> None:
        """Keep the earliest date of creation that was told."""
        column = self.roster.columns["created"]
        known = column[rows]
        column[rows] = np.where(known < 0, np.iinfo(np.int64).max, known)
        np.minimum.at(column, rows, created)

    def _per_account(self, mask: Mask, column: int = 0) -> Ints:
        counts = np.zeros(len(self.rows), dtype=np.int64)
        np.add.at(counts, self._inverse[mask], self._counts[mask, column])
        return counts

    def _per_group(self, mask: Mask) -> Ints:
        """Requests, tokens in, tokens out, requests with tools, per group of the record."""
        places = np.zeros((len(self.interner.place_sets), 4), dtype=np.int64)
        np.add.at(places, self._place[mask], self._counts[mask])
        rank = {g: i for i, g in enumerate(self._groups)}
        groups = np.zeros((len(self._groups), 4), dtype=np.int64)
        for place in np.unique(self._place[mask]).tolist():
            for g in self.roster.sets[self.interner.place_sets[place]]:
                groups[rank[g]] += places[place]
        return groups

    def _sets(self) -> Ints:
        """The set of groups of each account: of its one place, or the union of its places'."""
        cell_set = np.array(self.interner.place_sets, dtype=np.int64)[self._place]
        least = np.full(len(self.rows), np.iinfo(np.int64).max)
        most = np.full(len(self.rows), -1)
        np.minimum.at(least, self._inverse, cell_set)
        np.maximum.at(most, self._inverse, cell_set)
        several = least != most
        if several.any():
            union: dict[int, set[int]] = {}
            of_several = several[self._inverse]
            pairs = zip(self._inverse[of_several].tolist(), cell_set[of_several].tolist(), strict=True)
            for account, number in pairs:
                union.setdefault(account, set()).update(self.roster.sets[number])
            for account, groups in union.items():
                least[account] = self.roster.set_id(tuple(sorted(groups)))
        return least

    def _cohorts(self) -> Ints:
        """Band, young and previous active bucket (-1: none) of each account, (accounts, 3)."""
        columns = self.roster.columns
        start = self._bucket * self._settings.bucket_ms
        created = columns["created"][self.rows]
        first_sight = (self._bucket - columns["first"][self.rows]) * self._settings.bucket_ms < YOUNG_MS
        young = np.where(
            created >= 0,
            np.where(start - created < YOUNG_MS, YOUNG, NOT_YOUNG),
            np.where(first_sight, BY_FIRST_SIGHT, NOT_YOUNG),
        )
        previous = columns["last"][self.rows].astype(np.int64)
        oldest = self._bucket - self._settings.buckets(self._settings.watch_ms)
        previous = np.where(previous < 0, -1, np.maximum(previous, oldest))
        return np.column_stack([volume_band(self.n), young, previous])


def _log_mean(tokens: Ints, requests: Ints) -> Ints:
    """16 ln of the tokens per request, as whole numbers; -1 without tokens."""
    some = (tokens > 0) & (requests > 0)
    mean = np.where(some, tokens, 1) / np.where(some, requests, 1)
    return np.where(some, np.rint(SIZE_UNIT * np.log(mean)), -1).astype(np.int64)
