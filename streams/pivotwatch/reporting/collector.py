"""Collects what a replay and its report need: the alerts, and one point per release and bucket."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from statistics import median
from typing import NamedTuple

from pivotwatch.contracts.alerts import AlertData, parse_alert
from pivotwatch.contracts.codec import millis_of
from pivotwatch.contracts.records import Output
from pivotwatch.contracts.status import ReleaseStatus, Status, parse_status

MOST_POINTS = 240


class Point(NamedTuple):
    """One bucket of a release; ``share`` is None when there were no requests.

    ``at`` is the start of the bucket in epoch milliseconds, ``share`` the release's share of all requests.
    """

    at: int
    share: float | None
    first_uses: int
    at_risk: int

    @classmethod
    def of(cls, status: Status, release: ReleaseStatus) -> Point:
        """The point of a release in a scored bucket; without requests it has no share."""
        at = millis_of(status.bucket)
        if not status.requests:
            return cls(at, None, 0, 0)
        return cls(at, release.share, release.first_uses, release.at_risk)


@dataclasses.dataclass(slots=True)
class Adoption:
    """The adoption of one release by all accounts.

    Attributes
    ----------
    released_at, bucket_ms
        In epoch milliseconds and milliseconds.
    inferred
        Whether the release was inferred from the stream, not named in the calendar.
    learning
        Whether the expected numbers are still rough.
    moves_per_bucket
        Mean first uses per bucket.
    advised_bucket_ms
        A better bucket length in milliseconds when the data are too sparse, else None.
    """

    model: str
    released_at: int
    inferred: bool
    bucket_ms: int
    learning: bool = True
    moves_per_bucket: float = 0.0
    advised_bucket_ms: int | None = None
    points: list[Point] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, release: ReleaseStatus, bucket_ms: int) -> Adoption:
        """The adoption of a release, without points."""
        return cls(release.model, millis_of(release.released_at), release.inferred, bucket_ms)

    @property
    def first_uses(self) -> int:
        """Number of accounts that have used it."""
        return sum(point.first_uses for point in self.points)

    @property
    def last_share(self) -> float:
        """Its share in the last bucket with requests."""
        return next((p.share for p in reversed(self.points) if p.share is not None), 0.0)

    def coarse(self) -> Adoption:
        """The same with at most 240 points: mean shares, summed first uses, smallest numbers at risk."""
        step = -(-len(self.points) // MOST_POINTS)
        if step < 2:
            return self
        parts = [self.points[i : i + step] for i in range(0, len(self.points), step)]
        return dataclasses.replace(self, points=[_joined(part) for part in parts])


def _joined(points: list[Point]) -> Point:
    shares = [p.share for p in points if p.share is not None]
    share = sum(shares) / len(shares) if shares else None
    return Point(points[0].at, share, sum(p.first_uses for p in points), min(p.at_risk for p in points))


class Collector:
    """The outputs of a replay, summarised.

    Attributes
    ----------
    totals
        Sums over all buckets: requests, late, invalid, failed, new accounts.
    alerts
        The last alert about each incident, by alert id.
    revisions
        Every revision of each incident as (time, transition, severity), by alert id.
    releases
        The adoption of the watched releases, by model and time of release.

    Examples
    --------
    >>> collector = Collector()
    >>> collector.requests_per_account, collector.totals["requests"]
    (0.0, 0)
    """

    def __init__(self) -> None:
        self.totals = dict.fromkeys(("requests", "late", "invalid", "failed", "new_accounts"), 0)
        self.span: tuple[int, int] | None = None
        self.most_groups = 0
        self.alerts: dict[str, AlertData] = {}
        self.revisions: dict[str, list[tuple[datetime, str, str]]] = {}
        self.releases: dict[tuple[str, datetime], Adoption] = {}
        self._active_accounts: list[int] = []
        self._requests_per_account: list[float] = []

    @property
    def requests_per_account(self) -> float:
        """Requests per active account and bucket: the median over the buckets."""
        return median(self._requests_per_account) if self._requests_per_account else 0.0

    @property
    def active_accounts(self) -> float:
        """Active accounts per bucket: the median over the buckets."""
        return median(self._active_accounts) if self._active_accounts else 0.0

    def take(self, output: Output) -> None:
        """Keep what the report needs of an output."""
        if output.topic == "status":
            self._status(parse_status(output.value))
        elif output.topic == "alerts":
            self._alert(output.value)

    def _alert(self, value: bytes) -> None:
        data = parse_alert(value).data
        self.alerts[data.alert_id] = data
        row = data.detected_at, data.transition or data.state, data.severity
        self.revisions.setdefault(data.alert_id, []).append(row)

    def _status(self, status: Status) -> None:
        at, width = millis_of(status.bucket), status.bucket_ms
        self.span = (self.span[0] if self.span else at, at + width)
        self.totals["requests"] += status.requests
        self.totals["late"] += status.late
        self.totals["invalid"] += status.invalid
        self.totals["failed"] += status.failed
        self.totals["new_accounts"] += status.new_accounts
        self.most_groups = max(self.most_groups, status.groups)
        self._active_accounts.append(status.accounts)
        if status.accounts:
            self._requests_per_account.append(status.requests / status.accounts)
        for release in status.releases:
            key = release.model, release.released_at
            adoption = self.releases.get(key)
            if adoption is None:
                adoption = self.releases[key] = Adoption.of(release, width)
            adoption.learning = release.learning
            adoption.moves_per_bucket = release.moves_per_bucket or 0.0
            adoption.advised_bucket_ms = release.advised_bucket_ms
            adoption.points.append(Point.of(status, release))
