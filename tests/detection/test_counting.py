"""The counting operator: one record per bucket, for any chunking and after any restart."""

from __future__ import annotations

import collections
import itertools
from random import Random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pivotwatch.contracts.bucket_record
import pivotwatch.detection.counting.account_table
import pivotwatch.detection.counting.dictionary
import pivotwatch.detection.counting.model_tracker
import pivotwatch.detection.counting.state
from pivotwatch.base.state_migration import StateRefused
from pivotwatch.contracts.bucket_content import decode
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.counting.state import NAMES
from pivotwatch.engine.operator import IdleOperator
from pivotwatch_models.settings import DAY_MS, HOUR_MS, Settings
from tests.detection.stream import (
    ANYBODY,
    MODEL,
    SETTINGS,
    START,
    Store,
    accounts_step,
    bodies,
    event,
    launch,
    line,
    records,
)

HOUR = START // HOUR_MS
LATENESS = SETTINGS.allowed_lateness_ms


def run(step, chunks):
    return [output for chunk in chunks for output in step.process(chunk)] + step.final()


def chunked(lines, cuts):
    edges = [0, *sorted(c % (len(lines) + 1) for c in cuts), len(lines)]
    return [lines[a:b] for a, b in itertools.pairwise(edges)]


def models_of(body):
    return {row["model"]: row for row in body.get("models", ())}


SMALL, _ = launch(hours=20, accounts=50, moved=12, release=4)
UNDISTURBED = run(accounts_step(), [records(SMALL)])
SOME_BAD = (line(event(ts=True)), line(event(ts=START - 9 * HOUR_MS)))

cuts = st.lists(st.integers(0, 10**6), max_size=8)


# The same for any chunking


@settings(max_examples=20)
@given(cuts, st.sampled_from([1, 3, 50]))
def test_chunking_does_not_change_results(cuts, per_message):
    assert run(accounts_step(), chunked(records(SMALL, per_message), cuts)) == UNDISTURBED


def test_single_records_give_the_same_as_one_chunk():
    lines = records(SMALL[:800])
    assert run(accounts_step(), [[each] for each in lines]) == run(accounts_step(), [lines])


def content(outputs):
    """Content per bucket, without the watermark and the number of records."""
    kept = {}
    for bucket, body in bodies(outputs).items():
        body.pop("watermark")
        if body.get("active") or any(body[name] for name in ("late", "joined", "left", "invalid", "failed")):
            kept[bucket] = body
    return kept


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_order_within_the_allowed_lateness_does_not_change_the_counts(seed):
    random = Random(seed)
    shuffled = sorted(SMALL, key=lambda e: e["ts"] + random.randint(0, LATENESS))
    one, two = content(UNDISTURBED), content(run(accounts_step(), [records(shuffled)]))
    for body in (*one.values(), *two.values()):
        body.pop("failed")  # these are in the bucket that was open when they arrived
    assert one == two


def test_the_number_of_shards_does_not_change_results():
    assert run(accounts_step(shards=3), [records(SMALL)]) == UNDISTURBED


def test_it_is_an_operator():
    step: IdleOperator = accounts_step()
    assert step.snapshot() is not None


# The same after any restart


@settings(max_examples=25)
@given(cuts, st.sets(st.integers(0, 8)), st.integers(1, 9))
def test_after_a_restart_at_any_time_it_sends_the_same_bytes(cuts, restored_after, shards):
    """Snapshots after every chunk, stored as a worker stores them; a new operator after some of them."""
    store, step, outputs = Store(), accounts_step(shards=shards), []
    for i, chunk in enumerate(chunked(records(SMALL), cuts)):
        outputs += step.process(chunk)
        store.take(step)
        if i in restored_after:
            step = store.into(accounts_step(shards=shards))
    outputs += step.final()
    assert outputs == UNDISTURBED


messy = st.builds(
    lambda account, minute, more: event(f"a{account}", START + minute * 60_000, **more),
    st.integers(0, 4),
    st.one_of(st.integers(0, 300), st.integers(60 * 24 * 88, 60 * 24 * 96)),
    st.dictionaries(
        st.sampled_from(["model", "network", "links", "status", "requested_model", "account_created", "id"]),
        st.sampled_from(["m-2", "m-latest", "AS2", 500, 1, None, {}, {"k": "v"}, {"account": "x"}, START]),
        max_size=2,
    ),
)


