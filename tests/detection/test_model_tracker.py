"""Model names that a partition keeps: they are bounded, and real releases win over invented names."""

from __future__ import annotations

import itertools

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pivotwatch.detection.counting.model_tracker
import pivotwatch_models.release_calendar
from pivotwatch.detection.counting.model_tracker import OVER, WAITING, ModelTracker
from pivotwatch_models.release_calendar import ReleaseCalendar
from pivotwatch_models.settings import DAY_MS, HOUR_MS
from tests.detection.stream import START, Store, accounts_step, bodies, event, records

HOUR = START // HOUR_MS
KEEP = 90 * 24
names = st.sampled_from([f"m-{i}" for i in range(9)])
buckets = st.lists(
    st.tuples(st.integers(1, 8), st.dictionaries(names, st.tuples(st.integers(1, 9), st.integers(0, 4)))),
    max_size=25,
)


def fed(known, steps):
    now = 0
    for gap, use in steps:
        now += gap
        known.expire(now)
        known.take(now, use)
        yield now


@settings(max_examples=200)
@given(buckets)
def test_known_and_followed_names_are_bounded_and_dropped_names_are_counted(steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pivotwatch.detection.counting.model_tracker, "MAX_FOLLOWED", 2)
        patch.setattr(pivotwatch.detection.counting.model_tracker, "MAX_KNOWN", 4)
        known, seen = ModelTracker(keep=20), {}
        for now, (_, use) in zip(fed(known, steps), steps, strict=True):
            seen |= dict.fromkeys(use, now)
            assert len(known.followed()) <= 2
            assert len(known.names) <= 4
            for name, one in known.names.items():
                assert one.last == seen[name] >= now - 20
                assert one.place == OVER or one.first > now - 20
            if known.forgotten == 0:
                assert known.names.keys() == {name for name, last in seen.items() if last >= now - 20}


@settings(max_examples=100)
@given(buckets, st.integers(0, 25))
def test_a_restart_does_not_change_results(steps, cut):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pivotwatch.detection.counting.model_tracker, "MAX_FOLLOWED", 2)
        patch.setattr(pivotwatch.detection.counting.model_tracker, "MAX_KNOWN", 4)
        straight, again = ModelTracker(keep=20), ModelTracker(keep=20)
        for i, _ in enumerate(zip(fed(straight, steps), fed(again, steps), strict=True)):
            if i == cut:
                again.restore(orjson.loads(orjson.dumps(again.snapshot())))
                again.names = dict(reversed(again.names.items()))
            assert again.snapshot() == straight.snapshot()
            assert (again.dropped, again.forgotten) == (straight.dropped, straight.forgotten)


def test_a_name_is_new_again_only_after_90_days():
    known = ModelTracker(keep=90)
    known.take(0, {"m": (1, 1000)})
    known.expire(90)
    known.take(90, {"m": (1, 1000)})
    assert known.names["m"].first == 0
    known.expire(181)
    known.take(181, {"m": (1, 1000)})
    assert known.names["m"].first == 181


def test_a_dropped_model_is_not_followed_again_and_a_waiting_one_is(monkeypatch):
    monkeypatch.setattr(pivotwatch.detection.counting.model_tracker, "MAX_FOLLOWED", 1)
    known = ModelTracker(keep=90)
    known.take(0, {"a": (1, 2000), "b": (1, 1000)})
    assert (known.followed(), known.names["b"].place, known.dropped) == (["a"], WAITING, 1)
    known.take(1, {"b": (9, 3000)})
    assert (known.followed(), known.names["b"].since, known.dropped) == (["b"], 1, 2)
    known.take(2, {"a": (9, 9000)})
    assert known.followed() == ["b"]


# The step


def flood(bucket, accounts=3, junk=40):
    """Some accounts constantly invent model names."""
    return [
        event(
            f"junk-{i % accounts}",
            START + bucket * HOUR_MS + i,
            model=f"made-up-{bucket}-{i}",
            id=f"{bucket}-{i}",
        )
        for i in range(junk)
    ]


def release(bucket, crowd):
    return [
        event(
            f"a{i}", START + bucket * HOUR_MS + 100 + i, model="m-real", id=f"r{bucket}-{i}", network=f"AS{i}"
        )
        for i in range(crowd)
    ]


def small(monkeypatch):
    monkeypatch.setattr(pivotwatch.detection.counting.model_tracker, "MAX_FOLLOWED", 3)
    monkeypatch.setattr(pivotwatch.detection.counting.model_tracker, "MAX_KNOWN", 20)


def flooded():
    return [e for b in range(12) for e in [*flood(b), *(release(b, 2 + b) if b >= 4 else [])]]


