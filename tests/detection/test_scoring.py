"""The scoring operator: the same alerts for any order of records and after any restart."""

from __future__ import annotations

import itertools

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch.contracts.alerts import parse_alert
from pivotwatch.contracts.records import Line
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch.engine.operator import ControlledOperator
from pivotwatch_models.settings import DAY_MS, HOUR_MS, Settings
from tests.detection.stream import (
    ANYBODY,
    MODEL,
    SETTINGS,
    START,
    Store,
    accounts_step,
    alerts,
    dead,
    event,
    launch,
    launch_buckets,
    line,
    networks_step,
    new_model,
    records,
)

BUCKETS, RELEASES = launch_buckets()
HOUR = START // HOUR_MS
CAMPAIGN = {"kind": "network", "id": "AS8"}


def told(outputs):
    return [
        (a["data"]["transition"], a["data"]["entity"]["id"], a["data"]["revision"]) for a in alerts(outputs)
    ]


UNDISTURBED = networks_step(1, RELEASES).process(BUCKETS)


def test_only_the_campaign_is_alerted():
    data = [a["data"] for a in alerts(UNDISTURBED)]
    assert [d["entity"] for d in data if d["entity"]["kind"] != "account"] == [CAMPAIGN] * len(data)
    assert data[0]["transition"] == "opened"
    assert data[-1]["severity"] == "medium"  # its other groups are the same accounts
    moved = {f"acct-{i:03}" for i in range(26)}
    assert set(data[-1]["members"]) <= moved
    assert len(data[-1]["members"]) >= 20


def test_every_alert_follows_the_contract_and_ids_are_unique():
    ids = [parse_alert(o.value).id for o in UNDISTURBED if o.topic == "alerts"]
    assert len(ids) == len(set(ids))
    assert all(
        o.key == orjson.loads(o.value)["data"]["alert_id"].encode()
        for o in UNDISTURBED
        if o.topic == "alerts"
    )


def test_every_bucket_has_a_status():
    told = [orjson.loads(o.value)["bucket"] for o in UNDISTURBED if o.topic == "status"]
    assert told == sorted(told)
    assert len(told) == len(set(told)) >= 36


def test_it_is_an_operator():
    step: ControlledOperator = networks_step()
    assert not step.finished
    done = networks_step(1, RELEASES)
    done.process(BUCKETS)
    assert done.finished


# Chunks, repeats


@settings(max_examples=15)
@given(st.lists(st.integers(0, len(BUCKETS)), max_size=6))
def test_chunking_does_not_change_results(cuts):
    step, out = networks_step(1, RELEASES), []
    edges = [0, *sorted(cuts), len(BUCKETS)]
    for a, b in itertools.pairwise(edges):
        out += step.process(BUCKETS[a:b])
    assert out == UNDISTURBED


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, len(BUCKETS)), st.integers(1, 9)), max_size=5))
def test_repeated_records_are_ignored(again):
    """A worker that was killed sends the same records again, then continues."""
    lines = list(BUCKETS)
    for at, back in sorted(again, reverse=True):
        lines[at:at] = lines[max(0, at - back) : at]
    assert networks_step(1, RELEASES).process(lines) == UNDISTURBED


@pytest.mark.slow
@settings(max_examples=8)
@given(st.randoms(use_true_random=False), st.integers(2, 4))
def test_the_interleaving_of_partitions_does_not_change_results(random, partitions):
    lines, releases = launch_buckets(partitions)
    own = {}
    for each in lines:
        own.setdefault(each.key or each.value[: each.value.index(b'"since"')], []).append(each)
    order = [key for key, sent in own.items() for _ in sent]
    random.shuffle(order)
    places = {key: iter(sent) for key, sent in own.items()}
    mixed = [next(places[key]) for key in order]
    expected = networks_step(partitions, releases).process(lines)
    assert networks_step(partitions, releases).process(mixed) == expected


def test_long_records_in_parts_give_the_same_alerts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pivotwatch.contracts.bucket_record.MAX_BYTES", 300)
        parts = [Line(o.value) for o in run_accounts(launch()[0]) if o.topic == "buckets"]
    assert len(parts) > 3 * len(BUCKETS)
    step, store, out = networks_step(1, RELEASES), Store(), []
    for i, part in enumerate(parts):
        out += step.process([part])
        if i % 50 == 0:  # in the middle of a record, mostly
            store.take(step)
            step = store.into(ScoringOperator(SETTINGS, 1))
    assert out == UNDISTURBED


