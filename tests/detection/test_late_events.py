"""Late events hide nobody, and a group whose data come late is scored when they are there."""

from __future__ import annotations

import zlib

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch.contracts.records import Line
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch_models.settings import HOUR_MS
from tests.detection.stream import (
    MODEL,
    SETTINGS,
    START,
    Store,
    alerts,
    bodies,
    launch,
    networks_step,
    records,
)

EVENTS, RELEASES = launch()
CREW = "AS8"
MINUTE = 60_000


def delivered(delay, events=EVENTS):
    """The events in the order in which they arrive, each after a delay of its own (milliseconds)."""
    return sorted(events, key=lambda e: e["ts"] + delay(e))


def opened(events):
    outputs = list(DetectionPipeline(SETTINGS, releases=RELEASES).run(map(orjson.dumps, events)))
    return {
        a["data"]["entity"]["id"]: a["time"] for a in alerts(outputs) if a["type"].endswith("opened")
    }, outputs


ON_TIME, _ = opened(EVENTS)


def counted(events, **more):
    step = CountingOperator(SETTINGS, 0, 1, **more)
    closed = bodies(step.process(records(events)) + step.final())
    parts = [part["body"] for body in closed.values() for part in body.get("late_parts", [])]
    return [*closed.values(), *parts], parts


def test_the_crew_is_found_when_everything_is_on_time() -> None:
    assert CREW in ON_TIME


@pytest.mark.parametrize("accounts", [1, 3, 8])
def test_slow_requests_of_a_few_accounts_hide_nobody(accounts: int) -> None:
    """Each of them sends its last requests of every hour so slowly that they come late."""
    slow = {f"acct-{i:03}" for i in range(accounts)}

    def delay(e):
        return 9 * MINUTE if e["account"] in slow and e["ts"] % HOUR_MS > HOUR_MS - 4 * MINUTE else 0

    found, _ = opened(delivered(delay))
    assert found[CREW] <= ON_TIME[CREW]


@pytest.mark.parametrize("hours", [1, 6])
def test_a_network_whose_data_come_late_is_scored_when_they_are_there(hours: int) -> None:
    found, _ = opened(delivered(lambda e: hours * HOUR_MS if e["network"] == CREW else 0))
    assert ON_TIME[CREW] < found[CREW]


def test_a_network_that_is_delivered_by_the_hour_is_scored() -> None:
    def delay(e):
        return HOUR_MS - e["ts"] % HOUR_MS + 6 * MINUTE if e["network"] == CREW else 0

    assert CREW in opened(delivered(delay))[0]


@pytest.mark.parametrize("hours", [2, 9, 30])
def test_an_ordinary_network_whose_data_came_late_for_a_while_is_no_alert(hours: int) -> None:
    """When it is on time again, its accounts have used the model long ago."""

    def delay(e):
        late = e["network"] == "AS3" and e["ts"] < START + 24 * HOUR_MS
        return hours * HOUR_MS if late else 0

    assert opened(delivered(delay))[0].keys() <= ON_TIME.keys()


@pytest.mark.parametrize("hours", [1, 7, 60])
def test_every_late_event_of_a_day_counts_once(hours: int) -> None:
    bodies_, parts = counted(delivered(lambda e: hours * HOUR_MS if e["network"] == "AS3" else 0))
    sent = [e for e in EVENTS if (e.get("status") or 0) < 400]
    late = sum(e["network"] == "AS3" for e in sent)
    requests = sum(body.get("requests", 0) for body in bodies_)
    if hours > 24:
        assert len(sent) - late <= requests < len(sent)
    else:
        assert requests == len(sent)
        assert (
            sum(part["requests"] for part in parts) > late / 2
        )  # the others came before their bucket closed
    assert sum(m["total"][1] for b in bodies_ for m in b.get("models", []) if m["model"] == MODEL) > 0


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 400))
def test_chunks_and_restarts_leave_no_trace(seed: int, cut: int) -> None:
    def delay(e):
        return (
            (zlib.crc32(f"{seed}{e['id']}".encode()) % 40) ** 3 * MINUTE // 20
            if zlib.crc32(f"{e['id']}{seed}".encode()) % 3 == 0
            else 0
        )

    lines = records(delivered(delay, EVENTS[:1200]))
    straight = CountingOperator(SETTINGS, 0, 1, shards=4)
    expected = straight.process(lines) + straight.final()
    step, store, outputs = CountingOperator(SETTINGS, 0, 1, shards=4), Store(), []
    for at in range(0, len(lines), cut):
        outputs += step.process(lines[at : at + cut])
        store.take(step)
        step = store.into(CountingOperator(SETTINGS, 0, 1, shards=4))
    assert outputs + step.final() == expected


def scored(records_, every: int):
    """The outputs and the final state of scoring, with a restart after so many bucket records (0: none)."""
    step, store, outputs = networks_step(1, RELEASES), Store(), []
    for number, record in enumerate(records_, start=1):
        outputs += step.process([record])
        if every and number % every == 0:
            store.take(step)
            step = store.into(networks_step())
    return outputs, step.snapshot(full=True), step.meta()


@pytest.mark.parametrize("every", [1, 3])
def test_a_restart_of_scoring_leaves_no_trace_in_corrections(every: int) -> None:
    """A correction uses nothing that a restart would lose, such as how far the groups differed before."""

    def delay(e):
        return 90 * MINUTE if zlib.crc32(e["id"].encode()) % 5 == 0 else 0

    step = CountingOperator(SETTINGS, 0, 1)
    outputs = step.process(records(delivered(delay))) + step.final()
    buckets = [Line(o.value, i) for i, o in enumerate(o for o in outputs if o.topic == "buckets")]
    assert scored(buckets, every) == scored(buckets, 0)


def test_requests_that_take_long_are_counted_and_not_late_when_their_end_is_known() -> None:
    """The log has the start of a request, in order of the ends; one in ten takes twelve minutes."""

    def end(e):
        return e["ts"] + (12 * MINUTE if zlib.crc32(e["id"].encode()) % 10 == 0 else 900)

    ordered = sorted(EVENTS, key=end)
    without = counted(ordered)
    known = counted([e | {"ended": end(e)} for e in ordered])
    late = [sum(body.get("late", 0) for body in found[0]) for found in (without, known)]
    assert late[0] > 40
    assert late[1] == 0
    assert not any(body.get("late_groups") for body in known[0])
    assert [sum(body["requests"] for body in found[0]) for found in (without, known)] == [
        sum((e.get("status") or 0) < 400 for e in EVENTS)
    ] * 2
