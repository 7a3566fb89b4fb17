"""Checks of samples of the data: pure functions, without a broker.

`pivotwatch.tools.doctor` collects the samples. Each function here returns `Check` objects that say what
is wrong and what to do.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from pivotwatch.base.checks import Check, Status
from pivotwatch.base.display import counted
from pivotwatch.base.suggestions import with_suggestion
from pivotwatch.contracts.controls import Release, parse_release
from pivotwatch.contracts.events import BadEvent, Event, check_event, parse_time

MAX_AHEAD = timedelta(minutes=10)
"""How far the time of an event may be ahead of that of its record; later events are refused."""
MAX_CLOCK_SKEW = timedelta(minutes=1)

# What detection loses without a field.
LOSSES = {
    "network or ip": "send network or ip: without them no network can be watched",
    "links": "without links accounts are grouped by network only, not by payment or sign-up",
    "account_created": "without it, the age of an account is known only after a week of events",
    "requested_model": "without it, a change of an alias counts as a switch of every account",
}


@dataclasses.dataclass(frozen=True, slots=True)
class SampleRecord:
    """A record of the topic ``requests``."""

    partition: int
    key: bytes | None
    value: bytes | None
    timestamp: datetime


class Sample:
    """Records of ``requests`` and the events in them.

    Attributes
    ----------
    records
        The records.
    events
        Each valid event with its record.
    faults
        How often each error occurs in the other events.
    """

    def __init__(self, records: Iterable[SampleRecord]) -> None:
        self.records = list(records)
        self.events: list[tuple[SampleRecord, Event]] = []
        self.faults: Counter[str] = Counter()
        for record in self.records:
            for event in self._decoded(record):
                try:
                    self.events.append((record, check_event(event)))
                except BadEvent as fault:
                    self.faults[str(fault)] += 1

    def _decoded(self, record: SampleRecord) -> list[Any]:
        try:
            content = orjson.loads(record.value or b"")
        except orjson.JSONDecodeError:
            self.faults["not JSON"] += 1
            return []
        return content if isinstance(content, list) else [content]

    @property
    def models(self) -> set[str]:
        """The models in the events."""
        return {event.model for _, event in self.events}


def check_events(sample: Sample, now: datetime) -> list[Check]:
    """Check that events can be read, have all fields, have the right key and a plausible time."""
    if not sample.records:
        step = "send events, for example with `pivotwatch simulate null --kafka HOST:PORT`"
        return [Check("events", "warn", "the topic is empty", step)]
    checks = [_readable(sample)]
    if sample.events:
        checks += [*_fields(sample), _keys(sample), _times(sample, now)]
    return checks


def check_calendar(values: Iterable[bytes], models: set[str], now: datetime) -> list[Check]:
    """Check that the release calendar can be read and that events contain its models.

    Examples
    --------
    >>> entry = b'{"model": "m2", "released_at": "2026-02-05T18:00:00Z"}'
    >>> [check] = check_calendar([entry], {"m-1", "m-2"}, datetime(2026, 3, 1, tzinfo=UTC))
    >>> check.status, check.message
    ('warn', 'm2 is in the calendar, but in no event of the sample; did you mean m-2?')
    """
    releases, checks = [], []
    for value in values:
        try:
            entry = parse_release(None, value)
        except BadEvent as fault:
            step = "send the entry again, keyed by its model; `pivotwatch schema release` prints its schema"
            checks.append(Check("calendar", "fail", f"an entry cannot be read: {fault}", step))
        else:
            if isinstance(entry, Release):
                releases.append(entry)
    if not releases and not checks:
        step = "send entries to the releases topic: an announced time is better than an inferred one"
        return [Check("calendar", "warn", "is empty, so releases are inferred from the events", step)]
    past = [release for release in releases if _utc(release.released_ms) <= now]
    for release in past if models else []:
        if release.model not in models:
            message = with_suggestion(
                f"{release.model} is in the calendar, but in no event of the sample", release.model, models
            )
            checks.append(Check("calendar", "warn", message, "use the name that the events use"))
    return checks or [
        Check("calendar", "ok", f"releases: {len(past)} past, {len(releases) - len(past)} to come")
    ]


def check_lag(
    group: str, topic: str, committed: Mapping[int, int], ends: Mapping[int, int], state: str
) -> Check:
    """Check whether a role runs, and how many records it is behind.

    Parameters
    ----------
    group, state
        The consumer group of the role, and its state in Kafka.
    committed, ends
        Committed offset and end offset of each partition.

    Examples
    --------
    >>> check_lag("pivotwatch-accounts", "requests", {0: 90}, {0: 100, 1: 0}, "Stable").message
    'pivotwatch-accounts is 10 records behind on requests'
    """
    running = state == "Stable"
    if not committed:
        step = (
            "wait for its first checkpoint, then run this again" if running else "start a worker of this role"
        )
        return Check("lag", "warn", f"{group} has not committed an offset of {topic} yet", step)
    behind = sum(max(0, end - committed.get(partition, 0)) for partition, end in ends.items())
    message = f"{group} is {counted(behind, 'record')} behind on {topic}"
    if not running:
        return Check("lag", "warn", f"{message}, and no worker of it runs", "start a worker of this role")
    return Check("lag", "ok", message)


def _readable(sample: Sample) -> Check:
    unreadable = sum(sample.faults.values())
    total = unreadable + len(sample.events)
    message = f"{len(sample.events):,} of the last {total:,} events can be read"
    if not unreadable:
        return Check("events", "ok", message)
    worst, count = sample.faults.most_common(1)[0]
    step = f"most frequent error ({count:,}): {worst}; `pivotwatch schema event` prints the schema"
    return Check("events", "fail" if unreadable > len(sample.events) else "warn", message, step)


def _fields(sample: Sample) -> list[Check]:
    has: dict[str, Callable[[Event], object]] = {
        "network or ip": lambda event: event.network or event.ip,
        "links": lambda event: event.links,
        "account_created": lambda event: event.account_created is not None,
        "requested_model": lambda event: event.requested_model,
    }
    checks = []
    for field, present in has.items():
        share = sum(bool(present(event)) for _, event in sample.events) / len(sample.events)
        message = f"{share:.0%} of the events have {field}"
        # The network is indispensable; the other fields improve detection.
        enough = share >= (0.9 if field == "network or ip" else 0.01)
        fail: Status = "fail" if field == "network or ip" and share < 0.1 else "warn"
        checks.append(Check("fields", "ok" if enough else fail, message, "" if enough else LOSSES[field]))
    return checks


def _keys(sample: Sample) -> Check:
    """Check that every account is in one partition; otherwise it is counted as several accounts."""
    partitions: defaultdict[str, set[int]] = defaultdict(set)
    for record, event in sample.events:
        partitions[event.account].add(record.partition)
    split = sorted(account for account, seen in partitions.items() if len(seen) > 1)
    if split:
        message = f"{counted(len(split), 'account')} in several partitions, such as {split[0]}"
        return Check(
            "keys", "fail", message, "use the account as the key, or send the records through the role ingest"
        )
    # Records that hold several events have no key.
    single = [
        (record, event) for record, event in sample.events if not (record.value or b"").startswith(b"[")
    ]
    other = sum(record.key != event.account.encode() for record, event in single)
    if other:
        message = f"{other:,} of {len(single):,} events have a key that is not their account"
        return Check(
            "keys", "warn", message, "make sure that all events of an account get the same partition"
        )
    return Check("keys", "ok", "every account is in one partition, and is the key of its records")


def _times(sample: Sample, now: datetime) -> Check:
    newest_record = max(record.timestamp for record in sample.records)
    if newest_record > now + MAX_CLOCK_SKEW:
        ahead = newest_record - now
        message = f"the newest record is {ahead.total_seconds():,.0f} s ahead of this machine's clock"
        return Check("clock", "warn", message, "synchronise the clocks of producers and workers (NTP)")
    future = [
        event for record, event in sample.events if _utc(parse_time(event.ts)) > record.timestamp + MAX_AHEAD
    ]
    if future:
        message = f"{len(future):,} events are more than 10 min later than their record, and are refused"
        return Check(
            "clock", "fail", message, "send ts as epoch milliseconds in UTC, from a synchronised clock (NTP)"
        )
    newest = max(parse_time(event.ts) for _, event in sample.events)
    return Check("clock", "ok", f"the time of the newest event is {_utc(newest):%Y-%m-%d %H:%M:%S} UTC")


def _utc(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
