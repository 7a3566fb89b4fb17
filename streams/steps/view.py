"""One bucket over all partitions: the records merged, ready for the models.

Sums of integers by name, sorted: in how many partitions the accounts live leaves no trace.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.account import EVENT_TYPES
from models.cohort import COHORTS, cohort, exposure
from models.counts import Block, Group, ModelCounts, Mover, Traffic
from models.incident import Finding
from models.releases import Release
from streams.steps.activity import BY_FIRST_SIGHT, YOUNG, YOUNG_MS
from streams.steps.body import Block as BlockRow
from streams.steps.body import Body, decode
from streams.steps.body import Mover as MoverRow

Ints = NDArray[np.int64]


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
    requests
        Requests of everyone.
    models
        Model to the first bucket in which any partition saw it.
    """

    def __init__(self, bucket: int, width: int, bodies: Mapping[int, tuple[bool, bytes]]) -> None:
        self.bucket, self.width = bucket, width
        self._bodies = [decode(content) for _, (_, content) in sorted(bodies.items())]
        active = [body for body in self._bodies if body.active]
        self.idle = any(idle for idle, _ in bodies.values())
        self.requests: int = sum(body.requests for body in active)
        self.groups: list[Group] = sorted({(kind, name) for body in active for kind, name in body.groups})
        self._rank = {group: i for i, group in enumerate(self.groups)}
        named = [self._name_sets(body) for body in active]
        self.sets = sorted({s for sets in named for s in sets})
        number = {s: i for i, s in enumerate(self.sets)}
        self._active = list(zip(active, ([number[s] for s in sets] for sets in named), strict=True))
        pairs = [(i, g) for i, s in enumerate(self.sets) for g in s]
        table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        self._pair_set, self._pair_group = table[:, 0], table[:, 1]
        self.models: dict[str, int] = {}
        for body in active:
            for row in body.models:
                self.models[row.model] = min(row.first, self.models.get(row.model, row.first))

    def _name_sets(self, body: Body) -> list[tuple[int, ...]]:
        local = self._local(body)
        return [tuple(sorted(local[g] for g in s)) for s in body.sets]

    def _local(self, body: Body) -> list[int]:
        return [self._rank[kind, name] for kind, name in body.groups]

    @property
    def empty(self) -> bool:
        """Was nobody active?"""
        return not self._active

    def accounts(self) -> tuple[int, int]:
        """Accounts active in the bucket, and those of them never active before (within 90 days)."""
        rows = [row for body, _ in self._active for row in body.active]
        return sum(row[4] for row in rows), sum(row[4] for row in rows if row[3] < 0)

    def traffic(self) -> list[list[int]]:
        """Requests of each group, their tokens in and out, and how many used tools."""
        out = [[0, 0, 0, 0] for _ in self.groups]
        for body, _ in self._active:
            for g, row in zip(self._local(body), body.traffic, strict=True):
                out[g] = list(map(operator.add, out[g], row))
        return out

    def _everyone(self) -> list[int]:
        """The same of everyone."""
        return [self.requests, *(sum(body.spent[i] for body, _ in self._active) for i in range(3))]

    def named(self, field: str) -> dict[Group, int]:
        """Sums of a list of [kind, name, number]: joined, left, late_groups."""
        out: dict[Group, int] = {}
        for body in self._bodies:
            for kind, name, count in getattr(body, field):
                out[kind, name] = out.get((kind, name), 0) + count
        return out

    def number(self, field: str) -> int:
        """Sum of a number: late, invalid, failed."""
        return sum(int(getattr(body, field)) for body in self._bodies)

    def watermark(self) -> int:
        """The least watermark of the partitions that told one."""
        return min((body.watermark for body in self._bodies if body.watermark > 0), default=0)

    def counts(self, release: Release, stream_start: int) -> ModelCounts:
        """Counts of one released model.

        Accounts without an earlier active bucket are left out when the release is older than the
        stream: that they use the model says nothing about when they moved.
        """
        prevalent = release.released_at < stream_start
        shape = len(self.sets), COHORTS
        risk = [np.zeros(shape, dtype=np.int64) for _ in EVENT_TYPES]
        events = [np.zeros(shape, dtype=np.int64) for _ in EVENT_TYPES]
        to_model = [[0] * 5 for _ in self.groups]
        total, movers, blocks = [0] * 5, [], []
        for body, sets in self._active:
            place = _Placing(self, release, stream_start, prevalent, sets)
            row = next((m for m in body.models if m.model == release.model), None)
            for kind in range(len(EVENT_TYPES)):
                place.add(risk[kind], body.active, 1)
                if row is not None:
                    place.add(risk[kind], row.done[kind], -1)
                    place.add(events[kind], row.events[kind], 1)
            if row is None:
                continue
            local = self._local(body)
            for g, *numbers in row.traffic:
                to_model[local[g]] = list(map(operator.add, to_model[local[g]], numbers))
            total = list(map(operator.add, total, row.total))
            movers += [self._mover(m, sets, place) for m in row.movers if not (prevalent and m[5] < 0)]
            blocks += [self._block(b, sets) for b in row.blocks]
        movers.sort(key=lambda mover: mover.account)
        blocks.sort(key=lambda block: block.account)
        return ModelCounts(
            self.groups,
            self._pair_set,
            self._pair_group,
            (risk[0], risk[1]),
            (events[0], events[1]),
            movers,
            list(map(_traffic, self.traffic(), to_model)),
            _traffic(self._everyone(), total),
            blocks,
        )

    def _block(self, row: BlockRow, sets: list[int]) -> Block:
        account, own_set, second, steady, split, *sizes = row
        groups = tuple(self.groups[g] for g in self.sets[sets[own_set]])
        return Block(account, groups, bool(second), bool(steady), split, (sizes[0], sizes[1]))

    def _mover(self, row: MoverRow, sets: list[int], place: _Placing) -> Mover:
        account, own_set, first, switch, young, _ = row
        groups = tuple(self.groups[g] for g in self.sets[sets[own_set]])
        return Mover(account, groups, (bool(first), bool(switch)), place.is_young(young))

    def first_uses(self, model: str) -> tuple[int, set[str]]:
        """Accounts that used a model for the first time in this bucket, and the networks they were in."""
        accounts, networks = 0, set()
        for body, sets in self._active:
            for row in body.models:
                if row.model == model:
                    for _, own_set, first, *_ in row.movers:
                        if first:
                            accounts += 1
                            groups = (self.groups[g] for g in self.sets[sets[own_set]])
                            networks |= {name for kind, name in groups if kind == "network"}
        return accounts, networks

    def findings(self, model: str) -> list[Finding]:
        """Account findings of a model, by account."""
        found = []
        for body, sets in self._active:
            for row in body.models:
                if row.model == model:
                    all_n, all_k = body.requests, row.total[0]
                    for account, own_set, since, n, k, usual in row.findings:
                        groups = tuple(self.groups[g] for g in self.sets[sets[own_set]])
                        x = k / n - (all_k - k) / max(1, all_n - n)
                        found.append(Finding(account, groups, since, n, k, x, usual / 1000))
        return sorted(found, key=lambda finding: finding.account)


