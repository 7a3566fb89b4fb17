"""The content of one partition's bucket record as arrays."""

from __future__ import annotations

import numpy as np

from pivotwatch.contracts import bucket_content as content
from pivotwatch.contracts.bucket_content import Body, ModelBody
from pivotwatch_models.base.counts import Group


class PartitionRecord:
    """What one partition counted in a bucket in which accounts of it were active.

    Attributes
    ----------
    body
        The content of the record, of which the tables per model are still JSON.
    groups
        Groups that the partition names, in the order of the record.
    local
        Index of each of them among the groups of all partitions; whoever merges the partitions sets it.
    sizes, flat, begin
        Number of groups of each set of groups; the groups of all sets in a row; where each set begins there.
    active
        Rows of (set, volume band, age, previous active bucket, accounts) of everyone who was active.
    """

    def __init__(self, body: Body) -> None:
        self.body = body
        self.groups: list[Group] = content.groups_of(body.groups)
        self.local = np.empty(0, dtype=np.int64)
        self.sizes, self.flat = content.sets(body.sets)
        self.begin: list[int] = np.append(0, np.cumsum(self.sizes)).tolist()
        self.active = content.table(body.active, 5)
        self._movers: dict[str, list[content.Mover]] = {}

    def of(self, model: str) -> ModelBody | None:
        """What the record says about a model; None when it does not follow the model."""
        return next((row for row in self.body.models if row.model == model), None)

    def movers(self, row: ModelBody) -> list[content.Mover]:
        """The accounts with a first use of a model or a switch to it, decoded once."""
        if row.model not in self._movers:
            self._movers[row.model] = content.movers_of(row.movers)
        return self._movers[row.model]

    def groups_of_set(self, number: int) -> list[int]:
        """The groups of a set, as sorted indices among the groups of all partitions."""
        inside = self.flat[self.begin[number] : self.begin[number + 1]]
        return sorted(self.local[inside].tolist())
