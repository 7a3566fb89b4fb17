"""The status of a scored bucket: one record per bucket on the topic ``status``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct

from pivotwatch.contracts.codec import (
    MAX_TS,
    Amount,
    Count,
    Moment,
    Share,
    Text,
    check_moments,
    json_schema,
    parser,
)
from pivotwatch_models.incidents.terms import Severity
from pivotwatch_models.settings import DAY_MS

Width = Annotated[int, Meta(gt=0, le=366 * DAY_MS)]


class ReleaseStatus(Struct, frozen=True, kw_only=True):
    """A watched release, as of this bucket."""

    model: Annotated[Text, Meta(description="The released model.")]
    released_at: Annotated[Moment, Meta(description="Time of the release.")]
    inferred: Annotated[
        bool,
        Meta(description="Whether the release was inferred from the stream, not read from the calendar."),
    ]
    learning: Annotated[
        bool, Meta(description="Whether too few accounts have moved to know the population's speed well.")
    ]
    moves_per_bucket: Annotated[
        Amount | None, Meta(description="Mean first uses per bucket since the watch began.")
    ]
    advised_bucket_ms: Annotated[
        Width | None,
        Meta(description="A better bucket length in milliseconds, when the data are too sparse; else null."),
    ]
    share: Annotated[
        Share | None, Meta(description="Share of the model in all requests of the bucket, 0 to 1.")
    ]
    first_uses: Annotated[
        Count, Meta(description="Accounts that used the model for the first time in this bucket.")
    ]
    at_risk: Annotated[Count, Meta(description="Active accounts that had not used the model before.")]
    surge: Annotated[
        Count | None,
        Meta(description="The last bucket in which the population's first uses rose, counted from 1970."),
    ]
    groups: Annotated[Count, Meta(description="Groups that are watched for this release.")]
    incidents: Annotated[
        list[tuple[str, Severity]],
        Meta(description="Open incidents, the first that opened, at most 100: alert_id and severity."),
    ]
    incidents_total: Annotated[
        Count | None, Meta(description="Number of open incidents; null in records of earlier versions.")
    ] = None

    def __post_init__(self) -> None:
        check_moments(released_at=self.released_at)


class LateGroup(Struct, frozen=True, kw_only=True):
    """A group that is scored late, because many of its events arrive after their bucket has closed."""

    kind: Annotated[Text, Meta(description="Kind of the group.")]
    name: Annotated[Text, Meta(description="Name of the group.")]
    since: Annotated[
        Moment, Meta(description="Start of the bucket from which its events came late, with no day between.")
    ]
    late: Annotated[Count, Meta(description="Its events that arrived late since the last status.")]
    share: Annotated[Share, Meta(description="Their share of all its events since then, 0 to 1.")]

    def __post_init__(self) -> None:
        check_moments(since=self.since)


class SkewedNetwork(Struct, frozen=True, kw_only=True):
    """A network whose clock is ahead of the others."""

    network: Annotated[Text, Meta(description="Name of the network.")]
    ahead_ms: Annotated[Count, Meta(description="Milliseconds ahead of the time that the others agree on.")]


class SkewedAccount(Struct, frozen=True, kw_only=True):
    """An account whose clock is ahead of the others."""

    account: Annotated[Text, Meta(description="Id of the account.")]
    ahead_ms: Annotated[Count, Meta(description="Milliseconds ahead of the time that the others agree on.")]


class Status(Struct, frozen=True, kw_only=True):
    """What `networks` scored in one bucket, over all partitions."""

    bucket: Annotated[Moment, Meta(description="Start of the bucket.")]
    bucket_ms: Annotated[Width, Meta(description="Length of the bucket in milliseconds.")]
    watermark: Annotated[
        int,
        Meta(
            ge=0,
            lt=MAX_TS,
            description="Least watermark of the partitions, epoch milliseconds; 0: not known.",
        ),
    ]
    requests: Annotated[Count, Meta(description="Requests that were counted.")]
    accounts: Annotated[Count, Meta(description="Accounts that sent them.")]
    new_accounts: Annotated[Count, Meta(description="Those of them that were not seen in the last 90 days.")]
    groups: Annotated[Count, Meta(description="Groups that sent requests.")]
    late: Annotated[
        Count,
        Meta(description="Events that arrived late; those of the last day were counted with their bucket."),
    ]
    invalid: Annotated[Count, Meta(description="Events that became dead letters.")]
    failed: Annotated[Count, Meta(description="Failed requests (HTTP status 400 and above), not counted.")]
    stale_records: Annotated[
        Count, Meta(description="Bucket records, left out, whose bucket was scored before.")
    ] = 0
    dropped_models: Annotated[
        Count, Meta(description="Models, left out, because too many appeared at once.")
    ] = 0
    forgotten_models: Annotated[
        Count, Meta(description="Model names that were forgotten, because there were too many.")
    ] = 0
    forgotten_groups: Annotated[
        Count, Meta(description="Watched groups that were forgotten, because there were too many.")
    ] = 0
    dropped_links: Annotated[
        Count,
        Meta(description="Groups of single accounts that were not counted, because there were too many."),
    ] = 0
    idle_partitions: Annotated[
        Count, Meta(description="Partitions without events, completed by the event time of another.")
    ] = 0
    late_groups_total: Annotated[Count, Meta(description="Number of groups that are scored late.")] = 0
    late_groups: Annotated[
        list[LateGroup], Meta(description="Those of them with most late events, at most 20.")
    ] = []
    skewed_networks: Annotated[
        list[SkewedNetwork], Meta(description="Networks whose clock is furthest ahead, at most 20.")
    ] = []
    skewed_accounts_total: Annotated[
        Count, Meta(description="Number of accounts whose clock is ahead of the others.")
    ] = 0
    skewed_accounts: Annotated[
        list[SkewedAccount], Meta(description="Those of them that are furthest ahead, at most 20.")
    ] = []
    releases: Annotated[
        list[ReleaseStatus], Meta(description="Watched releases, in order of time; of very many the newest.")
    ]
    releases_total: Annotated[
        Count | None, Meta(description="Number of watched releases; null in records of earlier versions.")
    ] = None

    def __post_init__(self) -> None:
        check_moments(bucket=self.bucket)

    @property
    def end(self) -> datetime:
        """End of the bucket."""
        return self.bucket + timedelta(milliseconds=self.bucket_ms)


_parse = parser(Status, "a status")


def parse_status(raw: bytes | str) -> Status:
    """Read a record of ``status``.

    Raises
    ------
    WrongUse
        With the first field that is not as the contract says.

    Examples
    --------
    >>> parse_status(b'{"bucket": "2026-02-05T18:00:00Z", "bucket_ms": "1h"}')
    Traceback (most recent call last):
    pivotwatch.base.errors.WrongUse: not a status: bucket_ms: expected `int`, got `str`
    """
    return _parse(raw)


def status_schema() -> dict[str, Any]:
    """JSON Schema of the status of a bucket."""
    return json_schema(Status, "pivotwatch status")
