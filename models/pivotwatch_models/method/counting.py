"""Constants of the counting step: what is kept of accounts and model names, and when an account switches.

Times are in milliseconds. Decays are given per hour and converted with `Settings.decay`.
"""

from __future__ import annotations

import dataclasses

from pivotwatch_models.settings import DAY_MS, HOUR_MS


@dataclasses.dataclass(frozen=True, slots=True)
class Membership:
    """How long an account is remembered.

    Attributes
    ----------
    keep_ms
        An account is a member of a group until this long after it was last active there. A model name that
        is not used for so long is forgotten, and one first seen longer ago is not a candidate. Longer than
        any watch, short enough to bound memory.
    sweep_ms
        Every account is checked once in this time. Decides in which bucket a member is reported as gone.
    young_ms
        An account is young this long after its creation, or after its first sight when no date is known.
        Accounts created for a campaign are.
    future_ms
        An event this much later than the time stamp of its Kafka record is invalid. Without a limit one
        broken clock would close every open bucket.
    """

    keep_ms: int = 90 * DAY_MS
    sweep_ms: int = DAY_MS
    young_ms: int = 7 * DAY_MS
    future_ms: int = 10 * 60_000


@dataclasses.dataclass(frozen=True, slots=True)
class EventTime:
    """How the accounts and networks of a partition agree on the time.

    Attributes
    ----------
    least, most
        So many accounts are asked at least, unless the partition is thin, and at most. With thirty a source
        that sends one event in ten has the majority by chance once in 10⁸.
    part
        One in so many of the accounts of the last closed bucket is asked.
    thin_part
        Of fewer than ``least · thin_part`` accounts one in so many is asked. The median of thirty accounts
        that send once an hour is half an hour old.
    diverse
        With so many accounts and networks no single one has the majority: fewer are asked only when nobody
        else sent events for a long time.
    settled, settled_large
        After so many events a stream begins, whoever sent them; the second number holds when they are so
        large that no more can be held.
    patience_events, patience_alone
        An account is not asked when it sent nothing while others sent as many events as a bucket has, and at
        least ``patience_events``. When fewer than ``diverse`` would be left, it is ``patience_alone`` times
        that number: one busy account does not become everyone.
    asked_every
        They are asked again after one in so many of them sent something from behind the end of a bucket.
    far_ms
        An event further ahead of the first open bucket than this, and two buckets, is held.
    held, held_bytes
        So many events are held at most, of so many bytes: they are part of a checkpoint's manifest, which is
        one record.
    """

    least: int = 30
    most: int = 1024
    part: int = 16
    thin_part: int = 4
    diverse: int = 3
    settled: int = 64
    settled_large: int = 16
    patience_events: int = 256
    patience_alone: int = 256
    asked_every: int = 8
    far_ms: int = DAY_MS
    held: int = 1024
    held_bytes: int = 200_000


@dataclasses.dataclass(frozen=True, slots=True)
class Candidates:
    """Which model names are followed. Whoever may send requests may make up names, so all are bounded.

    Attributes
    ----------
    reach
        What an account gives to the names that it asks for in a bucket, in equal whole parts.
    max_followed
        Models that one partition follows at a time, those of greatest reach first.
    max_known
        Names that one partition knows at a time.
    """

    reach: int = 1000
    max_followed: int = 64
    max_known: int = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class GroupBounds:
    """How many groups an account can be in. Whoever may send requests may make up links.

    Attributes
    ----------
    per_bucket
        Groups that an account is counted in per bucket, those with the most accounts first.
    per_account
        Groups that an account is remembered in; it leaves the one in which it was active longest ago.
    late
        Groups of which a bucket record reports late events.
    open_size
        Characters of links in the open buckets of a partition, 100 more for each value. Beyond it, the links
        with the fewest accounts are not counted, until half is left.
    """

    per_bucket: int = 64
    per_account: int = 256
    late: int = 10_000
    open_size: int = 128_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Switch:
    r"""When an account switches: tempered CUSUM of its share of a model.

    Attributes
    ----------
    shares
        Shares s of the model after a switch that are tested, each against ``idle_share``.
    idle_share
        q₀: share of a model that an account tries now and then.
    correlation
        ρ: correlation of the requests of one account within a bucket. The likelihood of n requests is
        weighted by 1 / (1 + (n − 1) ρ).
    likelihood_ratio
        The account has switched when one of the tests reaches this ratio. In simulation 50 separates
        switches from trials; first use and switch are counted apart, so an error costs power, not validity.

    References
    ----------
    E. S. Page, Continuous inspection schemes, Biometrika 41 (1954).
    """

    shares: tuple[float, ...] = (0.3, 0.6, 0.9)
    idle_share: float = 0.08
    correlation: float = 0.15
    likelihood_ratio: float = 50.0


@dataclasses.dataclass(frozen=True, slots=True)
class PageHinkleyMethod:
    """The detector of single accounts (`river.drift.PageHinkley`), on the account's share less everyone's.

    Attributes
    ----------
    threshold_hours, threshold_least
        Threshold with buckets of 1 h, and the least one with wider buckets. The statistic of an honest
        account that moves for good grows by the same per day whatever the width. Over a week after a
        simulated release the greatest one of an honest account was 42 with buckets of 1 h, 9.3 with 6 h and
        2.2 with 24 h.
    min_instances, delta, alpha
        Parameters of river's detector.
    """

    threshold_hours: float = 60.0
    threshold_least: float = 2.5
    min_instances: int = 8
    delta: float = 0.005
    alpha: float = 0.9999


@dataclasses.dataclass(frozen=True, slots=True)
class SplitBlocks:
    """Blocks of requests in which the split of an account's traffic is measured.

    Attributes
    ----------
    first_block, second_block
        Requests that fill the first and the second block. Under 8 the decile of a share is mostly chance.
    steady_within
        Deciles by which the splits of both blocks may differ in a steady account.
    size_steps
        Sizes are counted in steps of 1 / 16 of ln(tokens per request): integers, so that sums are exact.
    """

    first_block: int = 8
    second_block: int = 24
    steady_within: int = 4
    size_steps: int = 16


@dataclasses.dataclass(frozen=True, slots=True)
class Inference:
    """When a model without a calendar entry counts as released.

    Attributes
    ----------
    learning_ms
        Age of the stream from which on a first sight is news.
    window_ms, min_accounts, min_networks
        So many accounts over so many networks must use the model within this time of its first sight.
    max_sightings
        Names without a watched release of which the first sight is kept, those that most accounts took up.
    """

    learning_ms: int = 72 * HOUR_MS
    window_ms: int = 24 * HOUR_MS
    min_accounts: int = 20
    min_networks: int = 5
    max_sightings: int = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class AccountFindings:
    """Which account findings are reported.

    Attributes
    ----------
    sudden_ms
        A move that took longer to be found is a drift, not a shift, and is not reported.
    """

    sudden_ms: int = 7 * DAY_MS