def test_an_idle_partition_sets_the_data_lag_flag():
    other = accounts_step()
    idle = [Line(o.value.replace(b'"p":0', b'"p":1', 1)) for h in range(40) for o in other.idle(HOUR - 1 + h)]
    step = networks_step(2, RELEASES)
    data = [a["data"] for a in alerts(step.process([*idle, *BUCKETS]))]
    assert data
    assert all(d["evidence"]["data_lag"] for d in data)
    assert not any(a["data"]["evidence"]["data_lag"] for a in alerts(UNDISTURBED))


# Restored


@pytest.mark.slow
@settings(max_examples=25)
@given(st.sets(st.integers(0, len(BUCKETS))), st.sets(st.integers(0, len(BUCKETS))))
def test_after_a_restart_at_any_time_it_sends_the_same_bytes(saved, restored):
    step, store, out = networks_step(1, RELEASES), Store(), []
    store.take(step)
    saved = saved | restored
    for i, each in enumerate(BUCKETS):
        out += step.process([each])
        if i in saved:
            store.take(step)
        if i in restored:
            step = store.into(ScoringOperator(SETTINGS, 1))
    assert out == UNDISTURBED
    assert step.finished


@pytest.mark.slow
@settings(max_examples=10)
@given(st.integers(0, len(BUCKETS) - 1), st.integers(0, 5))
def test_a_restored_operator_writes_the_same_shards(at, every):
    straight, ours, theirs, twin = networks_step(1, RELEASES), Store(), Store(), None
    for i, each in enumerate(BUCKETS):
        straight.process([each])
        if twin is not None:
            twin.process([each])
        if i == at or i % (every + 1) == 0:
            ours.take(straight)
            if twin is not None:
                theirs.take(twin)
        if i == at:
            theirs.shards, theirs.meta = dict(ours.shards), ours.meta
            twin = theirs.into(ScoringOperator(SETTINGS, 1))
        assert twin is None or (theirs.shards, theirs.meta) == (ours.shards, ours.meta)


@settings(max_examples=10)
@given(st.integers(0, len(BUCKETS)))
def test_incremental_snapshots_equal_a_full_one(cut):
    step, store, whole = networks_step(1, RELEASES), Store(), Store()
    for each in BUCKETS[:cut]:
        step.process([each])
        store.take(step)
    store.take(step)
    whole.take(step, full=True)
    one = store.into(ScoringOperator(SETTINGS, 1)).process(BUCKETS[cut:])
    assert one == whole.into(ScoringOperator(SETTINGS, 1)).process(BUCKETS[cut:])


def quiet_launch():
    """A launch in which the network of the campaign stops, until its incident is resolved."""
    events, releases = launch(hours=110, accounts=90)
    kept = [e for e in events if e["network"] != "AS8" or e["ts"] < START + 24 * HOUR_MS]
    out = run_accounts(kept)
    return [Line(o.value, i) for i, o in enumerate(out) if o.topic == "buckets"], releases


def run_accounts(events):
    step = accounts_step()
    return step.process(records(events)) + step.final()


def test_a_detector_that_restarts_while_its_group_is_silent_is_saved():
    """Resolution changes the group's detector although the group was not active in that bucket."""
    lines, releases = quiet_launch()
    straight = networks_step(1, releases)
    undisturbed = straight.process(lines)
    # An incident is quiet when W is 0, but W of a silent group does not change: set it before the end.
    one, two, store = networks_step(1, releases), networks_step(1, releases), Store()
    out = []
    for step in (one, two):
        sent = step.process(lines[:40])
        for watched in step.state.watches.values():
            for state in watched.watch.groups.values():
                state.detector.cusum = [0.0, 0.0]
        step.state.changed |= set(step.state.registry.groups)
        out.append(sent)
    store.take(two)
    ends = [[], []]
    for each in lines[40:]:
        ends[0] += one.process([each])
        ends[1] += two.process([each])
        store.take(two)
        two = store.into(ScoringOperator(SETTINGS, 1))
    assert any(reason == "quiet" for reason, *_ in told(ends[0]))
    assert ends[1] == ends[0]
    assert len(undisturbed) >= len(lines)


# Control records


def entry(released_at, model=MODEL, offset=0):
    return Line(orjson.dumps({"model": model, "released_at": released_at}), offset)


def decision(verdict, entity=("network", "AS8"), offset=0, alert_id=None):
    named = {"alert_id": alert_id} if alert_id else {"entity": {"kind": entity[0], "id": entity[1]}}
    return Line(orjson.dumps(named | {"verdict": verdict, "by": "kim"}), offset)


