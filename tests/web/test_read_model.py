"""The read model of the page, and its events for clients that follow."""

from __future__ import annotations

import asyncio

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch.config.config import load
from pivotwatch.web import event_cursor
from pivotwatch.web import read_model as boards
from pivotwatch.web.pipeline_checks import checks
from pivotwatch.web.read_model import ReadModel
from pivotwatch.web.runbook import RENDERED, SOURCE, render
from pivotwatch.web.server_sent_events import BATCH, RESET, EventStream
from pivotwatch.web.view_models import ViewModels
from pivotwatch_models.incidents.terms import SEVERITIES
from tests.reporting.examples import alert, status

NOW = 1_770_300_000_000
HOUR = 3_600_000
GROUP = {"kind": "network", "id": "AS64500"}


def taken(*alerts):
    read_model = ReadModel()
    for one in alerts:
        read_model.take_alert(one.value)
    return read_model


def judged(read_model, hour, **more):
    return read_model.take_status(status(hour, **({"watermark": NOW} | more)).value, NOW)


def decision(**fields):
    return orjson.dumps({"verdict": "benign", "by": "kim", "at": "2026-02-06T10:00:00Z"} | fields)


# Alerts.


def test_repeats_and_older_revisions_are_ignored():
    read_model = ReadModel()
    assert read_model.take_alert(alert(1, revision=2).value)["opened"]
    assert read_model.take_alert(alert(1, revision=2).value) is None
    assert read_model.take_alert(alert(1, revision=1).value) is None
    later = read_model.take_alert(alert(1, revision=3, state="resolved", transition="quiet").value)
    assert (later["state"], later["opened"]) == ("resolved", False)
    assert read_model.take_alert(alert(1, revision=4, state="open", transition="reopened").value)["opened"]
    (incident,) = read_model.shown()
    assert [one.transition for one in incident.revisions] == ["members-doubled", "quiet", "reopened"]


def test_incidents_are_sorted_by_severity_then_time():
    made = [alert(n, severity=s) for n, s in enumerate(SEVERITIES)]
    late = alert(9, severity="high", onset="2026-02-05T21:00:00Z")
    read_model = taken(*made, late)
    shown = [one.data.severity for one in read_model.shown()]
    assert shown == ["critical", "high", "high", "medium", "low", "info"]
    assert read_model.shown()[1].alert_id == f"{9:016x}"


def test_merged_incidents_are_not_listed():
    read_model = taken(alert(1), alert(2, merged_into=GROUP))
    assert [one.alert_id for one in read_model.shown()] == [f"{1:016x}"]
    assert f"{2:016x}" in read_model.incidents


LEAVES = st.none() | st.integers(-9, 9) | st.text(max_size=5)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner))


@given(st.binary(max_size=60) | JSON.map(orjson.dumps))
def test_unreadable_records_are_counted_and_change_nothing(value):
    read_model = ReadModel()
    assert read_model.take_alert(value) is None
    assert read_model.take_status(value, 0) is None
    assert read_model.unreadable == 2
    assert not read_model.incidents
    assert not read_model.buckets


@settings(max_examples=25)
@given(st.sampled_from(sorted(orjson.loads(status(3, watermark=1).value))), JSON)
def test_a_malformed_status_is_shown_or_ignored(name, value):
    read_model = ReadModel()
    judged(read_model, 3, **{name: value})
    assert ViewModels(load(), read_model, lambda: NOW).now()["tiles"]


@settings(max_examples=25)
@given(st.sampled_from(sorted(orjson.loads(alert().value)["data"])), JSON)
def test_a_malformed_alert_is_shown_or_ignored(name, value):
    changed = orjson.loads(alert(1).value)
    changed["data"][name] = value
    read_model = taken(alert(2))
    read_model.take_alert(orjson.dumps(changed))
    views = ViewModels(load(), read_model, lambda: NOW)
    assert len(views.now()["cards"]) >= 1
    assert views.table("all", "all", 0)["rows"]
    for incident in read_model.shown():
        views.incident(incident)


