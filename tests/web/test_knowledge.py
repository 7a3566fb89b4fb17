"""What the page knows, and that whoever follows gets everything once."""

from __future__ import annotations

import asyncio

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch.config.config import load
from pivotwatch.web import event_cursor
from pivotwatch.web import read_model as boards
from pivotwatch.web.read_model import Board
from pivotwatch.web.runbook import RENDERED, SOURCE, render
from pivotwatch.web.server_sent_events import RESET, Journal
from pivotwatch.web.view_models import Views
from pivotwatch_models.incidents.incident import SEVERITIES
from tests.reporting.examples import alert, status

NOW = 1_770_300_000_000
HOUR = 3_600_000
GROUP = {"kind": "network", "id": "AS64500"}


def taken(*alerts):
    board = Board()
    for one in alerts:
        board.take_alert(one.value)
    return board


def judged(board, hour, **more):
    return board.take_status(status(hour, **({"watermark": NOW} | more)).value, NOW)


def decision(**fields):
    return orjson.dumps({"verdict": "benign", "by": "kim", "at": "2026-02-06T10:00:00Z"} | fields)


# Alerts.


def test_a_repeat_and_an_older_revision_say_nothing():
    board = Board()
    assert board.take_alert(alert(1, revision=2).value)["opened"]
    assert board.take_alert(alert(1, revision=2).value) is None
    assert board.take_alert(alert(1, revision=1).value) is None
    later = board.take_alert(alert(1, revision=3, state="resolved", transition="quiet").value)
    assert (later["state"], later["opened"]) == ("resolved", False)
    assert board.take_alert(alert(1, revision=4, state="open", transition="reopened").value)["opened"]
    (incident,) = board.shown()
    assert [one.transition for one in incident.told] == ["members-doubled", "quiet", "reopened"]


def test_the_gravest_come_first_then_the_newest():
    made = [alert(n, severity=s) for n, s in enumerate(SEVERITIES)]
    late = alert(9, severity="high", onset="2026-02-05T21:00:00Z")
    board = taken(*made, late)
    shown = [one.data["severity"] for one in board.shown()]
    assert shown == ["critical", "high", "high", "medium", "low", "info"]
    assert board.shown()[1].alert_id == f"{9:016x}"


def test_what_was_folded_into_another_does_not_stand_for_itself():
    board = taken(alert(1), alert(2, merged_into=GROUP))
    assert [one.alert_id for one in board.shown()] == [f"{1:016x}"]
    assert f"{2:016x}" in board.incidents


LEAVES = st.none() | st.integers(-9, 9) | st.text(max_size=5)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner))


@given(st.binary(max_size=60) | JSON.map(orjson.dumps))
def test_noise_is_counted_and_changes_nothing(value):
    board = Board()
    assert board.take_alert(value) is None
    assert board.take_status(value, 0) is None
    assert board.unreadable == 2
    assert not board.incidents
    assert not board.buckets


@settings(max_examples=25)
@given(st.sampled_from(sorted(orjson.loads(status(3, watermark=1).value))), JSON)
def test_a_status_with_a_field_of_another_form_is_shown_or_left_out(name, value):
    board = Board()
    judged(board, 3, **{name: value})
    assert Views(load(), board, lambda: NOW).now()["tiles"]


@settings(max_examples=25)
@given(st.sampled_from(sorted(orjson.loads(alert().value)["data"])), JSON)
def test_an_alert_with_a_field_of_another_form_is_shown_or_left_out(name, value):
    changed = orjson.loads(alert(1).value)
    changed["data"][name] = value
    board = taken(alert(2))
    board.take_alert(orjson.dumps(changed))
    views = Views(load(), board, lambda: NOW)
    assert len(views.now()["cards"]) >= 1
    assert views.table("all", "all", 0)["rows"]
    for incident in board.shown():
        views.incident(incident)


def test_an_alert_with_evidence_of_another_form_is_shown_without_it():
    board = taken(alert(1, evidence={"population_share": -1}))
    assert board.unreadable == 1
    (card,) = Views(load(), board, lambda: NOW).now()["cards"]
    assert card.data.members_total == 412
    assert card.chart is None


def test_it_keeps_within_bounds_what_is_open_the_longest_and_groups_before_single_accounts(monkeypatch):
    monkeypatch.setattr(boards, "MOST_INCIDENTS", 3)
    lone = {"entity": {"kind": "account", "id": "a"}, "severity": "info"}
    board = taken(alert(1), alert(2, state="resolved"), alert(3, **lone), alert(4))
    assert [int(i, 16) for i in board.incidents] == [1, 3, 4]
    for number in (5, 6):
        board.take_alert(alert(number, **lone).value)
    assert [int(i, 16) for i in board.incidents] == [1, 4, 6]
    board.take_alert(alert(7).value)
    board.take_alert(alert(8).value)
    assert [int(i, 16) for i in board.incidents] == [4, 7, 8]


