"""The tables ``[topics]`` and ``[retention]`` of the configuration, and names in Kafka."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from pivotwatch.config.durations import Duration
from pivotwatch_models.durations import parse_duration

# The names of the topics in the code; TopicNames holds their names in Kafka.
Logical = Literal[
    "requests", "dlq", "buckets", "status", "alerts", "deliveries_dlq", "releases", "decisions", "sessions"
]


def matching(pattern: str, expected: str) -> AfterValidator:
    """A validator for text that matches a pattern; ``expected`` describes the pattern to people."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"expected {expected}")
        return value

    return AfterValidator(check)


# Kafka allows 249 characters, which must also hold the prefix and "-changelog".
TopicName = Annotated[
    str, matching(r"[\w.-]{1,120}", "1 to 120 letters, digits, dots, dashes or underscores")
]
Prefix = Annotated[str, matching(r"[\w.-]{0,60}", "up to 60 letters, digits, dots, dashes or underscores")]


class TopicNames(BaseModel):
    """Names of the topics in Kafka, without the prefix.

    Attributes
    ----------
    requests, dlq
        Events, and records that could not be read.
    buckets, status
        Sums of each bucket, and figures for the page.
    alerts, deliveries_dlq
        Alerts, and alerts that a target refused.
    releases, decisions, sessions
        The release calendar, decisions of people, and ended sessions of the page.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: TopicName = "requests"
    dlq: TopicName = "requests.dlq"
    buckets: TopicName = "buckets"
    status: TopicName = "status"
    alerts: TopicName = "alerts"
    deliveries_dlq: TopicName = "deliveries.dlq"
    releases: TopicName = "releases"
    decisions: TopicName = "decisions"
    sessions: TopicName = "sessions"


class Retention(BaseModel):
    """How long Kafka keeps the records of each topic; 0 means for ever.

    Attributes
    ----------
    requests
        Longer than a watch, so that the state can be rebuilt from the requests.
    dlq, buckets, alerts, deliveries_dlq
        How long records of these topics are kept.
    decisions
        The newest decision on each target stays for ever; those before it are kept at least this long.
    sessions
        Longer than a session of the page lasts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: Duration = parse_duration("70d")
    dlq: Duration = parse_duration("30d")
    buckets: Duration = parse_duration("30d")
    alerts: Duration = parse_duration("90d")
    deliveries_dlq: Duration = parse_duration("90d")
    decisions: Duration = parse_duration("365d")
    sessions: Duration = parse_duration("30d")
