"""Times without a time zone: events and releases read them as UTC, everything else refuses them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from pivotwatch import Release, replay
from pivotwatch.contracts.codec import encode, format_moment, millis_of, moment_of
from pivotwatch.contracts.controls import Withdrawal, decision_record
from pivotwatch.contracts.events import BadEvent, parse_time
from pivotwatch.contracts.examples import example_alert
from pivotwatch.contracts.status import Status

NAIVE = datetime(2026, 2, 5, 18)  # noqa: DTZ001  # the subject of this module
REMEDY = r"expected a time with a time zone, got 2026-02-05T18:00:00: add one, such as \.replace\(tzinfo="


@pytest.fixture(autouse=True)
def _elsewhere() -> Iterator[None]:
    """The local time of this machine is not UTC."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    assert NAIVE.timestamp() != NAIVE.replace(tzinfo=UTC).timestamp()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def test_a_time_without_a_zone_has_no_text_and_no_milliseconds() -> None:
    for convert in (format_moment, millis_of):
        with pytest.raises(ValueError, match=f"^{REMEDY}"):
            convert(NAIVE)
    with pytest.raises(ValueError, match=f"^{REMEDY}"):
        encode({"times": [moment_of(1), NAIVE]})


def test_an_object_of_the_interface_names_the_field() -> None:
    alert = example_alert()
    for field in ("onset", "detected_at", "released_at"):
        with pytest.raises(ValueError, match=f"^{field}: {REMEDY}"):
            replace(alert.data, **{field: NAIVE})
    with pytest.raises(ValueError, match=f"^bucket: {REMEDY}"):
        Status(
            bucket=NAIVE,
            bucket_ms=3_600_000,
            watermark=0,
            requests=0,
            accounts=0,
            new_accounts=0,
            groups=0,
            late=0,
            invalid=0,
            failed=0,
            releases=[],
        )
    with pytest.raises(ValueError, match=f"^{REMEDY}"):
        decision_record(Withdrawal(target="network:AS64500", at=NAIVE))


def test_a_decision_names_the_field_and_the_form() -> None:
    decision = {"entity": {"kind": "network", "id": "AS64500"}, "verdict": "verified", "at": NAIVE}
    with pytest.raises(BadEvent, match="at: expected a time with a time zone, such as 2026-02-05T18:00:00Z"):
        replay([], decisions=[decision])


def test_events_and_releases_without_a_zone_are_in_utc() -> None:
    utc = NAIVE.replace(tzinfo=UTC)
    assert parse_time(NAIVE) == parse_time(NAIVE.isoformat()) == parse_time(utc)
    assert Release("m-2", NAIVE).released_ms == Release("m-2", utc).released_ms
