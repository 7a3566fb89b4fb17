"""Events that ingest sends twice count once, with any cuts and restarts on either side."""

from __future__ import annotations

import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.contracts.records import Line
from pivotwatch.detection.counting.deduplication import (
    MAX_ORIGINS,
    ORIGIN,
    PLACES,
    OffsetDeduplicator,
    origin_headers,
)
from pivotwatch.ingest.arrays import ArrayBuilder
from tests.detection.stream import accounts_step, counted, event, launch


def sent(events, seed, per_message=3):
    """Arrays as ingest sends them when it is killed at random: it goes back and cuts differently."""
    rng = random.Random(seed)
    places = [((i // per_message, i % per_message), e) for i, e in enumerate(events)]
    messages = [places[i : i + per_message] for i in range(0, len(places), per_message)]
    committed = at = 0
    offset, out = 0, []
    while committed < len(messages):
        size = rng.randint(1, 60)
        flushed = [one for message in messages[at : at + size] for one in message]
        for array in ArrayBuilder(1).arrays(flushed, ("spans", 0)):
            out.append(Line(array.value, offset, headers=array.headers))
            offset += 1
        at += size
        if rng.random() < 0.3:
            at = committed
        elif rng.random() < 0.7:
            committed = at
    return out


@pytest.mark.slow
@given(st.integers(0, 1 << 30))
def test_repeated_arrays_count_once_even_over_restarts(seed):
    events = launch(hours=6)[0][:400]
    plain = accounts_step()
    expected = plain.process([Line(orjson.dumps(e), i) for i, e in enumerate(events)]) + plain.final()

    records = sent(events, seed)
    step, out, rng, shards = accounts_step(), [], random.Random(seed), {}
    while records:
        size = rng.randint(1, 5)
        out += step.process(records[:size])
        del records[:size]
        shards |= step.snapshot(full=not shards)
        meta = step.meta()
        step = accounts_step()
        step.restore(meta, {number: content for number, content in shards.items() if content})
        shards = step.snapshot(full=True) if rng.random() < 0.1 else shards
    assert [o.value for o in out + step.final()] == [o.value for o in expected]


def test_an_array_cut_in_the_middle_of_a_message_loses_nothing():
    origins = OffsetDeduplicator()
    assert origins.first_new(Line(b"", headers=origin_headers("t", 0, [(5, 0), (5, 1)])), 2) == 0
    assert origins.first_new(Line(b"", headers=origin_headers("t", 0, [(5, 0), (5, 1), (5, 2)])), 3) == 2
    assert origins.first_new(Line(b"", headers=origin_headers("t", 0, [(4, 9), (5, 2)])), 2) == 2
    assert origins.first_new(Line(b"", headers=origin_headers("t", 1, [(0, 0)])), 1) == 0, "another partition"
    assert origins.repeated == 4


def test_foreign_headers_change_nothing():
    step = accounts_step()
    huge = b'["t",%s,0,0,1,1]' % (b"9" * 30)
    odd = b'["t",0,"a",0,1,1]', b'["t",0,0,0,null,0]', b'["t",0,"a",0,"b",1]', huge
    for number, raw in enumerate((b"", b"[]", b"[1,2,3]", b"\xff", *odd)):
        headers = ((ORIGIN, raw), (PLACES, b"[]"), ("other", b""))
        assert step.process([Line(orjson.dumps([event(f"a{number}")]), headers=headers)]) == []
    assert len(counted(step)) == 8
    assert step.reader.origins.snapshot() == []


def test_a_bad_element_keeps_its_position_after_dropped_repeats():
    step = accounts_step()
    good = [event("a"), event("b")]
    step.process([Line(orjson.dumps(good), headers=origin_headers("t", 0, [(0, 0), (1, 0)]))])
    array = [*good, {"id": 1}]
    again = Line(orjson.dumps(array), 1, headers=origin_headers("t", 0, [(0, 0), (1, 0), (2, 0)]))
    [letter] = step.process([again])
    assert dict(letter.headers)["pivotwatch.errors.position"] == b"2"
    assert [cell[0] for cell in counted(step).values()] == [1, 1]


def test_invented_origins_are_bounded_and_the_oldest_go_first():
    origins = OffsetDeduplicator()

    def send(topic, offset):
        return origins.first_new(Line(b"", headers=origin_headers(topic, 0, [(offset, 0)])), 1)

    assert send("real", 5) == send("quiet", 5) == 0
    for number in range(MAX_ORIGINS - 2):
        send(f"invented{number}", 1)
    assert send("real", 5) == 1
    again = OffsetDeduplicator()
    again.restore(orjson.loads(orjson.dumps(origins.snapshot())))
    for each in (origins, again):
        each.first_new(Line(b"", headers=origin_headers("invented", 0, [(1, 0)])), 1)
    assert list(again.applied) == list(origins.applied)
    assert len(origins.applied) == MAX_ORIGINS
    assert ("real", 0) in origins.applied
    assert ("quiet", 0) not in origins.applied
    assert send("x" * 100_000, 1) == 0
    assert ("real", 0) in origins.applied