def test_an_alert_with_malformed_evidence_is_shown_without_it():
    read_model = taken(alert(1, evidence={"population_share": -1}))
    assert read_model.unreadable == 1
    (card,) = ViewModels(load(), read_model, lambda: NOW).now()["cards"]
    assert card.data.members_total == 412
    assert card.chart is None


def test_it_is_bounded_and_keeps_open_incidents_of_groups_longest(monkeypatch):
    monkeypatch.setattr(boards, "MOST_INCIDENTS", 3)
    lone = {"entity": {"kind": "account", "id": "a"}, "severity": "info"}
    read_model = taken(alert(1), alert(2, state="resolved"), alert(3, **lone), alert(4))
    assert [int(i, 16) for i in read_model.incidents] == [1, 3, 4]
    for number in (5, 6):
        read_model.take_alert(alert(number, **lone).value)
    assert [int(i, 16) for i in read_model.incidents] == [1, 4, 6]
    read_model.take_alert(alert(7).value)
    read_model.take_alert(alert(8).value)
    assert [int(i, 16) for i in read_model.incidents] == [4, 7, 8]


# Decisions.


def test_decisions_are_found_by_the_incident_and_by_its_groups():
    read_model = taken(alert(1))
    (incident,) = read_model.shown()
    assert read_model.about(incident) == []
    read_model.take_decision(0, b"k", decision(alert_id=incident.alert_id))
    read_model.take_decision(1, b"k", decision(entity=GROUP, verdict="verified", by="lee"))
    read_model.take_decision(2, b"k", decision(entity={"kind": "network", "id": "AS1"}))
    found = [(one.verdict, one.by) for one in read_model.about(incident)]
    assert found == [("verified", "lee"), ("benign", "kim")]
    headers = {"pivotwatch.by": b"mia", "pivotwatch.at": b"2026-02-06T12:00:00Z"}.items()
    read_model.take_decision(3, b"network:AS64500", None, headers)
    assert (read_model.about(incident)[0].verdict, read_model.about(incident)[0].by) == (None, "mia")
    assert read_model.take_decision(4, b"k", b"[]") is None


def test_the_history_says_what_ended_each_decision():
    read_model = taken(alert(1))
    (incident,) = read_model.shown()
    read_model.take_decision(0, b"k", decision(entity=GROUP, verdict="verified", by="lee"))
    read_model.take_decision(1, b"k", decision(alert_id=incident.alert_id))
    read_model.take_decision(2, b"k", decision(entity={"kind": "network", "id": "AS1"}))
    read_model.take_decision(3, b"network:AS64500", None, {"pivotwatch.by": b"mia"}.items())
    read_model.take_decision(4, b"k", decision(entity=GROUP, verdict="confirmed", by="lee"))
    found = [
        (one.verdict, one.by, ended_by and ended_by.by) for one, ended_by in read_model.history(incident)
    ]
    assert found == [
        ("confirmed", "lee", None),
        (None, "mia", "lee"),
        ("benign", "kim", None),
        ("verified", "lee", "mia"),
    ]
    assert [one.decision.offset for one in read_model.history()] == [4, 3, 2, 1, 0]


# Status.


def test_buckets_that_are_scored_again_replace_the_earlier_ones():
    read_model = ReadModel()
    for hour in (3, 4, 5, 6, 4, 5):
        judged(read_model, hour, requests=100 * hour)
    assert [bucket.status.requests for bucket in read_model.buckets] == [300, 400, 500]
    (course,) = read_model.adoptions.values()
    assert [point.first_uses for point in course.points] == [3, 4, 5]


def test_a_release_that_is_watched_no_more_is_dropped():
    read_model = ReadModel()
    judged(read_model, 3)
    judged(read_model, 4, releases=[])
    assert read_model.adoptions == {}


