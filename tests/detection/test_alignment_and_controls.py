"""Alignment: bucket records are released in order, and control records take effect at their buckets."""

from __future__ import annotations

import itertools

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch.contracts import bucket_content
from pivotwatch.contracts.bucket_content import Body
from pivotwatch.contracts.bucket_record import decode, encode
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import Line
from pivotwatch.detection.scoring.alignment import BucketAlignment
from pivotwatch.detection.scoring.control_log import ControlLog, Decision, Entry

# Records


WIDTH = 3_600_000


def record(p, bucket, since=None, first=False, final=False, idle=False):
    """Header and content of a part of a record."""
    since = bucket if since is None else since
    outputs = encode(
        p, since, bucket, Body(late=p, watermark=bucket), width=WIDTH, first=first, final=final, idle=idle
    )
    return [decode(output.value) for output in outputs]


def told(content):
    """Partition and bucket that `record` has written into the content."""
    body = bucket_content.decode(content)
    return {"p": body.late, "b": body.watermark}


def released(inbox):
    out = []
    while inbox.ready() is not None:
        bucket = inbox.next
        out.append((bucket, {p: (idle, told(c)) for p, (idle, c) in inbox.take().items()}))
    return out


def feed(inbox, pieces):
    out = []
    for header, piece in pieces:
        inbox.put(header, piece)
        out += released(inbox)
    return out


def test_a_bucket_waits_for_every_partition():
    inbox = BucketAlignment(2, WIDTH)
    assert feed(inbox, record(0, 5)) == []
    assert feed(inbox, record(1, 5)) == [(5, {0: (False, {"p": 0, "b": 5}), 1: (False, {"p": 1, "b": 5})})]


def test_a_later_record_completes_the_buckets_before_it():
    inbox = BucketAlignment(2, WIDTH)
    feed(inbox, record(0, 5) + record(0, 6) + record(0, 7))
    out = feed(inbox, record(1, 7, since=4))
    assert [(b, sorted(bodies)) for b, bodies in out] == [(4, []), (5, [0]), (6, [0]), (7, [0, 1])]


def test_a_finished_partition_is_not_waited_for():
    inbox = BucketAlignment(2, WIDTH)
    feed(inbox, record(0, 5))
    assert [b for b, _ in feed(inbox, record(1, 0, final=True))] == [5]
    assert not inbox.finished
    feed(inbox, record(0, 6, final=True))
    assert inbox.finished


def test_partitions_without_events_do_not_stop_the_end():
    inbox = BucketAlignment(3, WIDTH)
    out = feed(inbox, [piece for p in range(3) for piece in record(p, 0, final=True)])
    assert out == []
    assert inbox.finished


def test_repeats_are_ignored():
    inbox = BucketAlignment(2, WIDTH)
    pieces = record(0, 5) + record(0, 6)
    out = feed(inbox, pieces + pieces + record(1, 6, since=5) + pieces + record(1, 6, since=5))
    assert [b for b, _ in out] == [5, 6]
    assert feed(inbox, pieces) == []


def long_record(p, bucket, since=None, monkeypatch_bytes=60):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pivotwatch.contracts.bucket_record.MAX_BYTES", monkeypatch_bytes)
        return record(p, bucket, since)


@settings(max_examples=50)
@given(st.randoms(use_true_random=False))
def test_parts_in_any_order_and_repeated_make_the_record(random):
    inbox = BucketAlignment(1, WIDTH)
    pieces = long_record(0, 5)
    assert len(pieces) > 2
    pieces = pieces + random.choices(pieces, k=4)
    random.shuffle(pieces)
    assert feed(inbox, pieces) == [(5, {0: (False, {"p": 0, "b": 5})})]


def test_parts_sent_again_after_a_crash_make_one_record():
    inbox = BucketAlignment(1, WIDTH)
    pieces = long_record(0, 5)
    out = feed(inbox, pieces[:2] + pieces + pieces[1:])
    assert out == [(5, {0: (False, {"p": 0, "b": 5})})]


