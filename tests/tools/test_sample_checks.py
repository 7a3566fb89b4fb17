"""The checks that the doctor runs on samples of records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from pivotwatch.base.checks import Check
from pivotwatch.tools.sample_checks import Sample, SampleRecord, check_calendar, check_events, check_lag

NOW = datetime(2026, 2, 6, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "id": "r",
    "ts": "2026-02-05T23:59:00Z",
    "account": "a-1",
    "model": "m-1",
    "network": "AS64500",
    "links": {"payment": "p"},
    "account_created": 1,
    "requested_model": "m-latest",
}


def record(
    value: Any = EVENT, *, partition: int = 0, key: bytes | None = b"a-1", when: datetime = NOW
) -> SampleRecord:
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return SampleRecord(partition, key, raw, when)


def found(*records: SampleRecord, name: str) -> list[Check]:
    return [check for check in check_events(Sample(records), NOW) if check.name == name]


def test_good_events_pass() -> None:
    array = record([EVENT, {**EVENT, "account": "a-2"}], key=None)
    assert {check.status for check in check_events(Sample([record(), array]), NOW)} == {"ok"}


def test_an_empty_topic_is_no_fault() -> None:
    [check] = check_events(Sample([]), NOW)
    assert (check.status, check.message) == ("warn", "the topic is empty")


@pytest.mark.parametrize(("bad", "status"), [(1, "warn"), (3, "fail")])
def test_unreadable_events(bad: int, status: str) -> None:
    unreadable = [record({**EVENT, "model": ""})] * bad
    [check] = found(record(), record(), *unreadable, name="events")
    assert check.status == status
    assert check.message == f"2 of the last {2 + bad} events can be read"
    assert f"most frequent error ({bad}): model: expected `str`" in check.next_step


def test_nothing_readable_says_only_that() -> None:
    [check] = check_events(Sample([record(b"x"), record(b"")]), NOW)
    assert (check.status, check.next_step[:26]) == ("fail", "most frequent error (2): not JSON; `"[:26])


@pytest.mark.parametrize(
    ("field", "status", "message"),
    [
        ("network", "fail", "0% of the events have network or ip"),
        ("links", "warn", "0% of the events have links"),
        ("account_created", "warn", "0% of the events have account_created"),
        ("requested_model", "warn", "0% of the events have requested_model"),
    ],
)
def test_missing_fields_say_what_will_not_work(field: str, status: str, message: str) -> None:
    event = {key: value for key, value in EVENT.items() if key != field}
    [check] = [check for check in found(record(event), name="fields") if check.status != "ok"]
    assert (check.status, check.message) == (status, message)
    assert check.next_step


def test_an_account_in_two_partitions_fails() -> None:
    [check] = found(record(), record(partition=1), name="keys")
    assert (check.status, check.message) == ("fail", "1 account in several partitions, such as a-1")


def test_a_wrong_key_is_a_warning() -> None:
    [check] = found(record(key=b"team"), name="keys")
    assert (check.status, check.message) == (
        "warn",
        "1 of 1 events have a key that is not their account",
    )


def test_a_clock_that_runs_ahead() -> None:
    [check] = found(record(when=NOW + timedelta(minutes=2)), name="clock")
    assert (check.status, check.message) == (
        "warn",
        "the newest record is 120 s ahead of this machine's clock",
    )


def test_events_from_the_future_fail() -> None:
    [check] = found(record({**EVENT, "ts": "2026-02-06T00:11:00Z"}), name="clock")
    assert check.status == "fail"
    assert "1 events are more than 10 min later than their record" in check.message


def test_a_calendar_entry_that_cannot_be_read_fails() -> None:
    [check] = check_calendar([b'{"model": "m-2", "released_at": "soon"}'], set(), NOW)
    assert check.status == "fail"
    assert "released_at" in check.message


def test_an_empty_calendar_is_a_warning() -> None:
    [check] = check_calendar([], {"m-1"}, NOW)
    assert (check.status, check.message) == ("warn", "is empty, so releases are inferred from the events")


def test_a_future_release_need_not_occur_in_events() -> None:
    entry = b'{"model": "m-9", "released_at": "2026-03-01T00:00:00Z"}'
    [check] = check_calendar([entry], {"m-1"}, NOW)
    assert (check.status, check.message) == ("ok", "releases: 0 past, 1 to come")


@pytest.mark.parametrize(
    ("committed", "state", "status", "message"),
    [
        ({0: 4, 1: 5}, "Stable", "ok", "g is 6 records behind on requests"),
        ({0: 10, 1: 5}, "Empty", "warn", "g is 0 records behind on requests, and no worker of it runs"),
        ({}, "Dead", "warn", "g has not committed an offset of requests yet"),
    ],
)
def test_lag(committed: dict[int, int], state: str, status: str, message: str) -> None:
    check = check_lag("g", "requests", committed, {0: 10, 1: 5}, state)
    assert (check.status, check.message) == (status, message)