@settings(max_examples=80)
@given(st.lists(st.lists(messy, max_size=5), max_size=12), st.sets(st.integers(0, 12)), st.integers(1, 4))
def test_with_bad_input_a_restart_does_not_change_results(chunks, restored_after, shards):
    """With late, failed and bad events, and gaps of more than 90 days."""
    straight, step, store = accounts_step(shards=shards), accounts_step(shards=shards), Store()
    for i, chunk in enumerate(chunks):
        lines = [line(each, offset=i) for each in chunk]
        assert step.process(lines) == straight.process(lines)
        store.take(step)
        if i in restored_after:
            step = store.into(accounts_step(shards=shards))
    assert step.final() == straight.final()


@settings(max_examples=10)
@given(cuts, st.integers(0, 8))
def test_incremental_snapshots_equal_a_full_one(cuts, full_after):
    step, store = accounts_step(), Store()
    for i, chunk in enumerate(chunked(records(SMALL), cuts)):
        step.process(chunk)
        store.take(step, full=i == full_after)
    whole = Store()
    whole.take(step, full=True)
    a, b = store.into(accounts_step()), whole.into(accounts_step())
    rest = [line(event(account=f"acct-{i:03}", ts=START + 30 * HOUR_MS + i)) for i in range(50)]
    assert run(a, [rest]) == run(b, [rest]) == run(step, [rest])


@settings(max_examples=10)
@given(cuts, st.integers(0, 8))
def test_a_restored_operator_writes_the_same_shards(cuts, at):
    """Its later shards, not only its outputs, equal those of an operator that was not restored."""
    straight, ours, theirs = accounts_step(), Store(), Store()
    twin = None
    for i, chunk in enumerate(chunked(records(SMALL), cuts)):
        for step, store in ((straight, ours), (twin, theirs)):
            if step is not None:
                step.process(chunk)
                store.take(step)
        if i == at:
            theirs.shards = dict(ours.shards)
            theirs.meta = ours.meta
            twin = theirs.into(accounts_step())
        assert twin is None or theirs.meta == ours.meta
        assert twin is None or theirs.shards == ours.shards


