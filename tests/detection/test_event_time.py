"""No record, account or network with a wrong clock moves the time of a partition."""

from __future__ import annotations

import zlib

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch.contracts.events import MAX_TS
from pivotwatch.contracts.records import Output
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.counting.rejected_events import MAX_LETTERS
from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch_models.settings import DAY_MS, HOUR_MS
from tests.detection.stream import SETTINGS, START, Store, bodies, dead, event, launch, line, records

EVENTS, RELEASES = launch()
MINUTE = 60_000


def found(events):
    outputs = list(DetectionPipeline(SETTINGS, releases=RELEASES).run(map(orjson.dumps, events)))
    return [o.value for o in outputs if o.topic == "alerts"], len(dead(outputs))


ALERTS, _ = found(EVENTS)


def late(events):
    step = CountingOperator(SETTINGS, 0, 1)
    outputs = step.process(records(events)) + step.final()
    return sum(body["late"] for body in bodies(outputs).values())


def test_there_is_something_to_lose() -> None:
    assert len(ALERTS) > 3
    assert late(EVENTS) == 0


@pytest.mark.parametrize("place", [0, 1, 7, 500, 2000, len(EVENTS)])
@pytest.mark.parametrize("ts", [MAX_TS, 4_070_908_800_000, START + 90 * DAY_MS])
def test_one_record_of_another_century_is_a_dead_letter(place: int, ts: int) -> None:
    wrong = event("acct-005", ts, "m-1", "AS1")
    alerts, letters = found([*EVENTS[:place], wrong, *EVENTS[place:]])
    assert alerts == ALERTS
    assert letters == 1


@pytest.mark.parametrize("place", [0, 1, 500])
def test_one_record_of_1970_does_not_begin_the_stream(place: int) -> None:
    alerts, letters = found([*EVENTS[:place], event("acct-005", 1, "m-1", "AS1"), *EVENTS[place:]])
    assert alerts == ALERTS
    assert letters == 0


@settings(max_examples=30, deadline=None)
@given(place=st.integers(0, len(EVENTS) - 1), ahead=st.integers(1, 24 * 60), times=st.integers(1, 200))
def test_one_account_ahead_makes_nobody_late(place: int, ahead: int, times: int) -> None:
    now = EVENTS[place]["ts"]
    wrong = [event("acct-001", now + ahead * MINUTE, "m-1", "AS1") for _ in range(times)]
    assert late([*EVENTS[:place], *wrong, *EVENTS[place:]]) == 0


@pytest.mark.parametrize("minutes", [40, 55, 23 * 60])
def test_a_network_ahead_makes_nobody_late(minutes: int) -> None:
    ahead = [e | {"ts": e["ts"] + minutes * MINUTE} if e["network"] == "AS3" else e for e in EVENTS]
    assert late(ahead) == 0


@pytest.mark.parametrize("minutes", [40, 55])
def test_an_account_that_floods_from_the_past_holds_nobody_up(minutes: int) -> None:
    """It sends as much as everyone else, with times that are always a little before the end of the hour."""
    slow = []
    for e in EVENTS:
        behind = e["ts"] - minutes * MINUTE
        slow += [e, event("acct-003", behind, "m-1", "AS2"), event("acct-003", behind, "m-1", "AS2")]
    step = CountingOperator(SETTINGS, 0, 1)
    closed = bodies(step.process(records(slow)))
    assert max(closed) >= EVENTS[-1]["ts"] // HOUR_MS - 2


def invented(events, accounts: int, ahead: int):
    """The same events again, of other accounts in other networks, whose clock is ahead."""
    return [
        event(f"x-{i % accounts}", e["ts"] + ahead, "m-1", f"X{i % accounts}") for i, e in enumerate(events)
    ]


@pytest.mark.parametrize("ahead", [3 * HOUR_MS, 40 * HOUR_MS, 400 * DAY_MS])
@pytest.mark.parametrize(("number", "accounts"), [(2, 2), (10, 10), (12, 1), (5_000, 1)])
def test_first_records_with_a_wrong_clock_do_not_begin_the_stream(number: int, accounts: int, ahead: int):
    """Two accounts are everybody, at first: of 144,000 events 143,891 were late behind two such records."""
    first = invented([EVENTS[0]] * number if number > len(EVENTS) else EVENTS[:number], accounts, ahead)
    assert late([*first, *EVENTS]) <= 1


