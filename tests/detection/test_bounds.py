"""Whoever sends requests may make up links. So groups are bounded, and what is left out is counted."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pytest

from pivotwatch.contracts.records import Line
from pivotwatch.detection.counting import choice_bound, event_buffer, link_bound, network_bound
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch_models.groups import watched_groups
from pivotwatch_models.method import STATE
from pivotwatch_models.population.always_active import POPULATION
from pivotwatch_models.settings import HOUR_MS
from tests.detection.stream import (
    MODEL,
    SETTINGS,
    START,
    accounts_step,
    alerts,
    bodies,
    event,
    launch,
    line,
    networks_step,
    records,
)

BOUNDS = STATE.group_bounds


def linked(account: str, hour: int, number: int) -> dict[str, Any]:
    ts = START + hour * HOUR_MS + number
    links = {"device": f"{account}-{hour}-{number}", "payment": "shared"}
    return event(account, ts, id=f"{account}-{hour}-{number}", links=links)


def inventive(hour: int, events: int) -> list[dict[str, Any]]:
    """One account with a new link in every request, and others that share its payment."""
    others = [linked(f"o-{i}", hour, i) for i in range(5)]
    return sorted(others + [linked("a", hour, i) for i in range(events)], key=lambda e: e["ts"])


def test_an_account_is_counted_in_the_groups_of_most_accounts() -> None:
    step = accounts_step()
    (_, body), *_ = bodies(step.process(records(inventive(1, 300))) + step.final()).items()
    groups = [tuple(group) for group in body["groups"]]
    assert {("network", "AS1"), ("payment", "shared")} <= set(groups)
    assert sum(name.startswith("a-") for _, name in groups) == BOUNDS.per_bucket - 2
    assert body["dropped_links"] == 302 - BOUNDS.per_bucket == step.counters()["dropped_links"]
    assert max(map(len, body["sets"])) == BOUNDS.per_bucket
    shared = groups.index(("payment", "shared"))
    assert body["traffic"][shared][0] == 305
    scoring = networks_step()
    scoring.process([Line(output.value, i) for i, output in enumerate(step_records(inventive(1, 300)))])
    assert scoring.state.alignment.next is not None


def step_records(events: list[dict[str, Any]]) -> list[Any]:
    step = accounts_step()
    return [one for one in step.process(records(events)) + step.final() if one.topic == "buckets"]


def test_an_account_leaves_the_groups_of_longest_ago() -> None:
    step, out = accounts_step(), []
    for hour in range(1, 9):
        out += step.process(records(inventive(hour, 60)))
    out += step.final()
    row = step.accounts.rows["a"]
    assert len(step.accounts.elsewhere[row]) <= BOUNDS.per_account
    found = bodies(out)
    left = [tuple(each) for body in found.values() for each in body.get("left", [])]
    kept = [step.accounts.groups[group][1] for group in step.accounts.elsewhere[row]]
    assert max(hour_of(name) for _, name, _ in left) <= min(map(hour_of, kept))
    joined = sum(n for body in found.values() for *_, n in body.get("joined", []))
    members = sum(len(step.accounts.elsewhere.get(row, {})) for row in step.accounts.rows.values())
    members += sum(
        len(step.accounts.sets[home]) for home in step.accounts.columns["home"][: len(step.accounts.names)]
    )
    assert joined - sum(n for *_, n in left) == members


def hour_of(name: str) -> int:
    return int(name.split("-")[1])


def test_bounds_are_the_same_after_restarts() -> None:
    hours = [records(inventive(hour, 200)) for hour in range(1, 9)]
    whole = accounts_step()
    expected = [output for hour in hours for output in whole.process(hour)] + whole.final()
    step, out, shards = accounts_step(), [], {}
    for hour in hours:
        out += step.process(hour)
        shards |= step.snapshot(full=not shards)
        meta, step = step.meta(), accounts_step()
        step.restore(meta, {number: content for number, content in shards.items() if content})
        shards = step.snapshot(full=True)
    assert out + step.final() == expected


def test_late_events_of_very_many_groups_are_counted_together() -> None:
    step = accounts_step()
    step.process(records(inventive(5, 5) + inventive(9, 5)))
    for number in range(0, BOUNDS.late + 2_000, 1_000):
        step.process([line(*(linked("late", 1, i) for i in range(number, number + 1_000)), offset=number)])
    assert len(step.buckets.counters.late_groups) == BOUNDS.late
    assert step.buckets.counters.late >= BOUNDS.late + 2_000


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = dataclasses.replace(STATE.watch_bounds, quiet=6, most=8)
    monkeypatch.setattr(watched_groups, "_BOUNDS", bounds)


@pytest.mark.usefixtures("few")
def test_a_watch_forgets_quiet_groups_first_and_never_those_of_an_incident() -> None:
    events, releases = launch()
    pipeline = DetectionPipeline(SETTINGS, releases=releases)
    found = alerts(pipeline.run(map(orjson.dumps, events)))
    assert {alert["data"]["entity"]["id"] for alert in found if alert["data"]["state"] == "open"} >= {"AS8"}


@pytest.mark.usefixtures("few")
def test_what_a_watch_forgets_is_reported_and_bounded() -> None:
    step, out = CountingOperator(SETTINGS, 0, 1), []
    made = [
        event(f"{g}-{k}", START + h * HOUR_MS + k, "m-1" if h < 4 else MODEL, f"AS{g}", id=f"{h}-{g}-{k}")
        for h in range(9)
        for g in range(20)
        for k in range(9)
    ]
    out = step.process(records(sorted(made, key=lambda e: e["ts"]))) + step.final()
    scoring = networks_step()
    release = {"model": MODEL, "released_at": START + 3 * HOUR_MS}
    scoring.control("releases", Line(orjson.dumps(release), 0, 0, MODEL.encode()))
    sent = scoring.process([Line(o.value, i) for i, o in enumerate(out) if o.topic == "buckets"])
    statuses = [orjson.loads(one.value) for one in sent if one.topic == "status"]
    assert sum(status["forgotten_groups"] for status in statuses) > 0
    (watched,) = scoring.state.watches.values()
    own = [g for g in watched.watch.groups if g[0] != POPULATION]
    kept = watched.incidents.groups()
    assert len([g for g in own if g not in kept]) <= 8
    again = networks_step()
    again.restore(scoring.meta(), scoring.snapshot(full=True))
    assert again.snapshot(full=True) == scoring.snapshot(full=True)


def unique_links(hours: int, per_hour: int) -> list[dict[str, Any]]:
    """Accounts with a new link in every request, all with one of two payments, and one that never changes."""
    return [
        event(
            f"a-{i % 40}",
            START + hour * HOUR_MS + i * 100,
            id=f"{hour}-{i}",
            links={"device": f"d-{hour}-{i}", "payment": f"pay-{i % 2}"},
        )
        for hour in range(hours)
        for i in range(per_hour)
    ]


@pytest.mark.parametrize("cut", [7, 400, 5_000])
def test_links_of_open_buckets_are_bounded_and_the_same_after_restarts(
    cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (event_buffer, link_bound):
        monkeypatch.setattr(module, "_OPEN_SIZE", 20_000)
    monkeypatch.setattr(event_buffer, "CAPACITY", 128)
    made = unique_links(3, 2_000)
    lines = [line(*made[i : i + 3], offset=i) for i in range(0, len(made), 3)]
    whole = accounts_step()
    expected = whole.process(lines) + whole.final()
    step, out, shards = accounts_step(), [], {}
    for at in range(0, len(lines), cut):
        out += step.process(lines[at : at + cut])
        if at // cut % 5 == 4 or cut > 100:
            shards = {**shards, **step.snapshot(full=not shards)}
            meta, step = step.meta(), accounts_step()
            step.restore(meta, {number: content for number, content in shards.items() if content})
            shards = {}
    assert out + step.final() == expected
    body = bodies(expected)[START // HOUR_MS + 1]
    groups = [tuple(group) for group in body["groups"]]
    assert body["dropped_links"] > 1_000
    assert {("payment", "pay-0"), ("payment", "pay-1")} <= set(groups)
    assert len(groups) < 400
    assert body["traffic"][groups.index(("payment", "pay-0"))][0] == 1_000
    assert whole.dictionary.link_size < 20_000 + 128 * 300


@pytest.mark.parametrize("cut", [400, 5_000])
def test_invented_networks_of_open_buckets_are_bounded(cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (event_buffer, network_bound):
        monkeypatch.setattr(module, "_OPEN_SIZE", 20_000)
    monkeypatch.setattr(event_buffer, "CAPACITY", 128)
    made = [
        event(f"a-{n % 500}", START + HOUR_MS + n, id=str(n), network=f"made-up-{n}" if n % 2 else "AS1")
        for n in range(4_000)
    ]
    lines = [line(*made[i : i + 4], offset=i) for i in range(0, len(made), 4)]
    whole = accounts_step()
    before = whole.process(lines)
    assert len(whole.dictionary.network_names) < 400
    expected = before + whole.final()
    step, out = accounts_step(), []
    for at in range(0, len(lines), cut):
        out += step.process(lines[at : at + cut])
        meta, shards, step = step.meta(), step.snapshot(full=True), accounts_step()
        step.restore(meta, {number: content for number, content in shards.items() if content})
    assert out + step.final() == expected
    body = bodies(expected)[START // HOUR_MS + 1]
    groups = [tuple(group) for group in body["groups"]]
    assert body["dropped_links"] > 1_500
    assert body["requests"] == 4_000
    assert body["traffic"][groups.index(("network", "AS1"))][0] == 2_000
    assert len(groups) < 400


@pytest.mark.parametrize("cut", [400, 5_000])
@pytest.mark.parametrize("kind", ["model", "requested"])
def test_invented_models_of_open_buckets_are_bounded(
    kind: str, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (event_buffer, choice_bound):
        monkeypatch.setattr(module, "_OPEN_SIZE", 20_000)
    monkeypatch.setattr(event_buffer, "CAPACITY", 128)
    made = []
    for n in range(4_000):
        model = f"made-up-{n}" if kind == "model" and n % 2 else "m-1"
        one = event(f"a-{n % 500}", START + HOUR_MS + n, model, id=str(n))
        if kind == "requested" and n % 2:
            one["requested_model"] = f"made-up-{n}"
        made.append(one)
    lines = [line(*made[i : i + 4], offset=i) for i in range(0, len(made), 4)]
    whole = accounts_step()
    before = whole.process(lines)
    assert len(whole.dictionary.choice_names) < 400
    expected = before + whole.final()
    step, out = accounts_step(), []
    for at in range(0, len(lines), cut):
        out += step.process(lines[at : at + cut])
        meta, shards, step = step.meta(), step.snapshot(full=True), accounts_step()
        step.restore(meta, {number: content for number, content in shards.items() if content})
    assert out + step.final() == expected
    body = bodies(expected)[START // HOUR_MS + 1]
    assert body["dropped_links"] > 1_500
    assert body["requests"] == 4_000
    assert step.candidates.tracker.names["m-1"].requests == (2_000 if kind == "model" else 4_000)
    assert "" not in step.candidates.tracker.names


def test_links_as_they_stand_in_messages_are_forgotten_when_they_are_long() -> None:
    step = accounts_step()
    for number in range(40):
        raw = b'{"payment":%s"p"}' % (b" " * (1_000 * number))
        made = orjson.dumps(event(id=str(number)) | {"links": orjson.Fragment(raw)})
        step.process([Line(made, number)])
    assert sum(map(len, step.dictionary.links)) <= 17 * 16_384
    assert step.counters()["events"] == 40
