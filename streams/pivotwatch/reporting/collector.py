"""What the report needs, gathered while a replay runs: little of each alert, and one point a bucket."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from datetime import datetime
from statistics import median
from typing import NamedTuple

from pivotwatch.contracts.alerts import AlertData, parse_alert
from pivotwatch.contracts.codec import millis_of
from pivotwatch.contracts.records import Output
from pivotwatch.contracts.status import ReleaseStatus, Status, parse_status

MOST_POINTS = 240


class Point(NamedTuple):
    """One bucket of a release; ``share`` None when there were no requests."""

    at: int
    share: float | None
    first_uses: int
    at_risk: int

    @classmethod
    def of(cls, status: Status, release: ReleaseStatus) -> Point:
        """A release in a scored bucket; in one without requests nobody was at risk."""
        at = millis_of(status.bucket)
        if not status.requests:
            return cls(at, None, 0, 0)
        return cls(at, release.share, release.first_uses, release.at_risk)


@dataclasses.dataclass(slots=True)
class Course:
    """How everyone takes up one model."""

    model: str
    released_at: int
    inferred: bool
    bucket_ms: int
    learning: bool = True
    points: list[Point] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, release: ReleaseStatus, bucket_ms: int) -> Course:
        """The course of a release, without points yet."""
        return cls(release.model, millis_of(release.released_at), release.inferred, bucket_ms)

    @property
    def first_uses(self) -> int:
        """Accounts that used it for the first time."""
        return sum(point.first_uses for point in self.points)

    @property
    def last_share(self) -> float:
        """Its share in the last bucket with requests."""
        return next((p.share for p in reversed(self.points) if p.share is not None), 0.0)

    def coarse(self) -> Course:
        """The same with at most 240 points: mean shares, summed first uses per bucket, least at risk."""
        step = -(-len(self.points) // MOST_POINTS)
        if step < 2:
            return self
        parts = [self.points[i : i + step] for i in range(0, len(self.points), step)]
        return dataclasses.replace(self, points=[_joined(part) for part in parts])


def _joined(points: list[Point]) -> Point:
    shares = [p.share for p in points if p.share is not None]
    share = sum(shares) / len(shares) if shares else None
    return Point(points[0].at, share, sum(p.first_uses for p in points), min(p.at_risk for p in points))


class Collected:
    """The outputs of a replay, summed up.

    Attributes
    ----------
    totals
        Sums over all buckets: requests, late, invalid, failed, new accounts.
    alerts
        Id to the newest alert about it.
    told
        Id to every revision: (time, transition, severity).
    releases
        Courses of the watched releases, by name.

    Examples
    --------
    >>> collected = Collected()
    >>> collected.pace, collected.totals["requests"]
    (0.0, 0)
    """

    def __init__(self) -> None:
        self.totals = dict.fromkeys(("requests", "late", "invalid", "failed", "new_accounts"), 0)
        self.span: tuple[int, int] | None = None
        self.most_groups = 0
        self.alerts: dict[str, AlertData] = {}
        self.told: dict[str, list[tuple[datetime, str, str]]] = {}
        self.releases: dict[tuple[str, datetime], Course] = {}
        self._accounts: list[int] = []
        self._paces: list[float] = []

    @property
    def pace(self) -> float:
        """Requests per active account and bucket: the median over the buckets."""
        return median(self._paces) if self._paces else 0.0

    @property
    def active(self) -> float:
        """Active accounts per bucket: the median over the buckets."""
        return median(self._accounts) if self._accounts else 0.0

    def watch(self, outputs: Iterable[Output]) -> Iterator[Output]:
        """Hand everything through and keep what the report needs."""
        for output in outputs:
            if output.topic == "status":
                self._status(parse_status(output.value))
            elif output.topic == "alerts":
                self._alert(output.value)
            yield output

    def _alert(self, value: bytes) -> None:
        data = parse_alert(value).data
        self.alerts[data.alert_id] = data
        row = data.detected_at, data.transition or data.state, data.severity
        self.told.setdefault(data.alert_id, []).append(row)

    def _status(self, status: Status) -> None:
        at, width = millis_of(status.bucket), status.bucket_ms
        self.span = (self.span[0] if self.span else at, at + width)
        self.totals["requests"] += status.requests
        self.totals["late"] += status.late
        self.totals["invalid"] += status.invalid
        self.totals["failed"] += status.failed
        self.totals["new_accounts"] += status.new_accounts
        self.most_groups = max(self.most_groups, status.groups)
        self._accounts.append(status.accounts)
        if status.accounts:
            self._paces.append(status.requests / status.accounts)
        for release in status.releases:
            key = release.model, release.released_at
            course = self.releases.get(key)
            if course is None:
                course = self.releases[key] = Course.of(release, width)
            course.learning = release.learning
            course.points.append(Point.of(status, release))