def test_an_idle_record_completes_a_bucket_and_is_marked():
    inbox = BucketAlignment(2, WIDTH)
    feed(inbox, record(0, 5))
    assert feed(inbox, record(1, 5, idle=True)) == [
        (5, {0: (False, {"p": 0, "b": 5}), 1: (True, {"p": 1, "b": 5})})
    ]


def test_a_record_of_an_unknown_partition_is_refused():
    with pytest.raises(BadEvent, match="partition"):
        feed(BucketAlignment(2, WIDTH), record(2, 5))


@st.composite
def sendings(draw):
    """Records of two or three partitions, each in order, interleaved, with repeats."""
    partitions = draw(st.integers(1, 3))
    streams = []
    for p in range(partitions):
        bucket, own = draw(st.integers(3, 6)), []
        for gap in draw(st.lists(st.integers(0, 3), max_size=5)):
            own.append(
                long_record(p, bucket + gap, bucket)
                if draw(st.booleans())
                else record(p, bucket + gap, since=bucket)
            )
            bucket += gap + 1
        own.append(record(p, bucket, final=True))
        streams.append(own)
    order = draw(st.permutations([p for p, own in enumerate(streams) for _ in own]))
    places = [iter(own) for own in streams]
    flat = [piece for p in order for piece in next(places[p])]
    again = draw(st.lists(st.integers(0, max(0, len(flat) - 1)), max_size=3))
    for i in sorted(again, reverse=True):
        flat.insert(draw(st.integers(i, len(flat))), flat[i])
    return partitions, streams, flat


@settings(max_examples=100)
@given(sendings(), st.sets(st.integers(0, 40)))
def test_in_any_order_of_arrival_every_record_is_released_once_in_order(sent, restarts):
    partitions, streams, flat = sent
    inbox, out = BucketAlignment(partitions, WIDTH), []
    for i, piece in enumerate(flat):
        if i in restarts:
            state = orjson.loads(orjson.dumps(inbox.snapshot()))
            inbox = BucketAlignment(partitions, WIDTH)
            inbox.restore(state)
        out += feed(inbox, [piece])
    expected = {}
    for p, own in enumerate(streams):
        for pieces in own:
            header = pieces[0][0]
            if not header.final:
                expected.setdefault(header.b, {})[p] = (False, {"p": p, "b": header.b})
    assert [b for b, _ in out] == list(range(out[0][0], out[-1][0] + 1)) if out else not expected
    assert {b: bodies for b, bodies in out if bodies} == expected
    assert inbox.finished


# Controls

ENTRY = {"model": "m-2", "released_at": 1_770_000_000_000}
BENIGN = {"entity": {"kind": "network", "id": "AS1"}, "verdict": "benign", "by": "kim"}


def control(value, offset=0, key=None):
    return Line(orjson.dumps(value) if value is not None else None, offset, key=key)


def test_a_control_takes_effect_at_its_bucket_and_not_before():
    controls = ControlLog()
    controls.take("releases", control(ENTRY), 7)
    assert controls.due(6) == []
    assert not controls.any_due(6)
    assert controls.any_due(7)
    assert controls.due(7) == [Entry("m-2", ENTRY["released_at"])]
    assert controls.due(8) == []
    assert not controls.any_due(8)


def test_before_the_first_bucket_a_control_takes_effect_from_the_start():
    controls = ControlLog()
    controls.take("releases", control(ENTRY), None)
    assert controls.due(-3) == [Entry("m-2", ENTRY["released_at"])]


def test_controls_are_returned_in_the_order_of_arrival():
    controls = ControlLog()
    controls.take("releases", control(ENTRY), 7)
    controls.take("decisions", control(BENIGN), 5)
    controls.take("releases", control(None, 1, b"m-2"), 7)
    assert controls.due(7) == [
        Entry("m-2", ENTRY["released_at"]),
        Decision(("network", "AS1"), None, "benign", "kim"),
        Entry("m-2", None),
    ]


