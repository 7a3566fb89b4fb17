"""One bucket over all partitions: who was active, and everything that was counted but the events of models.

The events of a model are added up in `pivotwatch.detection.scoring.model_counter`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import NamedTuple, Self

import numpy as np
from msgspec import Raw

from pivotwatch.contracts import bucket_content as content
from pivotwatch.contracts.bucket_content import Body
from pivotwatch.detection.scoring.partition_record import PartitionRecord
from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.base.counts import Group
from pivotwatch_models.incidents.incident import Finding


class LeftOut(NamedTuple):
    """Events and models that a bucket does not count (`pivotwatch.contracts.bucket_content.Body`)."""

    late: int
    invalid: int
    failed: int
    dropped_models: int
    forgotten_models: int
    dropped_links: int


class BucketView:
    """The records of all partitions for one bucket, merged.

    Parameters
    ----------
    bucket, width
        Index of the bucket, and its width in milliseconds.
    bodies
        Partition to (whether it was idle, content of its record).

    Attributes
    ----------
    idle_partitions
        Number of partitions without events whose bucket was completed by the event time of another.
    parts
        The records of the partitions with active accounts.
    requests
        Requests of everyone.
    models
        Model to the first bucket in which any partition saw it.
    groups
        The groups active in the bucket, sorted.
    traffic
        Per group: requests, their input and output tokens, and how many used tools, (groups, 4).
    """

    def __init__(self, bucket: int, width: int, bodies: Mapping[int, tuple[bool, Body]]) -> None:
        self.bucket, self.width = bucket, width
        self._bodies = [body for _, (_, body) in sorted(bodies.items())]
        self.idle_partitions = sum(idle for idle, _ in bodies.values())
        self.parts = [PartitionRecord(body) for body in self._bodies if body.is_active]
        self.requests: int = sum(part.body.requests for part in self.parts)
        self.models: dict[str, int] = {}
        for part in self.parts:
            for row in part.body.models:
                self.models[row.model] = min(row.first, self.models.get(row.model, row.first))
        self.groups = self._merge_groups()
        self.traffic: Ints = np.zeros((len(self.groups), 4), dtype=np.int64)
        for part in self.parts:
            self.traffic[part.local] += content.table(part.body.traffic, 4)

    @classmethod
    def of(cls, bucket: int, width: int, contents: Mapping[int, tuple[bool, bytes]]) -> Self:
        """The view of encoded records; partition to (whether it was idle, content)."""
        return cls(bucket, width, {p: (idle, content.decode(body)) for p, (idle, body) in contents.items()})

    def _merge_groups(self) -> list[Group]:
        """The groups of all partitions, sorted; each partition gets the indices of its own."""
        named = [part.groups for part in self.parts]
        if len(named) == 1:
            self.parts[0].local = np.arange(len(named[0]))
            return named[0]
        # Each list is sorted, so this is a merge.
        groups = [group for group, _ in groupby(sorted(group for own in named for group in own))]
        index = {group: i for i, group in enumerate(groups)}
        for part in self.parts:
            part.local = np.array([index[group] for group in part.groups], dtype=np.int64)
        return groups

    def late(self) -> Iterator[BucketView]:
        """What arrived late for earlier buckets since the last record, in the order of these buckets."""
        parts: dict[int, dict[int, tuple[bool, Body]]] = {}
        for p, body in enumerate(self._bodies):
            for part in body.late_parts:
                parts.setdefault(part.bucket, {})[p] = (False, part.body)
        for bucket, bodies in sorted(parts.items()):
            yield BucketView(bucket, self.width, bodies)

    @property
    def is_empty(self) -> bool:
        """Whether no account was active."""
        return not self.parts

    def accounts(self) -> tuple[int, int]:
        """Accounts active in the bucket, and those of them that were not active in the 90 days before."""
        active = sum(int(part.active[:, 4].sum()) for part in self.parts)
        return active, sum(int(part.active[part.active[:, 3] < 0, 4].sum()) for part in self.parts)

    def total(self) -> list[int]:
        """Traffic of everyone: requests, their input and output tokens, and how many used tools."""
        return [self.requests, *(sum(part.body.spent[i] for part in self.parts) for i in range(3))]

    def joined(self) -> dict[Group, int]:
        """Number of accounts that joined each group."""
        return _added_up([body.joined for body in self._bodies])

    def left(self) -> dict[Group, int]:
        """Number of accounts that left each group."""
        return _added_up([body.left for body in self._bodies])

    def late_groups(self) -> dict[Group, int]:
        """Number of late events of each group since the last record."""
        return _added_up([body.late_groups for body in self._bodies])

    def skewed_networks(self) -> list[tuple[str, int]]:
        """Networks whose clock is ahead of the others, and by how many milliseconds, furthest ahead first."""
        return _furthest(body.skewed for body in self._bodies)

    def skewed_accounts(self) -> tuple[int, list[tuple[str, int]]]:
        """The same of accounts: how many there are, and those that the records name."""
        total = sum(body.skewed_accounts_total for body in self._bodies)
        return total, _furthest(body.skewed_accounts for body in self._bodies)

    def left_out(self) -> LeftOut:
        """What the partitions left out since their last record."""
        return LeftOut(
            sum(body.late for body in self._bodies),
            sum(body.invalid for body in self._bodies),
            sum(body.failed for body in self._bodies),
            sum(body.dropped_models for body in self._bodies),
            sum(body.forgotten_models for body in self._bodies),
            sum(body.dropped_links for body in self._bodies),
        )

    def watermark(self) -> int:
        """The lowest watermark of the partitions that have one, epoch milliseconds; 0 when none has."""
        return min((body.watermark for body in self._bodies if body.watermark > 0), default=0)

    def groups_of_set(self, part: PartitionRecord, number: int) -> tuple[Group, ...]:
        """The groups of a set of a partition, sorted."""
        return tuple(self.groups[g] for g in part.groups_of_set(number))

    def first_uses(self, model: str) -> tuple[int, set[str]]:
        """Number of first uses of a model in the bucket, and the networks of these accounts."""
        accounts = 0
        networks: set[str] = set()
        for part in self.parts:
            if (row := part.of(model)) is None:
                continue
            used = [own_set for _, own_set, first, *_ in part.movers(row) if first]
            accounts += len(used)
            in_use = np.zeros(len(part.sizes), dtype=bool)
            in_use[used] = True
            groups = np.unique(part.flat[np.repeat(in_use, part.sizes)])
            named = [part.groups[g] for g in groups.tolist()]
            networks.update(name for kind, name in named if kind == "network")
        return accounts, networks

    def findings(self, model: str) -> list[Finding]:
        """Single accounts whose share of a model rose suddenly, by account."""
        found = []
        for part in self.parts:
            if (row := part.of(model)) is None:
                continue
            requests, chosen = part.body.requests, row.total[0]
            for account, own_set, since, n, k, usual in row.findings:
                residual = k / n - (chosen - k) / max(1, requests - n)
                groups = self.groups_of_set(part, own_set)
                found.append(Finding(account, groups, since, n, k, residual, usual / 1000))
        return sorted(found, key=lambda finding: finding.account)


def _added_up(tables: list[Raw]) -> dict[Group, int]:
    """The sum per group of tables of (kind, id, number)."""
    sums: dict[Group, int] = {}
    for raw in tables:
        for kind, name, count in content.tallies_of(raw):
            sums[kind, name] = sums.get((kind, name), 0) + count
    return sums


def _furthest(parts: Iterable[Sequence[tuple[str, int]]]) -> list[tuple[str, int]]:
    """Names with the most milliseconds of each, most first."""
    found: dict[str, int] = {}
    for name, ms in chain.from_iterable(parts):
        found[name] = max(ms, found.get(name, 0))
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
