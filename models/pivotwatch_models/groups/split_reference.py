"""The splits of everyone during one watch, as the reference for the split of a group.

What is normal for a group comes from the accounts that were judged so far, without its own and without those
of groups that were flagged when their accounts were judged.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pivotwatch_models.base.counts import Block, Group
from pivotwatch_models.groups.split_detector import WINDOWS, SplitEDetector, normal_limits

Tally = list[int]
"""Accounts judged, then the steady ones inside each window."""


class GroupSplit:
    """The splits of one group.

    Attributes
    ----------
    detector
        Its e-detector.
    counted
        The group's part of the population's tally.
    recent
        (bucket, block) of every block of the present excursion, of the pace or of the split.
    """

    __slots__ = ("counted", "detector", "recent")

    def __init__(self) -> None:
        self.detector = SplitEDetector()
        self.counted: Tally = [0] * (1 + len(WINDOWS))
        self.recent: list[tuple[int, Block]] = []

    def forget_if_quiet(self) -> None:
        """Forget the blocks, unless the split has evidence. Called while W of the pace is 0."""
        if self.recent and self.detector.log_r <= 0:
            self.recent = []

    def restart(self) -> None:
        """Start the evidence again from 0."""
        self.detector, self.recent = SplitEDetector(), []

    def evidence_blocks(self) -> list[tuple[int, Block]]:
        """Blocks that are evidence: those in the leading window once the detector is flagged, none before."""
        return [row for row in self.recent if self.is_evidence(row[1])] if self.detector.flagged else []

    def is_evidence(self, block: Block) -> bool:
        """Whether a block is steady and its split lies in the leading window."""
        low, high = self.detector.window
        return block.steady and low <= block.split < high

    def snapshot(self) -> list[Any]:
        """State, JSON-able."""
        rows = [[b, x.account, x.groups, x.second, x.steady, x.split, x.sizes] for b, x in self.recent]
        return [self.detector.snapshot(), self.counted, rows]

    @classmethod
    def restored(cls, state: list[Any]) -> Self:
        """A group that continues exactly where `snapshot` was taken."""
        group = cls()
        detector, group.counted, rows = state
        group.detector = SplitEDetector.restored(detector)
        group.recent = [
            (b, Block(account, tuple((k, n) for k, n in groups), second, steady, split, tuple(sizes)))
            for b, account, groups, second, steady, split, sizes in rows
        ]
        return group


class SplitReference:
    """The splits of all judged accounts except those of flagged groups.

    Attributes
    ----------
    tally
        Accounts judged, then the steady ones inside each window.

    Examples
    --------
    >>> population = SplitReference()
    >>> own, group = GroupSplit(), ("network", "A")
    >>> block = Block("a", (group,), second=True, steady=True, split=5, sizes=(-1, -1))
    >>> population.update(7, [block], {group: own}, flagged=set())
    [('network', 'A')]
    >>> population.tally[0], own.counted[0], own.recent[0][0]
    (1, 1, 7)
    """

    def __init__(self) -> None:
        self.tally: Tally = [0] * (1 + len(WINDOWS))

    def update(
        self, bucket: int, blocks: Sequence[Block], groups: Mapping[Group, GroupSplit], flagged: set[Group]
    ) -> list[Group]:
        """Take the blocks of one bucket; returns the groups with a judged account."""
        own: dict[Group, Tally] = {}
        for block in blocks:
            mine = [g for g in block.groups if g in groups]
            for group in mine:
                groups[group].recent.append((bucket, block))
            if not block.second:
                continue
            row = tally(block)
            if flagged.isdisjoint(block.groups):
                self.tally = _sum(self.tally, row)
                for group in mine:
                    groups[group].counted = _sum(groups[group].counted, row)
            for group in mine:
                own[group] = _sum(own[group], row) if group in own else row
        for group, (judged, *inside) in own.items():
            others, *others_inside = map(operator.sub, self.tally, groups[group].counted)
            groups[group].detector.update((judged, inside, normal_limits(others, others_inside)))
        return list(own)


def tally(block: Block) -> Tally:
    """The tally of one judged account."""
    return [1, *(int(block.steady and low <= block.split < high) for low, high in WINDOWS)]


def _sum(a: Tally, b: Tally) -> Tally:
    return list(map(operator.add, a, b))
