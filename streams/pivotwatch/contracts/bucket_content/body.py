"""The type of the content of a bucket record."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pivotwatch.contracts.bucket_content.tables import (
    NOTHING,
    Blocks,
    Cohorts,
    Count,
    Finding,
    Groups,
    GroupsToModel,
    Index,
    Movers,
    Number,
    Sets,
    Spent,
    Tallies,
    ToModel,
    Traffics,
)
from pivotwatch.contracts.codec import Text
from pivotwatch_models.accounts.share_models import EVENT_TYPES

assert len(EVENT_TYPES) == 2, "the types below have a place for each"


def _empty() -> Any:
    return msgspec.field(default_factory=lambda: NOTHING)


class ModelBody(msgspec.Struct, frozen=True, kw_only=True):
    """What the bucket says about one model. Pairs hold first uses, then switches."""

    model: Annotated[Text, Meta(description="The model.")]
    first: Annotated[Count, Meta(description="The first bucket in which the partition saw it.")]
    total: Annotated[
        ToModel,
        Meta(
            description="Requests to it by the account's own choice; all; tokens in; tokens out; with tools."
        ),
    ]
    traffic: Annotated[
        GroupsToModel, Meta(description="The same per group that used it: index into groups, then as total.")
    ]
    done: Annotated[
        tuple[Cohorts, Cohorts],
        Meta(description="Active accounts that had had the event before, per set and cohort: as active."),
    ]
    events: Annotated[
        tuple[Cohorts, Cohorts],
        Meta(description="Accounts that had the event in this bucket, per set and cohort: as active."),
    ]
    movers: Annotated[
        Movers,
        Meta(
            description="Accounts that had an event: account, index into sets, whether it was a first use, "
            "whether it was a switch, age, previous active bucket (-1: none)."
        ),
    ]
    findings: Annotated[
        list[Finding],
        Meta(
            description="Accounts that moved by themselves: account, index into sets, bucket in which it "
            "began, requests, requests to the model, usual residual in thousandths."
        ),
    ]
    blocks: Annotated[
        Blocks,
        Meta(
            description="Accounts that completed a block of 8 requests: account, index into sets, whether it "
            "is the second block, whether the split is steady, decile of the split, sizes in and out (16 ln "
            "of the mean tokens; -1: none)."
        ),
    ]


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one partition over one bucket."""

    groups: Annotated[Groups, Meta(description="Groups that sent requests, in order: kind, id.")] = _empty()
    sets: Annotated[
        Sets, Meta(description="Sets of groups that an account belongs to: indexes into groups.")
    ] = _empty()
    requests: Annotated[Count, Meta(description="Requests that were counted.")] = 0
    spent: Annotated[Spent, Meta(description="Their tokens in, tokens out; requests with tools.")] = (0, 0, 0)
    active: Annotated[
        Cohorts,
        Meta(
            description="Accounts that sent them, per set and cohort: index into sets, volume band, age (0 "
            "not young, 1 young, 2 young by first sight), previous active bucket (-1: none), accounts."
        ),
    ] = _empty()
    traffic: Annotated[
        Traffics, Meta(description="Per group: requests, tokens in, tokens out, requests with tools.")
    ] = _empty()
    models: Annotated[
        list[ModelBody], Meta(description="Every model that is followed, in order of its name.")
    ] = msgspec.field(default_factory=list)
    watermark: Annotated[
        Number, Meta(description="Watermark of the partition, epoch milliseconds; negative: none.")
    ] = -1
    late: Annotated[
        Count,
        Meta(
            description="Late events since the last record. Those of the last day are counted, in late_parts."
        ),
    ] = 0
    dropped_models: Annotated[
        Count, Meta(description="Models, left out, because too many appeared at once.")
    ] = 0
    forgotten_models: Annotated[
        Count, Meta(description="Model names that were forgotten, because there were too many.")
    ] = 0
    dropped_links: Annotated[
        Count,
        Meta(description="Groups of single accounts that were not counted, because there were too many."),
    ] = 0
    invalid: Annotated[Count, Meta(description="Events since the last record that became dead letters.")] = 0
    failed: Annotated[Count, Meta(description="Failed requests since the last record, not counted.")] = 0
    late_groups: Annotated[Tallies, Meta(description="Late events per group: kind, id, events.")] = _empty()
    skewed: Annotated[
        list[tuple[Text, Count]],
        Meta(description="Networks whose clock is ahead of the others, and by how many milliseconds."),
    ] = []
    skewed_accounts_total: Annotated[
        Count, Meta(description="Number of accounts whose clock is ahead of the others.")
    ] = 0
    skewed_accounts: Annotated[
        list[tuple[Text, Count]],
        Meta(description="Those of them that are furthest ahead, at most 20, and by how many milliseconds."),
    ] = []
    joined: Annotated[
        Tallies, Meta(description="Accounts that joined a group in this bucket: kind, id, accounts.")
    ] = _empty()
    left: Annotated[
        Tallies, Meta(description="Accounts that left a group (90 days without it): kind, id, accounts.")
    ] = _empty()
    late_parts: Annotated[
        list[LatePart], Meta(description="What came late of earlier buckets since the last record.")
    ] = []

    @property
    def is_active(self) -> bool:
        """Whether any account sent requests."""
        return len(bytes(self.active).strip(b"[] \t\r\n")) > 0


class LatePart(msgspec.Struct, frozen=True, kw_only=True):
    """What came late of an earlier bucket: who was active then, and first uses of models."""

    bucket: Annotated[Index, Meta(description="Index of the earlier bucket.")]
    body: Annotated[Body, Meta(description="The same as for a bucket, without counters.")]


decode = msgspec.json.Decoder(Body).decode
"""Reads a content of which tables stay JSON. `check` checks the tables."""