@pytest.mark.parametrize(
    ("number", "ahead"),
    [
        (5, 90 * MINUTE),
        (8, 90 * MINUTE),
        (5, 3 * HOUR_MS),
        (30, 3 * HOUR_MS),
        (30, 20 * HOUR_MS),
        (30, 40 * HOUR_MS),
    ],
)
def test_accounts_that_send_one_after_another_make_nobody_late(number: int, ahead: int) -> None:
    """For a moment they are everyone who sent recently. About 75 accounts are active in an hour."""
    half = len(EVENTS) // 2
    wrong = invented(EVENTS[half : half + number], number, ahead)
    assert late([*EVENTS[:half], *wrong, *EVENTS[half:]]) == 0


def closing_lag(events, after: int) -> float:
    """Most minutes that a bucket is open, by the events, after its end and the allowed lateness."""
    step, seen, open_bucket, most = CountingOperator(SETTINGS, 0, 1), 0, None, 0.0
    for sent in events:
        seen = max(seen, sent["ts"])
        closed = bodies(step.process(records([sent])))
        open_bucket = max(closed) + 1 if closed else open_bucket
        if open_bucket is not None and seen > after:
            due = (open_bucket + 1) * HOUR_MS + SETTINGS.allowed_lateness_ms
            most = max(most, (seen - due) / MINUTE)
    return most


@pytest.mark.parametrize(
    ("accounts", "networks", "number"), [(1, 1_000, 1_000), (1, 3_000, 3_000), (60, 60, 60)]
)
def test_a_burst_holds_no_bucket_open(accounts: int, networks: int, number: int) -> None:
    """An account behind 300 networks once held the time of its partition, and all scoring, for a day."""
    half = len(EVENTS) // 2
    now = EVENTS[half]["ts"]
    burst = [event(f"x-{i % accounts}", now - MINUTE + i, "m-1", f"X{i % networks}") for i in range(number)]
    assert closing_lag([*EVENTS[:half], *burst, *EVENTS[half:]], after=now) <= 45


def test_a_quiet_night_holds_no_bucket_open_for_long() -> None:
    """Of 140 accounts five go on; each bucket closes in the next one, in the median."""
    evening = [e for e in EVENTS if e["ts"] < START + 12 * HOUR_MS]
    night = [
        event(f"acct-{i % 5:03}", START + 12 * HOUR_MS + i * MINUTE, "m-1", f"AS{i % 5}") for i in range(720)
    ]
    step = CountingOperator(SETTINGS, 0, 1)
    closed = bodies(step.process(records([*evening, *night])))
    assert max(closed) >= (START + 23 * HOUR_MS) // HOUR_MS - 1


def gateway(share: int, ahead: int, every: int):
    """One in ``share`` accounts sends through a gateway that is ahead and ships its log once in ``every``."""
    shipped = []
    for place, e in enumerate(EVENTS):
        is_ahead = zlib.crc32(e["account"].encode()) % share == 0
        at = (e["ts"] // every + 1) * every if is_ahead else e["ts"]
        shipped.append((at, place, e | {"ts": e["ts"] + ahead} if is_ahead else e))
    return [e for _, _, e in sorted(shipped, key=lambda entry: entry[:2])]


@pytest.mark.parametrize("every", [10 * MINUTE, HOUR_MS])
@pytest.mark.parametrize("ahead", [40 * MINUTE, 6 * HOUR_MS, 20 * HOUR_MS])
def test_a_gateway_that_is_ahead_and_ships_batches_makes_nobody_late(ahead: int, every: int) -> None:
    assert late(gateway(20, ahead, every)) == 0


@pytest.mark.parametrize("gap", [2, 30, 24 * 20])
def test_after_a_gap_every_event_counts(gap: int) -> None:
    """Who is far ahead is held until the others get there, too; nothing is lost."""
    half = len(EVENTS) // 2
    events = [*EVENTS[:half], *({**e, "ts": e["ts"] + gap * HOUR_MS} for e in EVENTS[half:])]
    step = CountingOperator(SETTINGS, 0, 1)
    outputs = step.process(records(events)) + step.final()
    sent = sum((e.get("status") or 0) < 400 for e in events)
    assert sum(body.get("requests", 0) for body in bodies(outputs).values()) == sent
    assert dead(outputs) == []


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 400), min_size=1, max_size=12),
    wrong=st.lists(
        st.tuples(st.integers(0, 900), st.integers(0, 139), st.sampled_from([-7, 1, 30, 26_000])),
        max_size=40,
    ),
    ordered=st.booleans(),
)
def test_chunks_and_restarts_leave_no_trace(cuts, wrong, ordered: bool) -> None:
    events = list(EVENTS[:900])
    for place, account, hours in sorted(wrong, reverse=True):
        ts = max(1, events[min(place, len(events) - 1)]["ts"] + hours * HOUR_MS)
        events.insert(place, event(f"acct-{account:03}", ts, "m-1", f"AS{account % 8}"))
    lines = records(events) if ordered else records(events, per_message=7)
    straight = CountingOperator(SETTINGS, 0, 1, shards=4)
    expected = straight.process(lines) + straight.final()
    step, store, outputs, at = CountingOperator(SETTINGS, 0, 1, shards=4), Store(), [], 0
    while at < len(lines):
        size = cuts[at % len(cuts)]
        outputs += step.process(lines[at : at + size])
        at += size
        store.take(step)
        step = store.into(CountingOperator(SETTINGS, 0, 1, shards=4))
    assert outputs + step.final() == expected


