"""The completed counts of one closed bucket, merged over all partitions."""

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
    """An account that had a first use or a switch in the bucket.

    Attributes
    ----------
    account, groups
        The account, and the groups that it was active in.
    events
        Whether it had its first use, and whether it switched.
    young
        Whether it is a young account.
    """

    account: str
    groups: tuple[Group, ...]
    events: tuple[bool, bool]
    young: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """An account whose block of requests ended in the bucket (`pivotwatch_models.accounts.split_blocks`).

    Attributes
    ----------
    second
        Whether it is the account's second block, with which it is judged.
    steady
        Whether both blocks agree; False for a first block.
    split
        Decile of the block's split, 0 … 9.
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
    """Requests of a group (or of everyone) in a bucket, and those to one model: exact sums.

    Attributes
    ----------
    requests, tokens_in, tokens_out, with_tools
        All requests, their input and output tokens, and how many of them used tools.
    chosen, to_model
        Requests to the model by the account's own choice, and all requests to the model.
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
        """The numbers in the order of the fields."""
        return _numbers(self)

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(*map(operator.add, _numbers(self), _numbers(other)))

    def __sub__(self, other: Traffic) -> Traffic:
        return Traffic(*map(operator.sub, _numbers(self), _numbers(other)))

    @property
    def share(self) -> float | None:
        """Share of requests that chose the model; None without requests."""
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
        Which set contains which group, one entry per pair: indices into the rows of ``at_risk`` and into
        ``groups``.
    at_risk, events
        For each type of event, accounts at risk and events, (sets, cohorts). Integers.
    movers
        Accounts with an event, sorted.
    traffic
        Traffic of each group, in the order of ``groups``.
    total
        Traffic of everyone.
    blocks
        Accounts that ended a block, sorted.
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
