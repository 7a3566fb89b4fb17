"""What samples of the data say about a set-up: pure judgements, without a broker.

`pivotwatch.tools.doctor` gathers, this module judges. Each judgement gives `Check` s that say what is
wrong and what to do next.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from pivotwatch.base.checks import Check, Status
from pivotwatch.config.problems import nearest
from pivotwatch.contracts.controls import CalendarEntry, parse_release
from pivotwatch.contracts.events import BadEvent, Event, check_event, parse_time

FUTURE = timedelta(minutes=10)
CLOCK_SKEW = timedelta(minutes=1)

# What detection loses without a field.
USES = {
    "network or ip": "without it no network can be watched",
    "links": "accounts are joined by network alone, not by payment key or sign-up",
    "account_created": "how new accounts are is told from their first event, after a week of stream",
    "requested_model": "an alias that moves everybody looks like everybody's choice",
}


@dataclasses.dataclass(frozen=True, slots=True)
class SampleRecord:
    """A record of ``requests`` as it lies in Kafka."""

    partition: int
    key: bytes | None
    value: bytes | None
    timestamp: datetime


class Sample:
    """Events taken apart once, for all judgements."""

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
        """Models that the events name."""
        return {event.model for _, event in self.events}


def judge_events(sample: Sample, now: datetime) -> list[Check]:
    """Are the events readable, complete, rightly keyed and of our time?"""
    if not sample.records:
        step = "send events, or `pivotwatch simulate null --kafka HOST:PORT`"
        return [Check("events", "warn", "the topic is empty", step)]
    checks = [_readable(sample)]
    if sample.events:
        checks += [*_fields(sample), _keys(sample), _times(sample, now)]
    return checks


def judge_calendar(values: Iterable[bytes], models: set[str], now: datetime) -> list[Check]:
    """Can the release calendar be read, and does it name models that there are?

    Examples
    --------
    >>> entry = b'{"model": "m2", "released_at": "2026-02-05T18:00:00Z"}'
    >>> [check] = judge_calendar([entry], {"m-1", "m-2"}, datetime(2026, 3, 1, tzinfo=UTC))
    >>> check.status, check.message
    ('warn', 'm2 is in the calendar, but in no event of the sample; did you mean m-2?')
    """
    releases, checks = [], []
    for value in values:
        try:
            entry = parse_release(None, value)
        except BadEvent as fault:
            step = "send the entry again, keyed by its model; `pivotwatch schema release` shows the form"
            checks.append(Check("calendar", "fail", f"an entry cannot be read: {fault}", step))
        else:
            if isinstance(entry, CalendarEntry):
                releases.append(entry)
    if not releases and not checks:
        step = "send entries to the topic of releases: an announced time is better than an inferred one"
        return [Check("calendar", "warn", "is empty, so releases are inferred from the stream", step)]
    past = [release for release in releases if _moment(release.released_ms) <= now]
    for release in past if models else []:
        if release.model not in models:
            meant = nearest(release.model, models)
            message = f"{release.model} is in the calendar, but in no event of the sample"
            message += f"; did you mean {meant}?" if meant else ""
            checks.append(Check("calendar", "warn", message, "name it as the events name it"))
    return checks or [
        Check("calendar", "ok", f"releases: {len(past)} past, {len(releases) - len(past)} to come")
    ]


def judge_lag(
    group: str, topic: str, committed: Mapping[int, int], ends: Mapping[int, int], state: str
) -> Check:
    """How far a role is behind.

    Examples
    --------
    >>> judge_lag("pivotwatch-accounts", "requests", {0: 90}, {0: 100, 1: 0}, "Stable").message
    'pivotwatch-accounts is 10 records behind on requests'
    """
    running = state == "Stable"
    if not committed:
        step = "" if running else "start the worker of this role"
        message = f"{group} has not committed anything on {topic} yet"
        return Check("lag", "warn", message, step or "wait for its first checkpoint, then ask again")
    behind = sum(max(0, end - committed.get(partition, 0)) for partition, end in ends.items())
    message = f"{group} is {behind:,} records behind on {topic}"
    if not running:
        return Check("lag", "warn", f"{message}, and no worker of it runs", "start the worker of this role")
    return Check("lag", "ok", message)


def _readable(sample: Sample) -> Check:
    unreadable = sum(sample.faults.values())
    total = unreadable + len(sample.events)
    message = f"{len(sample.events):,} of the last {total:,} events can be read"
    if not unreadable:
        return Check("events", "ok", message)
    worst, count = sample.faults.most_common(1)[0]
    step = f"most often ({count:,}): {worst}; `pivotwatch schema event` shows the form"
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
        # Nothing works without a network; the others are gains.
        enough = share >= (0.9 if field == "network or ip" else 0.01)
        fail: Status = "fail" if field == "network or ip" and share < 0.1 else "warn"
        checks.append(Check("fields", "ok" if enough else fail, message, "" if enough else USES[field]))
    return checks


def _keys(sample: Sample) -> Check:
    """One account in two partitions is counted as two."""
    partitions: defaultdict[str, set[int]] = defaultdict(set)
    for record, event in sample.events:
        partitions[event.account].add(record.partition)
    split = sorted(account for account, seen in partitions.items() if len(seen) > 1)
    if split:
        message = f"{len(split):,} accounts are in several partitions, {split[0]} for one"
        return Check(
            "keys", "fail", message, "key the records by account, or send them through the role ingest"
        )
    # Records of several events, as ingest writes them, have no key.
    single = [
        (record, event) for record, event in sample.events if not (record.value or b"").startswith(b"[")
    ]
    other = sum(record.key != event.account.encode() for record, event in single)
    if other:
        message = f"{other:,} of {len(single):,} events lie under another key than their account"
        return Check("keys", "warn", message, "make sure that an account always meets the same partition")
    return Check("keys", "ok", "every account lies in one partition, under its own key")


def _times(sample: Sample, now: datetime) -> Check:
    newest_record = max(record.timestamp for record in sample.records)
    if newest_record > now + CLOCK_SKEW:
        ahead = newest_record - now
        message = f"the newest record is {ahead.total_seconds():,.0f} s ahead of this machine's clock"
        return Check("clock", "warn", message, "set the clocks of producers and workers by NTP")
    future = [
        event for record, event in sample.events if _moment(parse_time(event.ts)) > record.timestamp + FUTURE
    ]
    if future:
        message = f"{len(future):,} events are more than 10 min later than their record; they are refused"
        return Check(
            "clock", "fail", message, "send ts as epoch milliseconds in UTC, from a clock set by NTP"
        )
    newest = max(parse_time(event.ts) for _, event in sample.events)
    return Check("clock", "ok", f"the newest event is of {_moment(newest):%Y-%m-%d %H:%M:%S} UTC")


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
