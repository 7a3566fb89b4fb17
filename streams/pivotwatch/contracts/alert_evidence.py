"""The evidence of an alert: figures, pattern, single accounts, profile and course over time."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from pivotwatch.contracts.codec import MAX_TS, Amount, Count, Moment, Share, Text, check_moments
from pivotwatch.contracts.entity import Entity
from pivotwatch_models.incidents.terms import Verdict

MEMBERS_SHOWN = 100
"""Accounts that an alert lists at most; ``members_total`` counts them all."""
GROUPS_SHOWN = 200
"""Groups that an alert lists at most; ``groups_total`` counts them all."""
BYTES_SHOWN = 150_000
"""Bytes that each of these lists has at most: long names can make it shorter than its number allows."""
POINTS_SHOWN = 96
"""Steps of time that a series has at most."""

Sign = Literal["roll-out", "extraction"]


class Split(Struct, frozen=True, kw_only=True):
    """What share of its traffic a member sends to the model after its first use, in blocks of 8 requests."""

    sign: Annotated[Sign | None, Meta(description="What the split points to; null: neither.")] = None
    part: Annotated[
        Share | None, Meta(description="Share of the members' blocks with 20 to 80 % of the traffic, 0 to 1.")
    ] = None
    others_part: Annotated[
        Share | None, Meta(description="The same share over every account that used the model, 0 to 1.")
    ] = None
    whole: Annotated[
        Share | None, Meta(description="Share of the members' blocks with over 80 %, 0 to 1.")
    ] = None


class Sizes(Struct, frozen=True, kw_only=True):
    """How much the tokens per request vary."""

    sign: Annotated[Sign | None, Meta(description="What the sizes point to; null: neither.")] = None
    ratio: Annotated[
        Amount | None, Meta(description="Spread over the members divided by the spread over every account.")
    ] = None


class Hours(Struct, frozen=True, kw_only=True):
    """At which hours of the day the group works."""

    sign: Annotated[Sign | None, Meta(description="What the hours point to; null: neither.")] = None
    quiet_share: Annotated[
        Share | None,
        Meta(description="Share of the group's requests in the eight quietest hours of its day, 0 to 1."),
    ] = None


class Pattern(Struct, frozen=True, kw_only=True):
    """What the move looks like: a company's roll-out or extraction. It decides the severity alone."""

    name: Annotated[Sign | None, Meta(description="The pattern; null: neither is clear.")] = None
    judged: Annotated[
        Count, Meta(description="Blocks of 8 requests that members have completed since their first use.")
    ] = 0
    split: Split = Split()
    sizes: Sizes = Sizes()
    hours: Hours = Hours()


class Corroboration(Struct, frozen=True, kw_only=True):
    """Signs that are independent of the score."""

    adwin: Annotated[bool, Meta(description="Whether ADWIN found a rise between the onset and now.")] = False
    shared_members: Annotated[
        bool, Meta(description="Whether groups of several kinds share at least 30 % of the members.")
    ] = False
    young_share: Annotated[
        Share | None,
        Meta(description="Share of the members that were created in the last 7 days, 0 to 1."),
    ] = None
    network_class: Annotated[
        str | None,
        Meta(description="Class of the network: access, business, hosting, proxy, or what a source names."),
    ] = None


class Finding(Struct, frozen=True, kw_only=True):
    """A single account that moved by itself."""

    account: Annotated[Text, Meta(description="Account id.")]
    since: Annotated[Moment, Meta(description="Start of the bucket in which it moved.")]
    residual: Annotated[
        float | None,
        Meta(description="Its share of the model minus everyone else's, −1 to 1."),
    ]


class Usage(Struct, frozen=True, kw_only=True):
    """Means per exchange (one request with its answer)."""

    exchanges: Annotated[Count, Meta(description="Number of exchanges.")]
    tools_share: Annotated[Share, Meta(description="Share of the exchanges that called tools, 0 to 1.")]
    input_tokens: Annotated[Amount, Meta(description="Mean input tokens per exchange.")]
    output_tokens: Annotated[Amount, Meta(description="Mean output tokens per exchange.")]


class Profile(Struct, frozen=True, kw_only=True):
    """What the group asked of the model, beside what is usual. Null: no exchanges."""

    to_model: Annotated[Usage | None, Meta(description="The group to the model, since the onset.")] = None
    to_other_models: Annotated[
        Usage | None, Meta(description="The group to other models, since the onset.")
    ] = None
    before: Annotated[Usage | None, Meta(description="The group to any model, before the onset.")] = None
    population: Annotated[
        Usage | None, Meta(description="Every other account to the model, since the onset.")
    ] = None


Points = Annotated[list[Count], Meta(max_length=POINTS_SHOWN)]
Shares = Annotated[list[Share | None], Meta(max_length=POINTS_SHOWN)]
Amounts = Annotated[list[Amount], Meta(max_length=POINTS_SHOWN)]