def test_rates_are_shares_of_all_events_and_mark_problems():
    read_model = ReadModel()
    judged(read_model, 3, requests=0, late=0)
    judged(read_model, 4, requests=900, late=50, invalid=50)
    views = ViewModels(load(), read_model, lambda: NOW)
    tiles = {tile.label: tile for tile in views.tiles([])}
    assert (tiles["Late events"].value, tiles["Late events"].tone) == ("5 %", "warn")
    assert (tiles["Dead letters"].value, tiles["Dead letters"].tone) == ("5 %", "warn")


def test_silence_of_the_workers_is_shown():
    read_model = ReadModel()
    judged(read_model, 3)
    assert all(check.good for check in checks(load(), read_model, NOW + HOUR))
    assert not any(check.good for check in checks(load(), read_model, NOW + 3 * HOUR))
    assert not list(checks(load(), ReadModel(), NOW))


# Clients that follow.


@given(
    st.lists(st.sampled_from([("alerts", 0), ("alerts", 1), ("status", 0)]), max_size=40),
    st.integers(0, 40),
)
def test_after_a_reconnect_at_any_event_nothing_is_missing_or_repeated(places, cut):
    event_stream, offsets, entries = EventStream(), {}, []
    for place in places:
        offsets[place] = offsets.get(place, -1) + 1
        event_stream.add(place, offsets[place], "alert", "{}")
        entries.append((place, offsets[place]))
    had = {}
    for place, offset in entries[:cut]:
        had[place] = offset
    again = event_cursor.read(event_cursor.write(had))
    assert [(e.place, e.offset) for e in event_stream.behind(again)] == entries[cut:]


def test_an_unknown_cursor_causes_a_reset():
    event_stream = EventStream(kept=2)
    for offset in range(4):
        event_stream.add(("alerts", 0), offset, "alert", "{}")
    assert event_stream.behind({("alerts", 0): 0}) == [RESET]
    assert [entry.offset for entry in event_stream.behind({("alerts", 0): 1})] == [2, 3]
    assert event_stream.behind({("alerts", 0): 7}) == [RESET]
    assert event_stream.behind({}) == [RESET]


def test_a_slow_client_holds_a_batch_and_what_is_gone_meanwhile_begins_anew():
    async def inside():
        event_stream, got = EventStream(kept=2 * BATCH), []
        for offset in range(2 * BATCH):
            event_stream.add(("alerts", 0), offset, "alert", "{}")
        following = event_stream.follow({})
        for _ in range(BATCH):
            got.append((await anext(following))[0].offset)
        for offset in range(2 * BATCH, 5 * BATCH):
            event_stream.add(("alerts", 0), offset, "alert", "{}")
        assert got == list(range(BATCH))
        assert (await anext(following))[0] is RESET
        event_stream.add(("alerts", 0), 5 * BATCH, "alert", "{}")
        assert (await anext(following))[0].offset == 5 * BATCH

    asyncio.run(inside())


def test_following_ends_when_the_journal_closes_and_goes_on_after_a_reset():
    async def inside():
        event_stream, got = EventStream(kept=1), []

        async def follow():
            async for entry, after in event_stream.follow({("alerts", 0): 99}):
                got.append((entry.name, dict(after)))

        event_stream.add(("alerts", 0), 0, "alert", "{}")
        task = asyncio.ensure_future(follow())
        while not got:
            await asyncio.sleep(0)
        event_stream.add(("alerts", 0), 1, "alert", "{}")
        while len(got) < 2:
            await asyncio.sleep(0)
        event_stream.close()
        await task
        assert got == [("reset", {("alerts", 0): 0}), ("alert", {("alerts", 0): 1})]

    asyncio.run(inside())


# The runbook.


def test_the_rendered_runbook_is_current():
    assert RENDERED.read_text() == render(SOURCE.read_text()), "run: python -m pivotwatch.web.runbook"


def test_every_transition_has_an_anchor_in_the_runbook():
    told = ("opened", "reopened", "evidence-grew", "members-doubled", "merged", "severity-rose", "quiet")
    for transition in (*told, "watch-ended", "confirmed", "benign", "verified"):
        assert f'<h2 id="{transition}">' in RENDERED.read_text()
