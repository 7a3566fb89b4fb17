"""What one closed bucket says about everyone: the completed counts, merged over all partitions."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Container

import numpy as np

from pivotwatch_models.base.arrays import Ints, Mask

Group = tuple[str, str]
"""Kind and id: ("network", "AS64500"), ("payment", "pay-7")."""


@dataclasses.dataclass(frozen=True, slots=True)
class Mover:
    """An account that had an event in the bucket."""

    account: str
    groups: tuple[Group, ...]
    events: tuple[bool, bool]
    young: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """An account that ended a block of `pivotwatch_models.groups.split_detector` in the bucket.

    Attributes
    ----------
    second, steady, split
        See `split.Blocks`.
    sizes
        16 ln of the mean input and output tokens of its requests to the model in the bucket; -1: not known.
    """

    account: str
    groups: tuple[Group, ...]
    second: bool
    steady: bool
    split: int
    sizes: tuple[int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Traffic:
    """Requests of a group (or of all) in a bucket, and those to one model: exact sums.

    Attributes
    ----------
    requests, tokens_in, tokens_out, with_tools
        All requests, their input and output tokens, and how many of them used tools.
    chosen, to_model
        Requests to the model: by active choice, and all.
    model_in, model_out, model_tools
        Tokens of the requests to the model, and how many of them used tools.

    Examples
    --------
    >>> hour = Traffic(10, 4, 5, tokens_in=900, tokens_out=100)
    >>> (hour + hour).share, (hour - hour) == NO_TRAFFIC
    (0.4, True)
    """

    requests: int = 0
    chosen: int = 0
    to_model: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    with_tools: int = 0
    model_in: int = 0
    model_out: int = 0
    model_tools: int = 0

    def row(self) -> tuple[int, ...]:
        """The numbers, in the order of the fields."""
        return _numbers(self)

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(*map(operator.add, _numbers(self), _numbers(other)))

    def __sub__(self, other: Traffic) -> Traffic:
        return Traffic(*map(operator.sub, _numbers(self), _numbers(other)))

    @property
    def share(self) -> float | None:
        """Share of the model by choice; None without requests."""
        return self.chosen / self.requests if self.requests else None


_numbers: Callable[[Traffic], tuple[int, ...]] = operator.attrgetter(
    *(field.name for field in dataclasses.fields(Traffic))
)
NO_TRAFFIC = Traffic()


@dataclasses.dataclass(frozen=True, slots=True)
class ModelCounts:
    """Counts of one model in one bucket, over the sets of groups that accounts were active in.

    Attributes
    ----------
    groups
        The groups active in the bucket, sorted.
    pair_set, pair_group
        Which set holds which group, one pair an entry: indices into the rows below and into ``groups``.
    at_risk, events
        Per type of event, (sets, cohorts): accounts at risk and events per cohort. Integers.
    movers
        The accounts with an event, sorted.
    traffic
        Per group, aligned with ``groups``.
    total
        Traffic of everyone.
    blocks
        The accounts that ended a block, sorted.
    """

    groups: list[Group]
    pair_set: Ints
    pair_group: Ints
    at_risk: tuple[Ints, Ints]
    events: tuple[Ints, Ints]
    movers: list[Mover]
    traffic: list[Traffic]
    total: Traffic
    blocks: list[Block] = dataclasses.field(default_factory=list)

    def sets_touching(self, groups: Container[Group]) -> Mask:
        """Which sets contain one of the groups, (sets,)."""
        wanted = np.array([group in groups for group in self.groups], dtype=bool)
        sets = np.zeros(len(self.at_risk[0]), dtype=bool)
        sets[self.pair_set[wanted[self.pair_group]]] = True
        return sets

    def by_group(self, values: Ints, kept: Mask | None = None) -> Ints:
        """Sum rows of the sets into the groups that they contain, (groups, columns).

        Parameters
        ----------
        values
            One row per set.
        kept
            Sets that count, (sets,); None: all.
        """
        pair_set, pair_group = self.pair_set, self.pair_group
        if kept is not None:
            pairs = kept[pair_set]
            pair_set, pair_group = pair_set[pairs], pair_group[pairs]
        out = np.zeros((len(self.groups), values.shape[1]), dtype=np.int64)
        np.add.at(out, pair_group, values[pair_set])
        return out