@pytest.mark.parametrize("every", [1, 40])
def test_segments_of_open_buckets_stay_few(every, monkeypatch):
    monkeypatch.setattr(pivotwatch.detection.counting.state, "MAX_SEGMENTS", 5)
    step, store, outputs = accounts_step(), Store(), []
    lines = records(SMALL[: 300 * every // 4 + 100])
    for i in range(0, len(lines), every):
        outputs += step.process(lines[i : i + every])
        store.take(step)
        assert sum(8 <= number < NAMES for number in store.shards) <= 5
        step = store.into(accounts_step())
    assert outputs + step.final() == run(accounts_step(), [lines])


def test_a_snapshot_without_changes_is_small():
    step, store = accounts_step(), Store()
    step.process(records(SMALL))
    store.take(step)
    assert step.snapshot() == {}
    assert store.into(accounts_step()).final() == step.final()


def test_counters_since_the_last_close_survive():
    lines = [line(event(ts=START - 3 * HOUR_MS)), line(event()), *SOME_BAD, line(event(status=500))]
    step, store = accounts_step(), Store()
    step.process(lines)
    store.take(step)
    again = store.into(accounts_step())
    rest = [line(event(ts=START + 3 * HOUR_MS))]
    outputs = again.process(rest)
    assert outputs == step.process(rest)
    body = bodies(outputs)[HOUR]
    assert (body["late"], body["invalid"], body["failed"]) == (1, 1, 1)
    assert body["late_groups"] == [["network", "AS1", 1]]


@pytest.mark.parametrize("more", [{"status": 500}, {"links": {"account": "x"}}])
def test_a_bucket_without_counted_events_is_the_same_after_a_restart(more):
    step, store = accounts_step(), Store()
    step.process([line(event()), line(event(ts=START + HOUR_MS + 1, **more))])
    store.take(step)
    assert store.into(accounts_step()).final() == step.final()


def test_a_state_of_a_newer_version_is_refused():
    step, store = accounts_step(), Store()
    store.take(step)
    store.meta = orjson.dumps(orjson.loads(store.meta) | {"version": 99})
    with pytest.raises(StateRefused, match="install the newer program"):
        store.into(accounts_step())


def test_followed_models_are_chosen_by_name_not_by_order_of_arrival(monkeypatch):
    """Which models wait for a place must not depend on their order of arrival."""
    monkeypatch.setattr(pivotwatch.detection.counting.model_tracker, "MAX_FOLLOWED", 2)
    made = [event(model=m, id=m) for m in ("c", "a", "b")]
    outputs = [run(accounts_step(), [records(order)]) for order in itertools.permutations(made)]
    assert all(o == outputs[0] for o in outputs)


def test_waiting_models_are_the_same_after_a_restart(monkeypatch):
    monkeypatch.setattr(pivotwatch.detection.counting.model_tracker, "MAX_FOLLOWED", 2)
    first = [event(model=m, id=m, ts=START + i) for i, m in enumerate(["z", "y", "x", "w"])]
    # After 90 days both places become free.
    later = [event(model=m, id=m, ts=START + 91 * DAY_MS + i) for i, m in enumerate(["v", "u", "t", "w"])]
    straight = run(accounts_step(), [records(first), records(later)])
    step, store = accounts_step(), Store()
    outputs = step.process(records(first))
    outputs += step.process(records(later[:1]))
    store.take(step)
    step = store.into(accounts_step())
    assert outputs + run(step, [records(later[1:])]) == straight


# Late


def test_late_events_are_dropped_and_counted_as_late():
    step = accounts_step()
    edge = START + HOUR_MS + LATENESS
    step.process([line(event()), line(event(ts=edge - 1))])
    step.process([line(event(account="b", ts=START + 5))])  # the bucket is still open
    outputs = step.process(
        [line(event(ts=edge)), line(event(account="c", ts=START + 6, links={"payment": "p"}))]
    )
    assert bodies(outputs)[HOUR]["requests"] == 2
    body = bodies(outputs + step.final())[HOUR + 1]
    assert body["late"] == 1
    assert body["late_groups"] == [["network", "AS1", 1], ["payment", "p", 1]]
    assert body["requests"] == 2


def test_the_watermark_moves_within_a_message():
    """Lateness is decided per event: the second element closes the bucket of the third."""
    step = accounts_step()
    outputs = step.process([line(event(), event(ts=START + 2 * HOUR_MS), event(account="b"))])
    assert bodies(outputs)[HOUR]["requests"] == 1
    assert step.buckets.counters.late == 1


def test_the_next_record_states_skipped_buckets():
    outputs = run(accounts_step(), [[line(event()), line(event(ts=START + 50 * HOUR_MS))]])
    heads = [orjson.loads(o.value.split(b"\n")[0]) for o in outputs]
    covered = [b for h in heads[:-1] for b in range(h["since"], h["b"] + 1)]
    assert covered == list(range(covered[0], HOUR + 51))
    assert HOUR in covered
    assert heads[-1]["final"]


# Idle and final


def test_final_closes_everything_once():
    step = accounts_step()
    step.process([line(event()), line(event(ts=START + 30 * 60_000))])
    first = step.final()
    assert bodies(first)[HOUR]["requests"] == 2
    assert orjson.loads(first[-1].value.split(b"\n")[0])["final"]
    assert step.final() == []
    store = Store()
    store.take(step)
    assert store.into(accounts_step()).final() == []


def test_a_partition_without_events_finishes_too():
    (output,) = accounts_step().final()
    assert orjson.loads(output.value.split(b"\n")[0])["final"]


def test_idle_closes_up_to_its_bucket_and_later_events_of_it_are_late():
    step = accounts_step()
    step.process([line(event())])
    outputs = step.idle(HOUR)
    head = orjson.loads(outputs[-1].value.split(b"\n")[0])
    assert head["b"] == HOUR
    assert head["idle"]
    assert bodies(outputs)[HOUR]["requests"] == 1
    assert step.idle(HOUR) == []
    step.process([line(event(account="b", ts=START + 1))])
    assert step.buckets.counters.late == 1
    body = bodies(step.process([line(event(ts=START + 3 * HOUR_MS))]))
    assert all("idle" not in orjson.loads(o.value.split(b"\n")[0]) for o in step.final())
    assert max(body) == HOUR + 1


def test_an_idle_record_without_events_says_so():
    step = accounts_step()
    (output,) = step.idle(HOUR)
    assert orjson.loads(output.value.split(b"\n")[0])["idle"]
    assert not decode(output.value.split(b"\n")[1]).is_active
    step.process([line(event(ts=START + 1))])
    assert step.buckets.counters.late == 1


def test_idle_is_due_for_what_others_have_closed():
    step = accounts_step()
    assert step.idle_due(HOUR - 1) == HOUR - 1, "no event has come"
    step.process([line(event())])
    assert step.idle_due(HOUR - 2) is None, "the first event may be followed by earlier ones"
    assert step.idle_due(HOUR) == HOUR
    step.idle(HOUR)
    assert step.idle_due(HOUR) is None
    assert step.idle_due(HOUR + 3) == HOUR + 3


@settings(max_examples=15)
@given(st.integers(0, len(SMALL)), st.integers(0, 16))
def test_an_idle_decision_gives_the_same_after_a_restart(cut, bucket):
    def outputs(restart):
        step, store = accounts_step(), Store()
        out = step.process(records(SMALL[:cut]))
        store.take(step)
        if restart:
            step = store.into(accounts_step())
        out += step.idle(HOUR + bucket)
        store.take(step)
        if restart:
            step = store.into(accounts_step())
        return out + run(step, [records(SMALL[cut:])])

    assert outputs(restart=True) == outputs(restart=False)


# Content of the record


def test_a_request_through_an_alias_is_not_a_choice():
    made = [
        event(id="1", model=MODEL, requested_model="m-latest"),
        event(id="2", model=MODEL, account="b", requested_model="m-2"),
        event(id="3", model=MODEL, account="c"),
        event(id="4", account="d"),
    ]
    body = bodies(run(accounts_step(), [records(made)]))[HOUR]
    row = models_of(body)[MODEL]
    assert row["total"][:2] == [2, 3]
    assert [mover[0] for mover in row["movers"]] == ["b", "c"]
    assert row["traffic"][0][1:3] == [2, 3]


@pytest.mark.parametrize(("aliases", "chosen"), [((), 3), (("m-[0-9]",), 1), (("*",), 1)])
def test_aliases_are_patterns_of_the_configuration(aliases, chosen):
    step = accounts_step(Settings(aliases=aliases))
    made = [
        event(account=f"a{i}", model=MODEL, requested_model=r) for i, r in enumerate(["m-1", "m-2", None])
    ]
    assert models_of(bodies(run(step, [records(made)]))[HOUR])[MODEL]["total"][:2] == [chosen, 3]


def test_an_attribute_makes_no_group():
    made = [event(links={"client": "c", "payment": "p", "plan": "free"}), event("b", links={"region": "eu"})]
    body = bodies(run(accounts_step(), [records(made)]))[HOUR]
    assert [kind for kind, _ in body["groups"]] == ["network", "payment"]
    own = bodies(run(accounts_step(Settings(attributes=("payment",))), [records(made)]))[HOUR]
    assert [kind for kind, _ in own["groups"]] == ["client", "network", "plan", "region"]


def test_an_account_in_several_groups_is_one_account_in_one_set():
    made = [event(network="AS1"), event(network="AS2", id="x", links={"payment": "p"}), event("b")]
    body = bodies(run(accounts_step(), [records(made)]))[HOUR]
    assert body["groups"] == [["network", "AS1"], ["network", "AS2"], ["payment", "p"]]
    assert body["sets"] == [[0], [0, 1, 2]]
    assert sum(row[-1] for row in body["active"]) == 2
    assert [row[0] for row in body["traffic"]] == [2, 1, 1]


def test_links_in_another_order_are_the_same_groups():
    made = [
        event(links={"x": "1", "y": "2"}),
        event(id="2", links={"y": "2", "x": "1"}),
        event("b", links={"x": ""}),
    ]
    body = bodies(run(accounts_step(), [records(made)]))[HOUR]
    assert body["sets"] == [[0], [0, 1, 2]]


def test_records_contain_only_integers_and_names():
    def walk(value):
        if isinstance(value, dict):
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        else:
            assert type(value) in (int, str), value

    for body in bodies(UNDISTURBED).values():
        walk(body)


def test_accounts_at_risk_and_past_their_event_add_up_to_active_ones():
    had = {kind: set() for kind in (0, 1)}
    for body in bodies(UNDISTURBED).values():
        row = models_of(body).get(MODEL)
        if row is None:
            continue
        active = sum(r[-1] for r in body["active"])
        for kind in (0, 1):
            events = {m[0] for m in row["movers"] if m[2 + kind]}
            assert sum(r[-1] for r in row["events"][kind]) == len(events)
            assert not events & had[kind]  # at most once
            assert sum(r[-1] for r in row["done"][kind]) <= min(active, len(had[kind]))
            had[kind] |= events
    assert len(had[0]) >= len(had[1]) > 5


def test_first_uses_and_switches_are_those_of_the_counted_requests():
    """Compared with a brute-force count over the events."""
    first = {}
    for e in SMALL:
        chose = e["model"] == MODEL and not e.get("requested_model", "").endswith("-latest")
        if chose and e.get("status", 200) < 400:
            first.setdefault(e["account"], e["ts"] // HOUR_MS)
    told = {
        mover[0]: bucket
        for bucket, body in bodies(UNDISTURBED).items()
        for mover in models_of(body).get(MODEL, {"movers": ()})["movers"]
        if mover[2]
    }
    assert told == first


# Long records


@settings(max_examples=10)
@given(st.integers(40, 900))
def test_a_long_record_is_sent_in_parts(limit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pivotwatch.contracts.bucket_record, "MAX_BYTES", limit)
        outputs = run(accounts_step(), [records(SMALL)])
    assert all(len(o.value.split(b"\n", 1)[1]) <= limit for o in outputs)
    assert len(outputs) > len(UNDISTURBED)
    assert bodies(outputs) == bodies(UNDISTURBED)


# Memberships


def window(visits, bucket, keep):
    """Accounts seen in each group within the last ``keep`` buckets, counted by brute force."""
    seen = {(a, g) for at, a, groups in visits for g in groups if bucket - keep <= at <= bucket}
    return collections.Counter(g for _, g in seen)


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.integers(0, 5), st.sets(st.integers(0, 3), max_size=2)), max_size=40
    ),
    st.integers(1, 5),
)
def test_joined_minus_left_is_the_number_seen_within_90_days(visits, shards):
    """Daily buckets with gaps. Every account has left at most one day after the limit."""
    daily = Settings(bucket="1d", watch="14d")
    step = CountingOperator(daily, 0, 1, shards=shards, quorum=ANYBODY)
    day, lines, at = START // DAY_MS, [], []
    for i, (gap, account, groups) in enumerate(visits):
        day += gap
        at.append((day, account, [("k" + str(g), "x") for g in groups]))
        links = {f"k{g}": "x" for g in groups}
        lines.append(line(event(f"acct-{account}", day * DAY_MS, network=None, links=links, id=str(i))))
    members = collections.Counter()
    for bucket, body in sorted(bodies(run(step, [lines])).items()):
        for kind, name, count in body["joined"]:
            members[kind, name] += count
        for kind, name, count in body["left"]:
            members[kind, name] -= count
        assert all(count >= 0 for count in members.values())
        exact, lenient = window(at, bucket, 90), window(at, bucket, 91)
        for group in {*members, *lenient}:
            assert exact[group] <= members[group] <= lenient[group]


