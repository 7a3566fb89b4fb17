"""Adds up the events of each model in one bucket, over the groups that are watched.

Groups that nobody watches (most sign-up batches, instruments of payment and small networks) are left out:
sets of groups that differ only in them become one set. The counts are integers, so the sums stay exact.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from pivotwatch.contracts import bucket_content as content
from pivotwatch.contracts.bucket_content import BY_FIRST_SIGHT, YOUNG, ModelBody
from pivotwatch.detection.scoring.bucket_view import BucketView
from pivotwatch.detection.scoring.partition_record import PartitionRecord
from pivotwatch_models.accounts.share_models import EVENT_TYPES
from pivotwatch_models.base.arrays import Ints, Mask
from pivotwatch_models.base.counts import Block, Group, ModelCounts, Mover, Traffic
from pivotwatch_models.method import STATE
from pivotwatch_models.population.cohorts import COHORTS, cohort, exposure
from pivotwatch_models.release_calendar import Release


class ModelCounter:
    """Counts the models of one bucket.

    Parameters
    ----------
    view
        The bucket.
    watched
        Which of its groups are watched, (groups,).

    Attributes
    ----------
    groups
        The watched groups.
    """

    def __init__(self, view: BucketView, watched: Mask) -> None:
        self.view = view
        self._kept = np.flatnonzero(watched)
        self.groups: list[Group] = [view.groups[i] for i in self._kept.tolist()]
        several: dict[tuple[int, ...], int] = {}
        codes = [_codes(part, watched, several) for part in view.parts]
        used = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *codes]))
        self._rows = [np.searchsorted(used, own) for own in codes]
        self._sets = len(used)
        self._pair_set, self._pair_group = _pairs(used, list(several), len(self.groups))

    def counts(self, release: Release, stream_start: int) -> ModelCounts:
        """Counts of a released model over the watched groups.

        Parameters
        ----------
        stream_start
            Epoch milliseconds at which the stream begins. When the release is older, accounts without an
            earlier active bucket are left out: nobody knows when they began to use the model.
        """
        sums = _ModelSums(self.view, self._sets, _Cohorts.of(self.view, release, stream_start))
        for part, rows in zip(self.view.parts, self._rows, strict=True):
            sums.add(part, rows, part.of(release.model))
        traffic, to_model = self.view.traffic[self._kept].tolist(), sums.to_model[self._kept].tolist()
        return ModelCounts(
            self.groups,
            self._pair_set,
            self._pair_group,
            (sums.at_risk[0], sums.at_risk[1]),
            (sums.events[0], sums.events[1]),
            sorted(sums.movers, key=lambda mover: mover.account),
            [_traffic(*both) for both in zip(traffic, to_model, strict=True)],
            _traffic(self.view.total(), sums.total.tolist()),
            sorted(sums.blocks, key=lambda block: block.account),
        )


def _codes(part: PartitionRecord, watched: Mask, several: dict[tuple[int, ...], int]) -> Ints:
    """A code of the watched groups of each set of a partition, the same in all partitions.

    With G watched groups the code of a set with one of them is its index, 0 … G − 1; that of a set without
    one is G. Sets of more groups are numbered from G + 1 in ``several``, which takes those that are new.
    """
    index, none = np.cumsum(watched) - 1, int(watched.sum())
    owner = np.repeat(np.arange(len(part.sizes)), part.sizes)
    group = part.local[part.flat]
    counts = watched[group]
    owner, group = owner[counts], index[group[counts]]
    size = np.bincount(owner, minlength=len(part.sizes))
    codes = np.full(len(part.sizes), none)
    alone = size[owner] == 1
    codes[owner[alone]] = group[alone]
    begin = np.cumsum(size) - size
    more = np.flatnonzero(size > 1)
    for number, start, length in zip(more.tolist(), begin[more].tolist(), size[more].tolist(), strict=True):
        own = tuple(sorted(group[start : start + length].tolist()))
        codes[number] = several.setdefault(own, none + 1 + len(several))
    return codes


def _pairs(codes: Ints, several: list[tuple[int, ...]], none: int) -> tuple[Ints, Ints]:
    """Which set contains which group, one entry per pair, of sets with these codes.

    Examples
    --------
    With three groups, the set {1} and the set {0, 2}; the set without a group (code 3) has no pair:

    >>> [part.tolist() for part in _pairs(np.array([1, 3, 4]), [(0, 2)], none=3)]
    [[0, 2, 2], [1, 0, 2]]
    """
    numbered = list(enumerate(codes.tolist()))
    pairs = [(row, code) for row, code in numbered if code < none]
    pairs += [(row, group) for row, code in numbered if code > none for group in several[code - none - 1]]
    pair = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return pair[:, 0], pair[:, 1]


@dataclasses.dataclass(frozen=True, slots=True)
class _Cohorts:
    """Assigns accounts to the cohorts of one release.

    Attributes
    ----------
    bucket, release_bucket
        The bucket, and the first one that begins at the release or after it.
    is_older
        Whether the release is older than the stream.
    is_first_sight_known
        Whether the stream is long enough that an account first seen within 7 days is young.
    """

    bucket: int
    release_bucket: int
    is_older: bool
    is_first_sight_known: bool

    @classmethod
    def of(cls, view: BucketView, release: Release, stream_start: int) -> _Cohorts:
        return cls(
            view.bucket,
            -(-release.released_at // view.width),
            release.released_at < stream_start,
            view.bucket * view.width - stream_start >= STATE.membership.young_ms,
        )

    def is_young(self, age: int) -> bool:
        """Whether an account of this age counts as young."""
        return age == YOUNG or (age == BY_FIRST_SIGHT and self.is_first_sight_known)

    def sums(self, table: Ints, rows: Ints, sets: int) -> Ints:
        """Number of accounts, (sets, cohorts).

        Parameters
        ----------
        table
            Rows of (set of the partition, volume band, age, previous active bucket, accounts).
        rows
            Row of the result for each set of the partition.
        """
        if self.is_older:
            table = table[table[:, 3] >= 0]
        own_set, band, age, previous, accounts = table.T
        is_young = (age == YOUNG) | ((age == BY_FIRST_SIGHT) & self.is_first_sight_known)
        exposed = exposure(previous, self.bucket, self.release_bucket)
        number = cohort(band, is_young.astype(np.int64), exposed)
        # Counts of accounts are whole numbers far below 2^53, so as floats they are exact.
        sums = np.bincount(rows[own_set] * COHORTS + number, weights=accounts, minlength=sets * COHORTS)
        return sums.astype(np.int64).reshape(sets, COHORTS)


class _ModelSums:
    """Sums of one model over the partitions; see `pivotwatch_models.base.counts.ModelCounts`.

    Attributes
    ----------
    to_model, total
        Requests to the model by the account's own choice, all, their tokens in and out, and how many of them
        used tools: per group of the bucket, (groups, 5), and of everyone, (5,).
    """

    def __init__(self, view: BucketView, sets: int, cohorts: _Cohorts) -> None:
        self._view, self._sets, self._cohorts = view, sets, cohorts
        shape = sets, COHORTS
        self.at_risk = [np.zeros(shape, dtype=np.int64) for _ in EVENT_TYPES]
        self.events = [np.zeros(shape, dtype=np.int64) for _ in EVENT_TYPES]
        self.to_model = np.zeros((len(view.groups), 5), dtype=np.int64)
        self.total = np.zeros(5, dtype=np.int64)
        self.movers: list[Mover] = []
        self.blocks: list[Block] = []

    def add(self, part: PartitionRecord, rows: Ints, model: ModelBody | None) -> None:
        """Add one partition.

        Parameters
        ----------
        rows
            Row of the sums for each set of the partition.
        model
            What its record says about the model; None when it does not follow the model.
        """
        active = self._cohorts.sums(part.active, rows, self._sets)
        for at_risk in self.at_risk:
            at_risk += active
        if model is None:
            return
        for kind in range(len(EVENT_TYPES)):
            self.at_risk[kind] -= self._cohorts.sums(content.table(model.done[kind], 5), rows, self._sets)
            self.events[kind] += self._cohorts.sums(content.table(model.events[kind], 5), rows, self._sets)
        traffic = content.table(model.traffic, 6)
        self.to_model[part.local[traffic[:, 0]]] += traffic[:, 1:]
        self.total += model.total
        for row in part.movers(model):
            self._add_mover(part, row)
        for block in content.blocks_of(model.blocks):
            self._add_block(part, block)

    def _add_mover(self, part: PartitionRecord, row: content.Mover) -> None:
        account, own_set, first, switch, age, previous = row
        if self._cohorts.is_older and previous < 0:
            return
        groups = self._view.groups_of_set(part, own_set)
        self.movers.append(Mover(account, groups, (bool(first), bool(switch)), self._cohorts.is_young(age)))

    def _add_block(self, part: PartitionRecord, row: content.Block) -> None:
        account, own_set, second, steady, split, *sizes = row
        groups = self._view.groups_of_set(part, own_set)
        self.blocks.append(Block(account, groups, bool(second), bool(steady), split, (sizes[0], sizes[1])))


def _traffic(everything: list[int], to_model: list[int]) -> Traffic:
    requests, *spent = everything
    chosen, model_requests, *model_spent = to_model
    return Traffic(requests, chosen, model_requests, *spent, *model_spent)