def test_a_late_entry_takes_effect_at_the_next_bucket():
    step = networks_step()
    step.process(BUCKETS[:16])
    assert step.state.watches == {}
    step.control("releases", entry(RELEASES[0]["released_at"]))
    out = step.process(BUCKETS[16:17])
    assert [r.model for r in step.state.watches] == [MODEL]
    assert orjson.loads(out[-1].value)["releases"][0]["model"] == MODEL


def test_an_entry_with_a_new_time_ends_the_watch_and_starts_another():
    step = networks_step(1, RELEASES)
    out = step.process(BUCKETS[:25])
    assert told(out)[0][0] == "opened"
    moved = RELEASES[0]["released_at"] + 2 * HOUR_MS
    step.control("releases", entry(moved, offset=5))
    ended = alerts(step.process(BUCKETS[25:26]))
    assert [a["data"]["transition"] for a in ended] == ["watch-ended"]
    assert [r.released_at for r in step.state.watches] == [moved]


def test_a_withdrawn_release_is_not_watched():
    step = networks_step(1, RELEASES)
    step.process(BUCKETS[:15])
    step.control("releases", Line(None, 9, key=MODEL.encode()))
    out = step.process(BUCKETS[15:])
    assert step.state.watches == {}
    assert alerts(out) == []


def test_the_watch_ends_and_teaches_theta():
    short = Settings(watch="1d")
    step = networks_step(1, RELEASES, settings=short)
    out = step.process(BUCKETS)
    reasons = [reason for reason, *_ in told(out)]
    assert reasons[0] == "opened"
    assert reasons[-1] == "watch-ended"
    assert step.state.watches == {}
    assert {r.theta.watches for g, r in step.state.registry.groups.items() if g[1] in ("AS0", "AS8")} == {1}


@pytest.mark.parametrize("verdict", ["benign", "verified"])
def test_a_decision_suppresses_at_the_next_bucket(verdict):
    step = networks_step(1, RELEASES)
    first = step.process(BUCKETS[:25])
    assert told(first)
    assert step.control("decisions", decision(verdict)) == []
    out = step.process(BUCKETS[25:])
    assert told(out)[0] == (verdict, "AS8", len(told(first)) + 1)
    assert len(told(out)) == 1


def test_a_decision_may_name_the_alert():
    step = networks_step(1, RELEASES)
    first = alerts(step.process(BUCKETS[:25]))
    step.control("decisions", decision("benign", alert_id=first[0]["data"]["alert_id"]))
    assert [reason for reason, *_ in told(step.process(BUCKETS[25:]))] == ["benign"]


def test_a_decision_on_an_unknown_alert_does_nothing():
    step = networks_step(1, RELEASES)
    step.control("decisions", decision("benign", alert_id="f" * 16))
    assert step.process(BUCKETS) == UNDISTURBED


def test_a_verified_group_is_silent_until_the_decision_is_withdrawn():
    step = networks_step(1, RELEASES)
    step.control("decisions", decision("verified"))
    out = step.process(BUCKETS[:26])
    assert [a for a in alerts(out) if CAMPAIGN in a["data"]["groups"]] == []
    step.control("decisions", Line(None, 1, key=b"network:AS8"))
    out = step.process(BUCKETS[26:])
    assert [a for a in alerts(out) if CAMPAIGN in a["data"]["groups"]]


def test_an_id_is_sent_once_if_a_decision_and_an_update_are_in_one_bucket():
    """Each revision is rendered as it was: the alert of the decision must not contain the next revision."""
    plain = networks_step(1, RELEASES)
    news = [told(plain.process([each])) for each in BUCKETS]
    growing = next(i for i, now in enumerate(news) if any(reason != "opened" for reason, *_ in now))
    step = networks_step(1, RELEASES)
    before = step.process(BUCKETS[:growing])
    step.control("decisions", decision("confirmed"))
    out = step.process(BUCKETS[growing : growing + 1])
    assert len(told(out)) == 2
    assert [revision for *_, revision in told(before + out)] == list(range(1, len(told(before + out)) + 1))
    assert told(out)[0][0] == "confirmed"


def test_an_id_is_sent_once_if_a_decision_is_in_the_last_bucket_of_the_watch():
    step = networks_step(1, RELEASES)
    step.process(BUCKETS[:25])
    step.control("decisions", decision("confirmed"))
    step.control("releases", Line(None, 9, key=MODEL.encode()))
    out = step.process(BUCKETS[25:26])
    assert [reason for reason, *_ in told(out)] == ["confirmed", "watch-ended"]
    assert told(out)[0][2] + 1 == told(out)[1][2]
    assert [a["type"].rsplit(".", 1)[1] for a in alerts(out)] == ["updated", "resolved"]