def test_a_release_is_followed_among_names_invented_by_a_few_accounts(monkeypatch):
    small(monkeypatch)
    step = accounts_step()
    told = bodies(step.process(records(flooded())) + step.final())
    for bucket in range(4, 12):
        body = told[HOUR + bucket]
        assert body["requests"] == 40 + 2 + bucket  # events count even when their model names are dropped
        (real,) = [row for row in body["models"] if row["model"] == "m-real"]
        assert real["first"] == HOUR + 4
        first_uses = sum(first for _, _, first, *_ in real["movers"])
        assert first_uses == (6 if bucket == 4 else 1)
    assert told[HOUR + 11]["forgotten_models"] == 12 * 40 + 1 - 20 == step.counters()["forgotten_models"]
    assert told[HOUR + 11]["dropped_models"] == step.counters()["dropped_models"] > 0
    assert len(step.candidates.tracker.names) == 20


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 600), max_size=6), st.sets(st.integers(0, 6)))
def test_with_invented_names_a_restart_does_not_change_results(cuts, restored_after):
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        made = flooded()
        straight = accounts_step()
        expected = straight.process(records(made)) + straight.final()
        step, store, outputs = accounts_step(), Store(), []
        edges = [0, *sorted(cut % len(made) for cut in cuts), len(made)]
        for i, (a, b) in enumerate(itertools.pairwise(edges)):
            outputs += step.process(records(made[a:b]))
            store.take(step)
            if i in restored_after:
                step = store.into(accounts_step())
        assert outputs + step.final() == expected


def test_leftovers_of_a_forgotten_name_are_not_used_again(monkeypatch):
    """Shards of accounts that were inactive meanwhile still contain the old name."""
    monkeypatch.setattr(pivotwatch.detection.counting.model_tracker, "MAX_FOLLOWED", 1)
    monkeypatch.setattr(pivotwatch.detection.counting.model_tracker, "MAX_KNOWN", 1)
    others = [event(account, START + HOUR_MS, model="n", id=account) for account in "bc"]
    life = [event("quiet", model="m"), *others]
    between = event("d1", START + 3 * HOUR_MS + 400_000, model="m")
    again = [event(f"d{i}", START + 2 * HOUR_MS + i, model="m") for i in range(3)]
    last = [event("quiet", START + 4 * HOUR_MS, model="m"), event("d0", START + 6 * HOUR_MS, model="m")]
    step, straight, store, outputs = accounts_step(), accounts_step(), Store(), []
    for some in (life, again, [between]):
        outputs += step.process(records(some))
        store.take(step)
    step = store.into(accounts_step())
    outputs += step.process(records(last)) + step.final()
    expected = straight.process(records([*life, *again, between, *last]))
    assert outputs == expected + straight.final()
    (row,) = bodies(outputs)[HOUR + 4]["models"]
    assert [mover[0] for mover in row["movers"]] == ["quiet"]


def test_a_name_that_is_forgotten_in_the_bucket_of_its_return_is_new():
    again = HOUR + KEEP + 1
    made = [event("a", model="m"), event("a", again * HOUR_MS + 60_000, model="m", id="2")]
    step = accounts_step()
    (row,) = bodies(step.process(records(made)) + step.final())[again]["models"]
    assert row["first"] == again
    assert [account for account, *_ in row["movers"]] == ["a"]


def test_twenty_thousand_names_leave_the_manifest_small():
    step = accounts_step()
    made = [
        event(f"a{i % 50}", START + i, model=f"fine-tune-of-somebody-{i:06}", id=str(i))
        for i in range(20_000)
    ]
    step.process(records(made, 5_000))
    step.process(records([event(ts=START + 2 * HOUR_MS, id="end")]))
    assert len(step.meta()) < 2_000
    store = Store()
    store.take(step)
    assert store.into(accounts_step()).candidates.tracker.snapshot() == step.candidates.tracker.snapshot()
    assert (
        step.counters()["forgotten_models"] == 20_000 - pivotwatch.detection.counting.model_tracker.MAX_KNOWN
    )


# The calendar


def test_the_calendar_keeps_used_models_and_counts_forgotten_ones(monkeypatch):
    monkeypatch.setattr(pivotwatch_models.release_calendar, "MAX_SIGHTINGS", 3)
    calendar = ReleaseCalendar()
    calendar.begin(0)
    calendar.enter("entered", 100 * HOUR_MS)
    start = 100 * HOUR_MS
    for i, accounts in enumerate([9, 1, 1, 7, 8, 1]):
        calendar.sight(f"m-{i}", start, start)
        calendar.first_uses(f"m-{i}", start, accounts, {"a"})
    calendar.sight("entered", start, start)
    calendar.sight("real", start, start)
    calendar.first_uses("real", start, 20, set("abcdefgh"))
    calendar.forget(start, 14 * DAY_MS)
    seen = [m for m in ("entered", "real", *(f"m-{i}" for i in range(6))) if calendar.sighted(m)]
    assert (seen, calendar.forgotten) == (["entered", "real", "m-0", "m-3", "m-4"], 3)


def test_the_calendar_forgets_names_after_90_days_and_networks_after_one():
    calendar = ReleaseCalendar()
    calendar.begin(0)
    start = 100 * HOUR_MS
    for model, accounts in (("m", 1), ("real", 20)):
        calendar.sight(model, start, start)
        calendar.first_uses(model, start, accounts, set("abcde"))
    calendar.forget(start + DAY_MS, 14 * DAY_MS)
    sightings = calendar.snapshot()["sightings"]
    assert all(networks == [] for _, _, networks, _ in sightings.values())
    calendar.forget(start + 90 * DAY_MS, 14 * DAY_MS)
    assert calendar.sighted("m")
    calendar.forget(start + 90 * DAY_MS + 1, 120 * DAY_MS)
    assert not calendar.sighted("m")
    assert calendar.get("real")  # still watched
    calendar.forget(start + 120 * DAY_MS, 120 * DAY_MS)
    assert calendar.get("real") is None
    assert not calendar.sighted("real")
