"""What is known of every group beyond a single release: size, learned limit, lateness, hours of day."""

from __future__ import annotations

from typing import Any

from pivotwatch_models.base.counts import Group
from pivotwatch_models.groups.hour_of_day import HourOfDay
from pivotwatch_models.groups.learnt_theta import LearntTheta


class GroupRecord:
    """One group.

    Attributes
    ----------
    members
        Accounts seen in it within 90 days.
    theta
        Its limit θ₀, if one was learned in earlier watches.
    late_at
        The last bucket in which events of the group came late; -1 for none.
    late_since
        The bucket in which its events began to come late, without a day in which none did; -1 for none.
    hours
        Its requests by hour of day.
    """

    __slots__ = ("hours", "late_at", "late_since", "members", "theta")

    def __init__(self) -> None:
        self.members = 0
        self.theta = LearntTheta()
        self.late_at = self.late_since = -1
        self.hours = HourOfDay()

    def snapshot(self) -> list[Any]:
        """State, JSON-able."""
        theta = [self.theta.seen, self.theta.expected, self.theta.watches]
        return [self.members, theta, self.late_at, self.late_since, self.hours.snapshot()]

    @classmethod
    def restored(cls, state: list[Any]) -> GroupRecord:
        """A record that continues exactly where `snapshot` was taken."""
        record = cls()
        record.members, theta, record.late_at, record.late_since, hours = state
        record.hours = HourOfDay.restored(hours)
        record.theta = LearntTheta(*theta)
        return record


class GroupRegistry:
    """The records of all groups.

    Examples
    --------
    >>> registry = GroupRegistry()
    >>> registry.join(("network", "AS1"), 9)
    >>> registry.leave(("network", "AS1"), 2)
    >>> registry.members(("network", "AS1")), registry.members(("network", "AS2"))
    (7, 0)
    >>> registry.leave(("network", "AS1"), 7)
    >>> registry.forget(("network", "AS1"))
    >>> len(registry.groups)
    0
    """

    def __init__(self) -> None:
        self.groups: dict[Group, GroupRecord] = {}

    def get(self, group: Group) -> GroupRecord:
        """The record of a group, a new one if it is unknown."""
        record = self.groups.get(group)
        if record is None:
            record = self.groups[group] = GroupRecord()
        return record

    def join(self, group: Group, accounts: int) -> None:
        """Add accounts that were seen in a group for the first time in 90 days."""
        self.get(group).members += accounts

    def leave(self, group: Group, accounts: int) -> None:
        """Subtract accounts that were last seen in a group over 90 days ago."""
        self.get(group).members -= accounts

    def forget(self, group: Group) -> None:
        """Drop the record of a group in which nobody was seen for 90 days, unless a θ₀ was learned."""
        record = self.groups.get(group)
        if record and record.members <= 0 and not record.theta.watches:
            del self.groups[group]

    def members(self, group: Group) -> int:
        """Accounts seen in a group within 90 days."""
        record = self.groups.get(group)
        return record.members if record else 0

    def theta(self, group: Group) -> float | None:
        """Limit θ₀ that was learned in a group's earlier watches; None before the first closed watch."""
        record = self.groups.get(group)
        return record.theta.value(0.0) if record and record.theta.watches else None

    def quiet_share(self, group: Group) -> float | None:
        """Share of a group's requests in the quietest eight hours of its day; None when it is not known."""
        record = self.groups.get(group)
        return record.hours.quiet_share() if record else None

    def late_since(self, group: Group, bucket: int) -> bool:
        """Whether any event of a group came late in a bucket or after it."""
        record = self.groups.get(group)
        return record is not None and record.late_at >= bucket
