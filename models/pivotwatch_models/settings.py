"""The settings that decide results.

A deployment may choose these. The numbers that it may not choose are in `pivotwatch_models.method`. Stored
states and alert ids carry fingerprints of both (`pivotwatch_models.fingerprint`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from pivotwatch_models.durations import EXPECTED, format_duration, millis, parse_duration

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


DurationLike = str | float | timedelta
"""Text such as ``"1h"``, a number of seconds, or a timedelta."""


@dataclasses.dataclass(frozen=True, slots=True, init=False, repr=False)
class Settings:
    """Settings of the method that a deployment may choose, under the names that the configuration gives them.

    A duration is text such as ``"90s"`` or ``"14d"``, a number of seconds, or a timedelta.
    Attributes hold durations in milliseconds: ``bucket_ms``, ``watch_ms``, ``allowed_lateness_ms``.

    Parameters
    ----------
    bucket
        Width of an event-time bucket.
    watch
        How long a release is watched.
    min_events
        Requests that an account must have sent before a finding about it is reported.
    min_members
        Accounts that a group must have had within 90 days before it is watched and reported.
    allowed_lateness
        How far the watermark stays behind the time that the accounts agree on.
    alert_budget
        Expected false alerts by chance per group and day.
    theta
        Upper limit of the normal speed ratio. The limit in use is learned per release and starts at 2. A
        group that has lived through a watch has a limit of its own, up to 6.
    aliases
        Patterns (``fnmatch``) of ``requested_model`` values that the provider resolves. A change of what they
        resolve to does not count as a switch.
    attributes
        Kinds of ``links`` that describe an account, such as its client, and join it to no owner. They make no
        groups: a client that changes its default model moves all of its users.

    Raises
    ------
    ValueError
        With the name of the setting and what is expected of it.

    Examples
    --------
    >>> Settings(bucket="30m").bucket_ms
    1800000
    >>> Settings(bucket="1d").decay(0.995) == 0.995**24
    True
    >>> Settings(bucket="soon")
    Traceback (most recent call last):
    ValueError: bucket: expected a duration such as "90s", "5m", "1h", "14d" or "1w", or a number of \
    seconds, got 'soon'
    """

    bucket_ms: int
    watch_ms: int
    min_events: int
    min_members: int
    allowed_lateness_ms: int
    alert_budget: float
    theta: float
    aliases: tuple[str, ...]
    attributes: tuple[str, ...]

    def __init__(
        self,
        *,
        bucket: DurationLike = "1h",
        watch: DurationLike = "60d",
        min_events: int = 8,
        min_members: int = 8,
        allowed_lateness: DurationLike = "5m",
        alert_budget: float = 1e-5,
        theta: float = 3.0,
        aliases: Iterable[str] = ("*-latest",),
        attributes: Iterable[str] = ("client", "plan", "region"),
    ) -> None:
        values = {
            "bucket_ms": _milliseconds("bucket", bucket, least=1),
            "watch_ms": _milliseconds("watch", watch, least=1),
            "min_events": _count("min_events", min_events),
            "min_members": _count("min_members", min_members),
            "allowed_lateness_ms": _milliseconds("allowed_lateness", allowed_lateness, least=0),
            "alert_budget": _number("alert_budget", alert_budget, "between 0 and 1", lambda x: 0 < x < 1),
            "theta": _number("theta", theta, "of at least 1", lambda x: 1 <= x < math.inf),
            "aliases": _texts("aliases", aliases, "patterns"),
            "attributes": _texts("attributes", attributes, "kinds of links"),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if self.watch_ms < self.bucket_ms:
            raise ValueError("watch: expected at least as long as bucket")

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.to_dict().items())})"

    def to_dict(self) -> dict[str, Any]:
        """The settings as the configuration writes them.

        Examples
        --------
        >>> Settings(watch=86400).to_dict()["watch"]
        '1d'
        """
        return {
            name.removesuffix("_ms"): format_duration(timedelta(milliseconds=value))
            if name.endswith("_ms")
            else value
            for name, value in dataclasses.asdict(self).items()
        }

    def replace(self, **changes: Any) -> Settings:
        """These settings with other values.

        Examples
        --------
        >>> Settings().replace(bucket="1d") == Settings(bucket="1d")
        True
        """
        return Settings(**(self.to_dict() | changes))

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


def _milliseconds(name: str, value: object, *, least: int) -> int:
    try:
        duration = millis(parse_duration(value))
    except ValueError:
        raise ValueError(f"{name}: expected {EXPECTED}, got {value!r}") from None
    if duration < least:
        raise ValueError(f"{name}: expected at least {least} ms, got {value!r}")
    return duration


def _count(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}: expected a whole number of at least 1, got {value!r}")
    return value


def _number(name: str, value: object, expected: str, fits: Callable[[float], bool]) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not fits(value):
        raise ValueError(f"{name}: expected a number {expected}, got {value!r}")
    return float(value)


def _texts(name: str, value: object, what: str) -> tuple[str, ...]:
    texts = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else None
    if texts is None or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name}: expected a list of {what}, got {value!r}")
    return texts