def test_an_offset_is_taken_once_per_topic():
    controls = ControlLog()
    for _ in range(2):
        controls.take("releases", control(ENTRY, 3), 1)
        controls.take("decisions", control(BENIGN, 3), 1)
    assert len(controls.due(1)) == 2


@pytest.mark.parametrize(
    ("key", "decision"),
    [
        (b"network:AS1", Decision(("network", "AS1"), None, None, "")),
        (b"payment:a:b", Decision(("payment", "a:b"), None, None, "")),
        (b"0123456789abcdef", Decision(None, "0123456789abcdef", None, "")),
    ],
)
def test_an_empty_decision_withdraws_the_decision_of_its_key(key, decision):
    controls = ControlLog()
    controls.take("decisions", control(None, key=key), None)
    assert controls.due(0) == [decision]


def test_pins_hold_what_no_snapshot_holds():
    controls = ControlLog()
    controls.take("releases", control(ENTRY), 7)
    pins = controls.pins()
    again = ControlLog()
    again.repin(pins)
    assert again.due(7) == controls.due(7)
    controls.snapshot()
    assert orjson.loads(controls.pins()) == []


def test_pins_survive_a_second_crash():
    """A second crash before the next snapshot finds the same pins."""
    controls = ControlLog()
    controls.take("releases", control(ENTRY, 0), 7)
    first = controls.pins()
    again = ControlLog()
    again.repin(first)
    again.take("decisions", control(BENIGN, 0), 9)
    twice = ControlLog()
    twice.repin(again.pins())
    assert twice.due(9) == [
        Entry("m-2", ENTRY["released_at"]),
        Decision(("network", "AS1"), None, "benign", "kim"),
    ]


def test_a_pinned_control_that_comes_again_is_not_taken_again():
    controls = ControlLog()
    controls.take("releases", control(ENTRY, 4), 7)
    again = ControlLog()
    again.repin(controls.pins())
    again.take("releases", control(ENTRY, 4), 20)
    assert len(again.due(30)) == 1


actions = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sampled_from(["releases", "decisions"])),
        st.just(("bucket",)),
        st.just(("save",)),
        st.just(("crash",)),
    ),
    max_size=25,
)


@settings(max_examples=100)
@given(actions)
def test_buckets_see_the_same_controls_however_often_it_crashes(acts):
    """Pins are stored before a bucket is scored; after a crash, the snapshot and the pins are restored."""
    straight, crashing = ControlLog(), ControlLog()
    saved, pins, at = orjson.dumps(crashing.snapshot()), crashing.pins(), 0
    bucket, offsets, wanted, seen = 0, itertools.count(), {}, {}
    log = []  # records of the control topics
    for act, *rest in acts:
        if act == "take":
            offset = next(offsets)
            made = (
                ENTRY | {"released_at": 10**12 + offset}
                if rest[0] == "releases"
                else BENIGN | {"by": str(offset)}
            )
            log.append((rest[0], control(made, offset)))
            for each in (straight, crashing):
                each.take(rest[0], log[-1][1], bucket)
        elif act == "bucket":
            pins = crashing.pins()
            wanted[bucket], seen[bucket] = straight.due(bucket), crashing.due(bucket)
            bucket += 1
        elif act == "save":
            saved, at = orjson.dumps(crashing.snapshot()), bucket
            pins = crashing.pins()
        else:
            crashing = ControlLog()
            crashing.restore(orjson.loads(saved))
            crashing.repin(pins)
            for again in range(at, bucket):  # buckets after the snapshot are scored again
                seen[again] = crashing.due(again)
            for topic, made in log:  # the topics are read again from their start
                crashing.take(topic, made, bucket)
        assert seen == wanted
