"""Numbers of events that the record of a bucket reports beside its counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from pivotwatch_models.base.counts import Group
from pivotwatch_models.method import STATE

_MOST_LATE = STATE.group_bounds.late


@dataclasses.dataclass(slots=True)
class EventCounters:
    """Late, invalid and failed events since the last record of a bucket.

    Attributes
    ----------
    late
        Events whose bucket was closed before they came, without requests that ended only after that.
    invalid
        Events that became dead letters.
    failed
        Requests that failed (HTTP status 400 and above). They are not counted.
    dropped_links
        Groups of single accounts, and links of open buckets, that are not counted: there are too many.
    late_groups
        Late events by group, of the first groups if there are very many.

    Examples
    --------
    >>> counters = EventCounters()
    >>> counters.add_late([("network", "AS64500"), ("payment", "pay-7")])
    >>> counters.snapshot()
    [1, 0, 0, [['network', 'AS64500', 1], ['payment', 'pay-7', 1]], 0]
    """

    late: int = 0
    invalid: int = 0
    failed: int = 0
    dropped_links: int = 0
    late_groups: dict[Group, int] = dataclasses.field(default_factory=dict)

    def add_late(self, groups: Iterable[Group]) -> None:
        """Count one late event of an account in ``groups``."""
        self.late += 1
        for group in groups:
            if group in self.late_groups or len(self.late_groups) < _MOST_LATE:
                self.late_groups[group] = self.late_groups.get(group, 0) + 1

    def groups(self) -> list[list[Any]]:
        """Late events by group, sorted: kind, id, events."""
        return [[*group, events] for group, events in sorted(self.late_groups.items())]

    def reset(self) -> None:
        """Start again at zero, after a record has reported the numbers."""
        self.late = self.invalid = self.failed = self.dropped_links = 0
        self.late_groups = {}

    def snapshot(self) -> list[Any]:
        """State, JSON-able."""
        return [self.late, self.invalid, self.failed, self.groups(), self.dropped_links]

    def restore(self, state: Sequence[Any]) -> None:
        """Continue exactly where `snapshot` was taken."""
        self.late, self.invalid, self.failed, groups, self.dropped_links = state
        self.late_groups = {(kind, name): events for kind, name, events in groups}