@pytest.mark.parametrize("slack", [0, 3])
def test_empty_groups_are_forgotten_without_changing_results(slack, monkeypatch):
    """Over a year, every account changes its payment instrument monthly, and some change networks."""
    daily = Settings(bucket="1d")
    lines = [
        line(
            event(
                f"a{i}", START + day * DAY_MS, network=f"AS{(day * i) % 3}", links={"pay": f"{day // 30}-{i}"}
            )
        )
        for day in range(0, 400, 7)
        for i in range(6)
    ]
    hoarder, store = CountingOperator(daily, 0, 1, shards=4, quorum=ANYBODY), Store()
    expected = run(hoarder, [lines])
    monkeypatch.setattr(pivotwatch.detection.counting.account_table, "SLACK", slack)
    step, outputs = CountingOperator(daily, 0, 1, shards=4, quorum=ANYBODY), []
    for i, one in enumerate(lines):
        outputs += step.process([one])
        if i % 50 == 49:
            store.take(step)
            step = (
                store.into(CountingOperator(daily, 0, 1, shards=4, quorum=ANYBODY)) if i % 100 == 99 else step
            )
    assert outputs + step.final() == expected
    straight = CountingOperator(daily, 0, 1, shards=4, quorum=ANYBODY)
    assert run(straight, [lines]) == expected
    assert len(straight.accounts.sets) < len(hoarder.accounts.sets) / 2