def test_what_is_held_is_bounded() -> None:
    step = CountingOperator(SETTINGS, 0, 1)
    step.process(records(EVENTS[:300]))
    flood = [event("acct-001", START + 400 * DAY_MS + i, "m-1", "AS1", id="x" * 200) for i in range(5_000)]
    outputs = step.process([line(*flood[i : i + 500], offset=1000 + i) for i in range(0, 5_000, 500)])
    assert rejected(outputs) >= 5_000 - 1_024
    assert len(dead(outputs)) <= 10 * (MAX_LETTERS + 1)
    assert len(step.meta()) < 900_000
    assert rejected(outputs + step.process(records(EVENTS[300:])) + step.final()) == 5_000


def rejected(outputs: list[Output]) -> int:
    """Number of events in dead letters."""
    values = [orjson.loads(letter.value) for letter in dead(outputs)]
    return sum(len(value) if isinstance(value, list) else 1 for value in values)


def test_a_thin_partition_closes_its_buckets_soon() -> None:
    """Twenty accounts that send once an hour: the median of fifteen would be half an hour behind."""
    thin = [
        event(f"acct-{i % 20:03}", START + i * 3 * MINUTE, "m-1", f"AS{i % 7}") for i in range(20 * 24 * 3)
    ]
    step = CountingOperator(SETTINGS, 0, 1)
    closed_at: dict[int, int] = {}
    for sent in thin:
        for bucket in bodies(step.process(records([sent]))):
            closed_at[bucket] = sent["ts"]
    waited = [at - (bucket + 1) * HOUR_MS - SETTINGS.allowed_lateness_ms for bucket, at in closed_at.items()]
    assert len(waited) >= 3 * 24 - 1
    assert max(waited[4:]) <= 10 * MINUTE  # The stream begins with its 64th event, in the fourth hour.


def test_events_that_wait_for_a_time_are_reported() -> None:
    step = CountingOperator(SETTINGS, 0, 1)
    step.process(records([event("acct-001", START + i, "m-1", "AS1") for i in range(50)]))
    assert (step.counters()["events"], step.counters()["held"]) == (0, 50)
    step.process(records([event(f"acct-0{i}", START, "m-1", f"AS{i}") for i in range(10, 24)]))
    assert (step.counters()["events"], step.counters()["held"]) == (64, 0)


@pytest.mark.parametrize("headers", [(("trace", None),), (("trace", b""), ("trace", None))])
def test_a_held_event_may_have_headers_without_a_value(headers) -> None:
    step, store = CountingOperator(SETTINGS, 0, 1), Store()
    outputs = step.process([line(EVENTS[0], headers=headers)])
    store.take(step)
    step = store.into(CountingOperator(SETTINGS, 0, 1))
    outputs += step.final()
    assert dead(outputs) == []
    assert sum(body.get("requests", 0) for body in bodies(outputs).values()) == 1


def test_first_events_that_are_too_large_to_be_held_stop_nothing() -> None:
    """One is a dead letter. It does not decide where the stream begins, and the next events count."""
    large = line(event("acct-001", MAX_TS - 1, "m-1", "AS1"), key=b"k" * 900_000)
    for first in ([large], [large] * 40):
        step = CountingOperator(SETTINGS, 0, 1)
        outputs = step.process([*first, *records(EVENTS[:300])]) + step.final()
        assert len(dead(outputs)) == len(first)
        assert sum(body.get("requests", 0) for body in bodies(outputs).values()) > 280
    step = CountingOperator(SETTINGS, 0, 1)
    assert len(dead(step.process([large]) + step.final())) == 1


def test_a_stream_of_one_network_begins_when_no_more_events_can_be_held() -> None:
    step = CountingOperator(SETTINGS, 0, 1)
    key = b"k" * 4_000
    lines = [
        line(event(f"a-{i % 50}", START + i * 1000, "m-1", "AS1"), offset=i, key=key) for i in range(400)
    ]
    outputs = step.process(lines) + step.final()
    assert dead(outputs) == []
    assert sum(body.get("requests", 0) for body in bodies(outputs).values()) == 400
