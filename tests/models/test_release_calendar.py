"""The release calendar: which models count as released, and since when."""

from __future__ import annotations

import json

import pytest

from pivotwatch_models.release_calendar import Release, ReleaseCalendar
from pivotwatch_models.settings import DAY_MS, HOUR_MS

START = 1000 * HOUR_MS
OLD_ENOUGH = START + 72 * HOUR_MS


def calendar():
    made = ReleaseCalendar()
    made.begin(START)
    return made


def sight(made, model, first, accounts=20, networks=5, after=0):
    """First uses of a model, ``after`` ms after the model was first seen."""
    made.sight(model, first, first + after)
    made.first_uses(model, first + after, accounts, {f"net-{i}" for i in range(networks)})
    return made.get(model)


def test_an_entry_overrides_an_inferred_release():
    made = calendar()
    assert sight(made, "m", OLD_ENOUGH).inferred
    made.enter("m", OLD_ENOUGH - HOUR_MS)
    assert made.get("m") == Release("m", OLD_ENOUGH - HOUR_MS)


def test_without_its_entry_a_release_is_inferred_again():
    made = calendar()
    made.enter("m", START)
    sight(made, "m", OLD_ENOUGH)
    made.enter("m", None)
    assert made.get("m") == Release("m", OLD_ENOUGH, inferred=True)
    made.enter("never-entered", None)
    assert made.get("never-entered") is None


def test_the_time_of_an_entry_can_change():
    made = calendar()
    made.enter("m", START)
    made.enter("m", START + DAY_MS)
    assert made.get("m") == Release("m", START + DAY_MS)


@pytest.mark.parametrize(
    ("change", "inferred"),
    [
        ({}, True),
        ({"first": OLD_ENOUGH - 1}, False),  # the stream is younger than 72 h
        ({"accounts": 19}, False),
        ({"networks": 4}, False),
        ({"after": 23 * HOUR_MS}, True),
        ({"after": 24 * HOUR_MS}, False),  # not within 24 h after it was first seen
    ],
)
def test_the_rule_for_inferred_releases(change, inferred):
    release = sight(calendar(), "m", **{"first": OLD_ENOUGH, **change})
    assert release == (Release("m", change.get("first", OLD_ENOUGH), inferred=True) if inferred else None)


def test_accounts_and_networks_add_up_over_a_day():
    made = calendar()
    for hour in range(4):
        made.sight("m", OLD_ENOUGH, OLD_ENOUGH + hour * HOUR_MS)
        made.first_uses("m", OLD_ENOUGH + hour * HOUR_MS, 5, {f"net-{hour}", "net-0"})
    assert made.get("m") is None  # 20 accounts, 4 networks
    made.first_uses("m", OLD_ENOUGH + 5 * HOUR_MS, 1, {"net-9"})
    assert made.get("m") == Release("m", OLD_ENOUGH, inferred=True)


def test_a_model_that_returns_is_not_a_release():
    made = calendar()
    sight(made, "m", START + HOUR_MS, accounts=1, networks=1)
    made.sight("m", START + 300 * HOUR_MS, START + 300 * HOUR_MS)
    made.first_uses("m", START + 300 * HOUR_MS, 500, {f"net-{i}" for i in range(50)})
    assert made.get("m") is None


def test_the_earliest_first_use_in_any_partition_counts():
    made = calendar()
    made.sight("m", OLD_ENOUGH + HOUR_MS, OLD_ENOUGH + HOUR_MS)
    made.sight("m", OLD_ENOUGH, OLD_ENOUGH + HOUR_MS)
    made.first_uses("m", OLD_ENOUGH + HOUR_MS, 20, {f"net-{i}" for i in range(5)})
    assert made.get("m") == Release("m", OLD_ENOUGH, inferred=True)


def test_an_inferred_release_is_not_moved_by_later_uses():
    made = calendar()
    before = sight(made, "m", OLD_ENOUGH)
    made.first_uses("m", OLD_ENOUGH + HOUR_MS, 100, {"x"})
    assert made.get("m") == before


def test_only_the_first_start_counts():
    made = calendar()
    made.begin(0)
    assert made.stream_start == START


def test_a_few_old_records_teach_nothing():
    """Otherwise every model of today would be new to a stream that began with them, a year ago."""
    made = calendar()
    today = START + 365 * DAY_MS
    made.begin(today)
    assert made.stream_start == today
    assert sight(made, "m", today) is None
    assert sight(made, "m-2", today + 72 * HOUR_MS).inferred


def test_a_stream_goes_on_after_a_short_gap_and_after_a_restart():
    made = ReleaseCalendar.restored(calendar().snapshot())
    made.begin(START + 71 * HOUR_MS)
    made.begin(START + 100 * HOUR_MS)
    assert made.stream_start == START
    made.begin(START + 172 * HOUR_MS)
    assert made.stream_start == START + 172 * HOUR_MS


def test_a_release_is_watched_from_its_bucket_until_the_watch_is_over():
    made = calendar()
    at = START + 30 * 60_000  # within the first bucket
    made.enter("m", at)
    watch = 14 * DAY_MS

    def watched(start):
        return bool(made.watched(start, start + HOUR_MS, watch))

    assert not watched(START - HOUR_MS)
    assert watched(START)
    assert watched(START + watch)  # the last half hour of the watch
    assert not watched(START + watch + HOUR_MS)


def test_releases_are_sorted_by_name():
    made = calendar()
    for model in ("b", "c", "a"):
        made.enter(model, START)
    sight(made, "aa", OLD_ENOUGH)
    at = OLD_ENOUGH + HOUR_MS
    assert [r.model for r in made.watched(at, at + HOUR_MS, 14 * DAY_MS)] == ["a", "aa", "b", "c"]


def test_a_restored_calendar_continues_exactly():
    made = calendar()
    made.enter("a", START)
    made.sight("m", OLD_ENOUGH, OLD_ENOUGH + HOUR_MS)
    made.first_uses("m", OLD_ENOUGH, 12, {"z", "y", "x"})
    sight(made, "n", OLD_ENOUGH)
    again = ReleaseCalendar.restored(json.loads(json.dumps(made.snapshot())))
    assert again.snapshot() == made.snapshot()
    for each in (made, again):
        each.first_uses("m", OLD_ENOUGH + HOUR_MS, 8, {"w", "v", "x"})
    assert made.get("m") == again.get("m") == Release("m", OLD_ENOUGH, inferred=True)
    assert again.sighted("n")
    assert not again.sighted("unknown")