@pytest.mark.slow
@pytest.mark.parametrize("rhythm", [1, 16, 64])
def test_every_shard_is_swept_in_a_rarely_active_partition(rhythm):
    """The bucket decides which shards are swept; the shards of skipped buckets must be swept too."""
    step = CountingOperator(SETTINGS, 0, 1, shards=64, quorum=ANYBODY)
    step.process([line(event(f"old-{i}", START)) for i in range(200)])
    step.process([line(event("busy", START + h * HOUR_MS)) for h in range(rhythm, 93 * 24, rhythm)])
    assert set(step.accounts.rows) == {"busy"}


def test_an_account_is_forgotten_after_90_days_and_its_row_is_reused():
    step = accounts_step(shards=2)
    made = [event("old", START + h * HOUR_MS, MODEL if h > 3 else "m-1", id=str(h)) for h in range(9)]
    step.process(records(made))
    later = START + 92 * DAY_MS
    step.process([line(event("other", later + h * HOUR_MS)) for h in range(3)])
    assert "old" not in step.accounts.rows
    outputs = step.process(
        [line(event("new", later + 5 * HOUR_MS, MODEL)), line(event("x", later + 8 * HOUR_MS))]
    )
    body = next(body for b, body in bodies(outputs).items() if b == later // HOUR_MS + 5)
    assert models_of(body).keys() <= {MODEL, "m-1"}
    assert step.accounts.columns["requests"][step.accounts.rows["new"]] == 1


def test_an_account_is_forgotten_while_it_is_in_an_open_bucket():
    """It was last seen 90 days before a bucket that closes while the account is active in the next one."""
    step = accounts_step(shards=1)
    step.process([line(event("old")), line(event("old", START + HOUR_MS, MODEL))])
    later = START + 92 * DAY_MS
    outputs = step.process(
        [
            line(event("other", later)),
            line(
                event("old", later + HOUR_MS + 1)
            ),  # the bucket of the account stays open, the previous one closes
            line(event("other", later + 2 * HOUR_MS)),
        ]
    )
    assert step.accounts.rows.keys() == {"old", "other"}
    outputs += step.final()
    body = bodies(outputs)[later // HOUR_MS + 1]
    [[_, _, _, previous, accounts]] = body["active"]
    assert (previous, accounts) == (-1, 1), "the account counts as new"
    assert step.accounts.columns["requests"][step.accounts.rows["old"]] == 1


@pytest.mark.parametrize("limit", [0, 3])
def test_names_forgotten_between_buckets_do_not_change_results(limit, monkeypatch):
    """Also names in buckets that stay open because an event of the next bucket arrives early."""
    early = [
        event("early", START + h * HOUR_MS, links={"k": str(h)}, ip=f"198.51.100.{h}") for h in range(1, 9)
    ]
    made = sorted([*SMALL, *early], key=lambda e: e["ts"])
    for i, one in enumerate(made):
        if i and one["account"] == "early":
            made[i - 1], made[i] = made[i], made[i - 1]
    undisturbed = run(accounts_step(), [records(made)])
    monkeypatch.setattr(pivotwatch.detection.counting.dictionary, "MAX_REMEMBERED", limit)
    step = accounts_step()
    outputs = step.process(records(made))
    assert len(step.dictionary.link_sets) <= 40
    assert outputs + step.final() == undisturbed


def test_an_account_that_returns_after_90_days_joins_again():
    settings = Settings(bucket="1d")
    step = CountingOperator(settings, 0, 1, shards=4, quorum=ANYBODY)
    days = [0, 1, 50, 143, 145, 146]
    outputs = run(step, [[line(event(ts=START + d * DAY_MS))] for d in days])
    joined = [b for b, body in sorted(bodies(outputs).items()) if body["joined"]]
    left = [b for b, body in sorted(bodies(outputs).items()) if body["left"]]
    start = START // DAY_MS
    assert joined == [start, start + 143]
    assert left
    assert left[0] in range(start + 50 + 90, start + 143)


def test_a_model_is_followed_for_90_days():
    settings = Settings(bucket="1d")
    step = CountingOperator(settings, 0, 1, quorum=ANYBODY)
    outputs = run(step, [[line(event(ts=START + d * DAY_MS))] for d in (0, 1, 89, 90, 91, 92)])
    day = START // DAY_MS
    followed = {
        b - day: bool(body.get("models")) for b, body in bodies(outputs).items() if body.get("active")
    }
    assert followed == {0: True, 1: True, 89: True, 90: False, 91: False, 92: False}