def _traffic(everything: list[int], to_model: list[int]) -> Traffic:
    requests, *spent = everything
    chosen, model_requests, *model_spent = to_model
    return Traffic(requests, chosen, model_requests, *spent, *model_spent)


class _Placing:
    """Puts rows of [set, band, young, previous bucket, accounts] into (sets, cohorts)."""

    def __init__(
        self, view: View, release: Release, stream_start: int, prevalent: bool, sets: list[int]
    ) -> None:
        self.bucket, self.width = view.bucket, view.width
        self.released_at, self.prevalent = release.released_at, prevalent
        self.by_sight = view.bucket * view.width - stream_start >= YOUNG_MS
        self.sets = np.array(sets, dtype=np.int64)

    def is_young(self, young: int) -> bool:
        return young == YOUNG or (young == BY_FIRST_SIGHT and self.by_sight)

    def add(self, table: Ints, rows: Sequence[Sequence[int]], sign: int) -> None:
        if not rows:
            return
        own_set, band, young, previous, accounts = np.array(rows, dtype=np.int64).T
        is_young = (young == YOUNG) | ((young == BY_FIRST_SIGHT) & self.by_sight)
        exposed = exposure(previous, self.bucket, -(-self.released_at // self.width))
        number = cohort(band, is_young.astype(np.int64), exposed)
        keep = previous >= 0 if self.prevalent else np.ones(len(rows), dtype=bool)
        np.add.at(table, (self.sets[own_set[keep]], number[keep]), sign * accounts[keep])