class Series(Struct, frozen=True, kw_only=True):
    """The group over time, from at most 48 buckets before the onset: arrays of one length, one step each."""

    group: Annotated[Entity, Meta(description="The group with the most evidence.")]
    start: Annotated[Moment, Meta(description="Start of bucket 0 of the series.")]
    bucket_ms: Annotated[int, Meta(gt=0, lt=MAX_TS, description="Length of a bucket in milliseconds.")]
    at: Annotated[Points, Meta(description="First bucket of each step, counted from start.")]
    until: Annotated[Points, Meta(description="Bucket after the last one of each step.")]
    share: Annotated[Shares, Meta(description="Share of the group's requests that chose the model, 0 to 1.")]
    others_share: Annotated[Shares, Meta(description="The same share over every other account, 0 to 1.")]
    seen: Annotated[Points, Meta(description="First uses and switches of the group's accounts.")]
    expected: Annotated[Amounts, Meta(description="Events expected at the speed of every other account.")]
    low: Annotated[Points, Meta(description="Lower end of the normal range (95 %) of seen.")]
    high: Annotated[Points, Meta(description="Upper end of the normal range (95 %) of seen.")]

    def __post_init__(self) -> None:
        columns = (self.until, self.share, self.others_share, self.seen, self.expected, self.low, self.high)
        if any(len(column) != len(self.at) for column in columns):
            raise ValueError("expected arrays of one length")
        if any(until <= at for at, until in zip(self.at, self.until, strict=True)):
            raise ValueError("until: expected to be greater than at")
        check_moments(start=self.start)
        if self.start.timestamp() * 1000 + max(self.until, default=0) * self.bucket_ms >= MAX_TS:
            raise ValueError("until: expected times before 2100")


class Evidence(Struct, frozen=True, kw_only=True):
    """What was seen, what the population did at the same time, and how improbable the difference is."""

    baseline_share: Annotated[
        Share | None, Meta(description="Share of the model in the group's requests before the onset, 0 to 1.")
    ] = None
    observed_share: Annotated[
        Share | None, Meta(description="Share of the model in the group's requests since the onset, 0 to 1.")
    ] = None
    population_share: Annotated[
        Share | None,
        Meta(description="Share of the model in every other account's requests since the onset, 0 to 1."),
    ] = None
    switches_seen: Annotated[Count | None, Meta(description="Accounts that switched, since the onset.")] = (
        None
    )
    switches_expected: Annotated[
        Amount | None, Meta(description="Switches expected at the population's speed.")
    ] = None
    first_uses_seen: Annotated[
        Count | None, Meta(description="Accounts that used the model for the first time, since the onset.")
    ] = None
    first_uses_expected: Annotated[
        Amount | None, Meta(description="First uses expected at the population's speed.")
    ] = None
    hazard_ratio: Annotated[
        Amount | None,
        Meta(description="Speed ratio: how many times faster than the population, since the onset."),
    ] = None
    log_e_value: Annotated[
        float | None, Meta(description="Score: natural logarithm of the e-value against theta.")
    ] = None
    threshold: Annotated[
        float | None, Meta(description="Score from which one group alone raises an alert.")
    ] = None
    log_e_pace: Annotated[float | None, Meta(description="The part of the score that the speed gives.")] = (
        None
    )
    log_e_split: Annotated[
        float | None, Meta(description="The part of the score that the sameness of the split gives.")
    ] = None
    pattern: Annotated[
        Pattern | None, Meta(description="What the move looks like; null for a single account.")
    ] = None
    e_bh: Annotated[
        bool, Meta(description="Whether e-BH, which looks at all groups together, named a group.")
    ] = False
    theta: Annotated[
        Amount | None, Meta(description="The largest speed ratio that is normal for this group.")
    ] = None
    synchrony: Annotated[
        Share | None, Meta(description="Largest share of the members that moved within 3 hours, 0 to 1.")
    ] = None
    population_synchrony: Annotated[
        Share | None,
        Meta(description="Largest share of all accounts that moved since the release, within 3 h, 0 to 1."),
    ] = None
    corroboration: Corroboration = Corroboration()
    findings: Annotated[
        list[Finding],
        Meta(max_length=MEMBERS_SHOWN, description="Members that also stand out as single accounts."),
    ] = msgspec.field(default_factory=list)
    findings_total: Annotated[
        Count | None, Meta(description="Number of these members; null in alerts of earlier versions.")
    ] = None
    verdict: Annotated[
        Verdict | None, Meta(description="What a person decided on the incident; null: nothing.")
    ] = None
    data_lag: Annotated[
        bool, Meta(description="Whether events of the group came late, or a partition lagged.")
    ] = False
    learning: Annotated[
        bool, Meta(description="Whether too few accounts have moved to know the population's speed well.")
    ] = False
    profile: Annotated[Profile | None, Meta(description="Null for a single account.")] = None
    series: Annotated[Series | None, Meta(description="Null for a single account.")] = None