CONTROLS = [
    ("releases", entry(RELEASES[0]["released_at"], offset=0)),
    ("decisions", decision("confirmed", offset=0)),
    ("decisions", decision("verified", ("network", "AS1"), offset=1)),
    ("releases", entry(START + 20 * HOUR_MS, "m-1", offset=1)),
    ("releases", Line(b"{oops", 2)),
    ("decisions", decision("benign", offset=2)),
    ("releases", entry(RELEASES[0]["released_at"] + HOUR_MS, offset=3)),
]


class Shell:
    """A stand-in for a worker: it stores pins and snapshots, and repeats input after a crash."""

    def __init__(self, step):
        self.step, self.store, self.out = step, Store(), []
        self.save()

    def save(self):
        self.store.take(self.step)
        self.pins, self.kept, self.log = self.step.pins(), len(self.out), []

    def control(self, topic, record):
        self.step.control(topic, record)

    def bucket(self, record):
        self.pins = self.step.pins()
        self.out += self.step.process([record])
        self.log.append(record)

    def crash(self, controls):
        """Continue from the last manifest, and read the control topics from their start."""
        again, self.step = self.log, self.store.into(ScoringOperator(SETTINGS, 1))
        self.step.repin(self.pins)
        del self.out[self.kept :]
        for record in again:
            self.out += self.step.process([record])
        for topic, record in controls:
            self.control(topic, record)


@pytest.mark.slow
@settings(max_examples=25)
@given(
    st.lists(st.integers(0, len(BUCKETS)), min_size=len(CONTROLS), max_size=len(CONTROLS)),
    st.sets(st.integers(0, len(BUCKETS)), max_size=6),
    st.sets(st.integers(0, len(BUCKETS)), max_size=4),
)
def test_control_records_have_the_same_effect_after_any_crash(places, saves, crashes):
    places = sorted(places)

    def run(saves, crashes):
        shell, taken = Shell(ScoringOperator(SETTINGS, 1)), 0
        for i, each in enumerate(BUCKETS):
            while taken < len(CONTROLS) and places[taken] <= i:
                shell.control(*CONTROLS[taken])
                taken += 1
            shell.bucket(each)
            if i in crashes:
                shell.crash(CONTROLS[:taken])
            if i in saves:
                shell.save()
        return shell.out

    assert run(saves, crashes) == run(set(), set())


# Inferred releases


def test_without_a_calendar_a_release_is_inferred_and_reported_as_such():
    out = list(DetectionPipeline(SETTINGS).run(orjson.dumps(e) for e in new_model(74)))
    data = [a["data"] for a in alerts(out)]
    assert data
    assert {d["release_inferred"] for d in data} == {True}


def test_a_model_that_was_there_in_the_first_days_is_not_inferred():
    events = new_model(60)
    assert alerts(DetectionPipeline(SETTINGS).run(orjson.dumps(e) for e in events)) == []


def test_dead_letters_name_the_control_topic():
    step = networks_step()
    (letter,) = step.control("decisions", Line(b"{}", 3))
    assert dead([letter]) == [letter]
    headers = dict(letter.headers)
    assert headers["pivotwatch.errors.topic"] == b"decisions"
    assert headers["pivotwatch.errors.offset"] == b"3"


def test_one_event_gives_no_alert():
    assert alerts(DetectionPipeline(SETTINGS, releases=RELEASES).run([orjson.dumps(event())])) == []


def test_the_state_of_groups_is_bounded():
    """Accounts and payment instruments change every few weeks, and are forgotten after 90 days."""
    daily = Settings(bucket="1d", aliases=())
    accounts, networks, store = (
        CountingOperator(daily, 0, 1, shards=4, quorum=ANYBODY),
        networks_step(settings=daily),
        Store(),
    )
    sizes = []
    for day in range(0, 500, 5):
        crowd = [
            event(f"a{day // 20}-{i}", START + day * DAY_MS, links={"payment": f"p{day // 20}-{i}"})
            for i in range(20)
        ]
        for output in accounts.process([line(*crowd)]):
            if output.topic == "buckets":
                networks.process([Line(output.value)])
        store.take(networks)
        sizes.append((len(networks.state.registry.groups), sum(map(len, store.shards.values()))))
    early, late = sizes[30:50], sizes[-20:]
    assert max(groups for groups, _ in late) <= max(groups for groups, _ in early) + 20
    assert max(stored for _, stored in late) <= 1.2 * max(stored for _, stored in early)
    again = store.into(networks_step(settings=daily))
    assert again.state.registry.groups.keys() == networks.state.registry.groups.keys()
