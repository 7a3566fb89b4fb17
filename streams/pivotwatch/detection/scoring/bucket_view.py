"""One bucket as the networks step sees it: the records of all partitions, merged.

Groups that nobody watches (most sign-up batches, instruments of payment and small networks) take no part
in the counts of a model: sets of groups that differ only in them are one. These are sums of integers, so
nothing else changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import NamedTuple, Self

import numpy as np
from msgspec import Raw

from pivotwatch.contracts import bucket_content as content
from pivotwatch.contracts.bucket_content import BY_FIRST_SIGHT, YOUNG, Body, ModelBody
from pivotwatch_models.accounts.share_models import EVENT_TYPES
from pivotwatch_models.base.arrays import Ints, Mask
from pivotwatch_models.base.counts import Block, Group, ModelCounts, Mover, Traffic
from pivotwatch_models.incidents.incident import Finding
from pivotwatch_models.method import STATE
from pivotwatch_models.population.cohorts import COHORTS, cohort, exposure
from pivotwatch_models.release_calendar import Release


class LeftOut(NamedTuple):
    """Events and models that a bucket does not count; see `pivotwatch.contracts.bucket_content.Body`."""

    late: int
    invalid: int
    failed: int
    dropped_models: int
    forgotten_models: int


class View:
    """What one bucket says about everyone.

    Parameters
    ----------
    bucket, width
        Index of the bucket and its width in milliseconds.
    bodies
        Partition to (had run dry, content of its record).

    Attributes
    ----------
    groups
        The groups active in the bucket, sorted.
    traffic
        Per group: requests, their tokens in and out, and how many used tools.
    requests
        Requests of everyone.
    models
        Model to the first bucket in which any partition saw it.
    """

    def __init__(self, bucket: int, width: int, bodies: Mapping[int, tuple[bool, Body]]) -> None:
        self.bucket, self.width = bucket, width
        self._bodies = [body for _, (_, body) in sorted(bodies.items())]
        self.idle = any(idle for idle, _ in bodies.values())
        self._active = [_Part(body) for body in self._bodies if body.is_active]
        self.requests: int = sum(part.body.requests for part in self._active)
        self.groups: list[Group] = []
        self.traffic: Ints = np.zeros((0, 4), dtype=np.int64)
        self.models: dict[str, int] = {}
        for part in self._active:
            for row in part.body.models:
                self.models[row.model] = min(row.first, self.models.get(row.model, row.first))

    @classmethod
    def of(cls, bucket: int, width: int, contents: Mapping[int, tuple[bool, bytes]]) -> Self:
        """What the records of a bucket say; partition to (had run dry, content)."""
        return cls(bucket, width, {p: (idle, content.decode(body)) for p, (idle, body) in contents.items()})

    def late(self) -> list[View]:
        """What came late of earlier buckets since the last record, in the order of the buckets."""
        parts: dict[int, dict[int, tuple[bool, Body]]] = {}
        for p, body in enumerate(self._bodies):
            for part in body.late_parts:
                parts.setdefault(part.bucket, {})[p] = (False, part.body)
        return [View(bucket, self.width, bodies) for bucket, bodies in sorted(parts.items())]

    def read(self) -> None:
        """Read what is not of one model."""
        for part in self._active:
            part.read()
        named = [part.groups for part in self._active]
        if len(named) == 1:
            self.groups = named[0]
        else:  # of sorted lists: it is a merge
            self.groups = [group for group, _ in groupby(sorted(g for groups in named for g in groups))]
        rank = {group: i for i, group in enumerate(self.groups)} if len(named) > 1 else {}
        self.traffic = np.zeros((len(self.groups), 4), dtype=np.int64)
        for part in self._active:
            part.local = (
                np.array([rank[group] for group in part.groups], dtype=np.int64)
                if rank
                else np.arange(len(self.groups))
            )
            self.traffic[part.local] += content.table(part.body.traffic, 4)

    @property
    def empty(self) -> bool:
        """Was nobody active?"""
        return not self._active

    def accounts(self) -> tuple[int, int]:
        """Accounts active in the bucket, and those of them never active before (within 90 days)."""
        sums = [
            (part.active[:, 4].sum(), part.active[part.active[:, 3] < 0, 4].sum()) for part in self._active
        ]
        return sum(int(active) for active, _ in sums), sum(int(new) for _, new in sums)

    def _everyone(self) -> list[int]:
        """Traffic of everyone."""
        return [self.requests, *(sum(part.body.spent[i] for part in self._active) for i in range(3))]

    def joined(self) -> dict[Group, int]:
        """Accounts that joined groups."""
        return _named([body.joined for body in self._bodies])

    def left(self) -> dict[Group, int]:
        """Accounts that left groups."""
        return _named([body.left for body in self._bodies])

    def late_groups(self) -> dict[Group, int]:
        """Late events of groups."""
        return _named([body.late_groups for body in self._bodies])

    def left_out(self) -> LeftOut:
        """What was left out, over all partitions."""
        return LeftOut(
            sum(body.late for body in self._bodies),
            sum(body.invalid for body in self._bodies),
            sum(body.failed for body in self._bodies),
            sum(body.dropped_models for body in self._bodies),
            sum(body.forgotten_models for body in self._bodies),
        )

    def watermark(self) -> int:
        """The least watermark of the partitions that told one."""
        return min((body.watermark for body in self._bodies if body.watermark > 0), default=0)

    def project(self, kept: Mask) -> None:
        """Leave all but these groups out of the counts of models."""
        index = np.cumsum(kept) - 1
        self._kept = np.flatnonzero(kept)
        self.counted = [self.groups[i] for i in self._kept.tolist()]
        none = len(self.counted)
        several: dict[tuple[int, ...], int] = {}
        for part in self._active:
            owner = np.repeat(np.arange(len(part.sizes)), part.sizes)
            group = part.local[part.flat]
            counts = kept[group]
            owner, group = owner[counts], index[group[counts]]
            size = np.bincount(owner, minlength=len(part.sizes))
            part.row = np.full(len(part.sizes), none)
            alone = size[owner] == 1
            part.row[owner[alone]] = group[alone]
            begin = np.cumsum(size) - size
            some = np.flatnonzero(size > 1)
            for number, start, length in zip(
                some.tolist(), begin[some].tolist(), size[some].tolist(), strict=True
            ):
                own = tuple(sorted(group[start : start + length].tolist()))
                part.row[number] = several.setdefault(own, none + 1 + len(several))
        used = (
            np.unique(np.concatenate([part.row for part in self._active]))
            if self._active
            else np.empty(0, int)
        )
        for part in self._active:
            part.row = np.searchsorted(used, part.row)
        sets = list(several)
        pairs = [(row, u) for row, u in enumerate(used.tolist()) if u < none]
        pairs += [(row, g) for row, u in enumerate(used.tolist()) if u > none for g in sets[u - none - 1]]
        pair = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        self._pair_set, self._pair_group, self._sets = pair[:, 0], pair[:, 1], len(used)

    def counts(self, release: Release, stream_start: int) -> ModelCounts:
        """Counts of one released model, over the groups that `project` kept.

        Accounts without an earlier active bucket are left out when the release is older than the
        stream: that they use the model says nothing about when they moved.
        """
        shape = self._sets, COHORTS
        risk = [np.zeros(shape, dtype=np.int64) for _ in EVENT_TYPES]
        events = [np.zeros(shape, dtype=np.int64) for _ in EVENT_TYPES]
        to_model = np.zeros((len(self.groups), 5), dtype=np.int64)
        total = np.zeros(5, dtype=np.int64)
        movers: list[Mover] = []
        blocks: list[Block] = []
        for part in self._active:
            place = _Placing(self, release, stream_start, part.row, shape)
            active = place.sums(part.active)
            row = part.of(release.model)
            for kind in range(len(EVENT_TYPES)):
                risk[kind] += active
                if row is not None:
                    risk[kind] -= place.sums(content.table(row.done[kind], 5))
                    events[kind] += place.sums(content.table(row.events[kind], 5))
            if row is None:
                continue
            traffic = content.table(row.traffic, 6)
            to_model[part.local[traffic[:, 0]]] += traffic[:, 1:]
            total += row.total
            moved = part.movers(row)
            movers += [self._mover(m, part, place) for m in moved if not (place.prevalent and m[5] < 0)]
            blocks += [self._block(b, part) for b in content.blocks_of(row.blocks)]
        movers.sort(key=lambda mover: mover.account)
        blocks.sort(key=lambda block: block.account)
        kept = zip(self.traffic[self._kept].tolist(), to_model[self._kept].tolist(), strict=True)
        return ModelCounts(
            self.counted,
            self._pair_set,
            self._pair_group,
            (risk[0], risk[1]),
            (events[0], events[1]),
            movers,
            [_traffic(*both) for both in kept],
            _traffic(self._everyone(), total.tolist()),
            blocks,
        )

    def _block(self, row: content.Block, part: _Part) -> Block:
        account, own_set, second, steady, split, *sizes = row
        return Block(
            account, self._groups(part, own_set), bool(second), bool(steady), split, (sizes[0], sizes[1])
        )

    def _mover(self, row: content.Mover, part: _Part, place: _Placing) -> Mover:
        account, own_set, first, switch, young, _ = row
        return Mover(account, self._groups(part, own_set), (bool(first), bool(switch)), place.is_young(young))

    def _groups(self, part: _Part, own_set: int) -> tuple[Group, ...]:
        """The groups of a set of a record, sorted."""
        start = part.begin[own_set]
        return tuple(
            self.groups[g] for g in sorted(part.local[part.flat[start : part.begin[own_set + 1]]].tolist())
        )

    def first_uses(self, model: str) -> tuple[int, set[str]]:
        """Accounts that used a model for the first time in this bucket, and the networks they were in."""
        accounts = 0
        networks: set[str] = set()
        for part in self._active:
            if (row := part.of(model)) is None:
                continue
            movers = part.movers(row)
            used = [own_set for _, own_set, first, *_ in movers if first]
            accounts += len(used)
            in_use = np.zeros(len(part.sizes), dtype=bool)
            in_use[used] = True
            groups = np.unique(part.flat[np.repeat(in_use, part.sizes)])
            named = [part.groups[g] for g in groups.tolist()]
            networks.update(name for kind, name in named if kind == "network")
        return accounts, networks

    def findings(self, model: str) -> list[Finding]:
        """Account findings of a model, by account."""
        found = []
        for part in self._active:
            if (row := part.of(model)) is not None:
                all_n, all_k = part.body.requests, row.total[0]
                for account, own_set, since, n, k, usual in row.findings:
                    x = k / n - (all_k - k) / max(1, all_n - n)
                    found.append(Finding(account, self._groups(part, own_set), since, n, k, x, usual / 1000))
        return sorted(found, key=lambda finding: finding.account)


class _Part:
    """The record of one partition.

    Attributes
    ----------
    groups, local
        Its groups, and where they stand among all.
    sizes, flat, begin
        Of each of its sets how many groups it has, these groups, and where they begin.
    active
        [set, band, young, previous bucket, accounts] of everyone.
    row
        Of each set the row in the tables of counts.
    """

    def __init__(self, body: Body) -> None:
        self.body = body
        self.groups: list[Group] = []
        self.local = self.sizes = self.flat = self.row = np.empty(0, dtype=np.int64)
        self.begin: list[int] = []
        self.active = np.empty((0, 5), dtype=np.int64)
        self._movers: dict[str, list[content.Mover]] = {}

    def read(self) -> None:
        self.groups = content.groups_of(self.body.groups)
        self.sizes, self.flat = content.sets(self.body.sets)
        self.begin = np.append(0, np.cumsum(self.sizes)).tolist()
        self.active = content.table(self.body.active, 5)

    def of(self, model: str) -> ModelBody | None:
        """What the record says of a model."""
        return next((row for row in self.body.models if row.model == model), None)

    def movers(self, row: ModelBody) -> list[content.Mover]:
        """The accounts that moved, read once."""
        if row.model not in self._movers:
            self._movers[row.model] = content.movers_of(row.movers)
        return self._movers[row.model]


def _named(rows: list[Raw]) -> dict[Group, int]:
    """Sums of lists of [kind, name, number]."""
    out: dict[Group, int] = {}
    for raw in rows:
        for kind, name, count in content.tallies_of(raw):
            out[kind, name] = out.get((kind, name), 0) + count
    return out


def _traffic(everything: list[int], to_model: list[int]) -> Traffic:
    requests, *spent = everything
    chosen, model_requests, *model_spent = to_model
    return Traffic(requests, chosen, model_requests, *spent, *model_spent)


class _Placing:
    """Puts rows of [set, band, young, previous bucket, accounts] into (sets, cohorts)."""

    def __init__(
        self,
        view: View,
        release: Release,
        stream_start: int,
        row: Ints,
        shape: tuple[int, int],
    ) -> None:
        self.bucket, self.width = view.bucket, view.width
        self.released_at, self.prevalent = release.released_at, release.released_at < stream_start
        self.by_sight = view.bucket * view.width - stream_start >= STATE.membership.young_ms
        self.row, self.shape = row, shape

    def is_young(self, young: int) -> bool:
        return young == YOUNG or (young == BY_FIRST_SIGHT and self.by_sight)

    def sums(self, rows: Ints) -> Ints:
        if self.prevalent:
            rows = rows[rows[:, 3] >= 0]
        own_set, band, young, previous, accounts = rows.T
        is_young = (young == YOUNG) | ((young == BY_FIRST_SIGHT) & self.by_sight)
        exposed = exposure(previous, self.bucket, -(-self.released_at // self.width))
        number = cohort(band, is_young.astype(np.int64), exposed)
        # Counts of accounts are whole numbers far below 2^53, so as floats they are exact.
        sums = np.bincount(
            self.row[own_set] * COHORTS + number, weights=accounts, minlength=self.shape[0] * COHORTS
        )
        return sums.astype(np.int64).reshape(self.shape)