# Decisions.


def test_decisions_are_found_by_the_incident_and_by_its_groups():
    board = taken(alert(1))
    (incident,) = board.shown()
    assert board.about(incident) == []
    board.take_decision(0, b"k", decision(alert_id=incident.alert_id), {})
    board.take_decision(1, b"k", decision(entity=GROUP, verdict="verified", by="lee"), {})
    board.take_decision(2, b"k", decision(entity={"kind": "network", "id": "AS1"}), {})
    found = [(one.verdict, one.by) for one in board.about(incident)]
    assert found == [("verified", "lee"), ("benign", "kim")]
    headers = {"pivotwatch.by": b"mia", "pivotwatch.at": b"2026-02-06T12:00:00Z"}
    board.take_decision(3, b"network:AS64500", None, headers)
    assert (board.about(incident)[0].verdict, board.about(incident)[0].by) == (None, "mia")
    assert board.take_decision(4, b"k", b"[]", {}) is None


# Status.


def test_buckets_that_are_judged_again_replace_what_was_there():
    board = Board()
    for hour in (3, 4, 5, 6, 4, 5):
        judged(board, hour, requests=100 * hour)
    assert [bucket.fields["requests"] for bucket in board.buckets] == [300, 400, 500]
    (course,) = board.courses.values()
    assert [point.first_uses for point in course.points] == [3, 4, 5]


def test_a_release_that_is_watched_no_more_is_dropped():
    board = Board()
    judged(board, 3)
    judged(board, 4, releases=[])
    assert board.courses == {}


def test_rates_are_shares_of_all_that_came_and_tell_when_to_look():
    board = Board()
    judged(board, 3, requests=0, late=0)
    judged(board, 4, requests=900, late=50, invalid=50)
    views = Views(load(), board, lambda: NOW)
    tiles = {tile.label: tile for tile in views.tiles([])}
    assert (tiles["Late"].value, tiles["Late"].tone) == ("5.00 %", "warn")
    assert (tiles["Dead letters"].value, tiles["Dead letters"].tone) == ("5.00 %", "warn")


def test_silence_of_the_workers_is_told():
    board = Board()
    judged(board, 3)
    assert all(check.good for check in Views(load(), board, lambda: NOW + HOUR).checks())
    assert not any(check.good for check in Views(load(), board, lambda: NOW + 3 * HOUR).checks())
    assert Views(load(), Board(), lambda: NOW).checks() == []


# Those who follow.


@given(
    st.lists(st.sampled_from([("alerts", 0), ("alerts", 1), ("status", 0)]), max_size=40),
    st.integers(0, 40),
)
def test_at_whatever_place_one_comes_back_nothing_is_missing_or_twice(places, cut):
    journal, offsets, entries = Journal(), {}, []
    for place in places:
        offsets[place] = offsets.get(place, -1) + 1
        journal.add(place, offsets[place], "alert", "{}")
        entries.append((place, offsets[place]))
    had = {}
    for place, offset in entries[:cut]:
        had[place] = offset
    again = event_cursor.read(event_cursor.write(had))
    assert [(e.place, e.offset) for e in journal.behind(again)] == entries[cut:]


def test_who_asks_for_what_is_gone_or_never_was_is_told_to_begin_anew():
    journal = Journal(kept=2)
    for offset in range(4):
        journal.add(("alerts", 0), offset, "alert", "{}")
    assert journal.behind({("alerts", 0): 0}) == [RESET]
    assert [entry.offset for entry in journal.behind({("alerts", 0): 1})] == [2, 3]
    assert journal.behind({("alerts", 0): 7}) == [RESET]
    assert journal.behind({}) == [RESET]


def test_following_ends_when_the_journal_closes_and_goes_on_after_a_reset():
    async def inside():
        journal, got = Journal(kept=1), []

        async def follow():
            async for entry, after in journal.follow({("alerts", 0): 99}):
                got.append((entry.name, dict(after)))

        journal.add(("alerts", 0), 0, "alert", "{}")
        task = asyncio.ensure_future(follow())
        while not got:
            await asyncio.sleep(0)
        journal.add(("alerts", 0), 1, "alert", "{}")
        while len(got) < 2:
            await asyncio.sleep(0)
        journal.close()
        await task
        assert got == [("reset", {("alerts", 0): 0}), ("alert", {("alerts", 0): 1})]

    asyncio.run(inside())


# The runbook.


def test_the_rendered_runbook_is_of_the_newest_text():
    assert RENDERED.read_text() == render(SOURCE.read_text()), "run: python -m pivotwatch.web.runbook"


def test_every_transition_has_its_place_in_the_runbook():
    told = ("opened", "reopened", "evidence-grew", "members-doubled", "merged", "severity-rose", "quiet")
    for transition in (*told, "watch-ended", "confirmed", "benign", "verified"):
        assert f'<h2 id="{transition}">' in RENDERED.read_text()
