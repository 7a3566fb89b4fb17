"""The settings that decide results.

A deployment may choose these. The numbers that it may not choose are in `pivotwatch_models.method`. Stored
states and alert ids carry fingerprints of both (`pivotwatch_models.fingerprint`).
"""

from __future__ import annotations

import dataclasses
import math

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the method that a deployment may choose; times in milliseconds.

    Attributes
    ----------
    bucket_ms
        Width of an event-time bucket.
    watch_ms
        How long a release is watched.
    min_events
        Requests that an account must have sent before a finding about it is reported.
    min_members
        Accounts that a group must have had within 90 days before it is watched and reported.
    allowed_lateness_ms
        How far the watermark stays behind the highest event time.
    alert_budget
        Expected false alerts by chance per group and day.
    theta
        Upper limit of the normal speed ratio. The limit in use is learned per release and starts at 2. A
        group that has lived through a watch has a limit of its own, up to 6.
    aliases
        Patterns (``fnmatch``) of ``requested_model`` values that the provider resolves. A change of what they
        resolve to does not count as a switch.

    Raises
    ------
    ValueError
        When a value lies outside its range.

    Examples
    --------
    >>> Settings().buckets_per_day
    24.0
    >>> Settings(bucket_ms=DAY_MS).decay(0.995) == 0.995**24
    True
    """

    bucket_ms: int = HOUR_MS
    watch_ms: int = 14 * DAY_MS
    min_events: int = 8
    min_members: int = 8
    allowed_lateness_ms: int = 5 * 60_000
    alert_budget: float = 1e-5
    theta: float = 3.0
    aliases: tuple[str, ...] = ("*-latest",)

    def __post_init__(self) -> None:
        if self.bucket_ms <= 0 or self.watch_ms < self.bucket_ms:
            raise ValueError("bucket must be positive and no longer than watch")
        if not 0 < self.alert_budget < 1:
            raise ValueError("alert_budget must lie between 0 and 1")
        if self.theta < 1:
            raise ValueError("theta is a hazard ratio of at least 1")
        if self.min_events < 1 or self.min_members < 1 or self.allowed_lateness_ms < 0:
            raise ValueError("min_events and min_members are at least 1, allowed_lateness at least 0")

    @property
    def buckets_per_day(self) -> float:
        """Number of buckets in 24 hours."""
        return DAY_MS / self.bucket_ms

    @property
    def score_threshold(self) -> float:
        """Score ln R that an e-detector without a head start reaches by chance once per alert budget."""
        return math.log(self.buckets_per_day / self.alert_budget)

    def decay(self, per_hour: float) -> float:
        """Decay factor of one bucket, from the factor of one hour."""
        return float(per_hour ** (self.bucket_ms / HOUR_MS))

    def buckets(self, duration_ms: int) -> int:
        """Number of buckets that cover a duration, at least 1."""
        return max(1, -(-duration_ms // self.bucket_ms))
