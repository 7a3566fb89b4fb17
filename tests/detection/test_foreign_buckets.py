"""Records on ``buckets`` that the role accounts did not write become dead letters and change nothing."""

from __future__ import annotations

import copy
import zlib

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch.contracts.bucket_record import Header, NewerRecord, decode
from pivotwatch.contracts.dead_letters import WHOLE_BYTES
from pivotwatch.contracts.records import Line
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch_models.settings import HOUR_MS
from tests.detection.stream import Store, dead, launch_buckets, networks_step
from tests.detection.test_bad_input import told

BUCKETS, RELEASES = launch_buckets()
MIDDLE = 24
"""A bucket in which the release is watched and the campaign has begun."""


def begun(until: int) -> ScoringOperator:
    step = networks_step(1, RELEASES)
    step.process(BUCKETS[:until])
    return step


STORE = Store()
STORE.take(begun(MIDDLE), full=True)
STRAIGHT = STORE.into(networks_step())
REST = STRAIGHT.process(BUCKETS[MIDDLE : MIDDLE + 4])
END = STRAIGHT.snapshot()
HEADER, CONTENT = decode(BUCKETS[MIDDLE].value)


def again(header: dict[str, object], content: bytes = CONTENT) -> bytes:
    """The next genuine record with another header, or with other content and a matching header."""
    head = msgspec.to_builtins(HEADER) | {"crc": zlib.crc32(content)} | header
    return orjson.dumps(head) + b"\n" + content


def with_body(**fields: object) -> bytes:
    return again({}, orjson.dumps(orjson.loads(CONTENT) | fields))


def changed(*path: str | int, to: object) -> bytes:
    """The content with one place changed; None removes it."""
    body = orjson.loads(CONTENT)
    place = body
    for step in path[:-1]:
        place = place[step]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return again({}, orjson.dumps(body))


BODY = orjson.loads(CONTENT)
ROW = BODY["active"][0]
FOREIGN = {
    "no record": b"hello",
    "nothing": None,
    "a header alone": again({}, b""),
    "other JSON": b'{"p":0}\n{}',
    "no more than a version": b'{"v":2}',
    "another program's": b'{"v":1,"kind":"order"}\n{"v":1}',
    "broken content": BUCKETS[MIDDLE].value[:-1] + b"!",
    "truncated": BUCKETS[MIDDLE].value[:-40],
    "truncated, and its header knows": again({}, CONTENT[:-40]),
    "content that is not an object": again({}, b"[1]"),
    "content nested deeply": again({}, b'{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
    "a header nested deeply": b'{"v":1,"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}\n{}",
    "another partition": again({"p": 1}),
    "a partition below zero": again({"p": -1}),
    "a bucket that is text": again({"b": "7"}),
    "a bucket beyond all time": again({"b": 2**62}),
    "a bucket before its first": again({"since": HEADER.b + 1}),
    "a bucket that leaves some out": again({"b": HEADER.b + 5, "since": HEADER.b + 5}),
    "another width": again({"width": HOUR_MS // 6}),
    "no width": orjson.dumps({k: v for k, v in msgspec.to_builtins(HEADER).items() if k != "width"}),
    "a part of none": again({"parts": 0}),
    "a part behind the last": again({"part": 1}),
    "too many parts": again({"parts": 10**9}),
    "another content's checksum": again({"crc": 1}),
    "huge": again({}, orjson.dumps({"left": [["payment", "p" * 950_000, -1]]})),
    "requests below zero": with_body(requests=-1),
    "requests as text": with_body(requests="7"),
    "fewer requests than accounts": with_body(requests=0),
    "requests beyond counting": with_body(requests=2**63),
    "a model's share above one": changed("models", 0, "total", 0, to=10**6),
    "no traffic": changed("traffic", to=None),
    "traffic of fewer groups": with_body(traffic=BODY["traffic"][:-1]),
    "a group twice": with_body(groups=[BODY["groups"][0]] * len(BODY["groups"])),
    "a set of a group that is not there": changed("sets", -1, to=[10**6]),
    "a cohort of a set that is not there": with_body(active=[[10**6, *ROW[1:]]]),
    "a cohort of an unknown band": changed("active", 0, 1, to=99),
    "a cohort below zero": changed("active", 0, 4, to=-3),
    "a cohort of the future": changed("active", 0, 3, to=HEADER.b),
    "a short row": changed("active", 0, to=ROW[:-1]),
    "more done than active": changed("models", 0, "done", 0, to=[[*ROW[:4], 10**6]]),
    "only one type of event": changed("models", 0, "events", to=[[]]),
    "a model twice": with_body(models=BODY["models"] + BODY["models"][:1]),
    "a model without movers": changed("models", 0, "movers", to=None),
    "a finding without requests": changed("models", 0, "findings", to=[["a", 0, 1, 0, 0, 5]]),
    "groups without accounts": again(
        {}, orjson.dumps({"groups": [["network", "AS1"]], "traffic": [[1, 0, 0, 0]]})
    ),
    "a tally of two": with_body(joined=[["network", "AS1"]]),
}


@pytest.mark.parametrize("value", FOREIGN.values(), ids=list(FOREIGN))
def test_a_foreign_record_is_a_dead_letter_and_changes_nothing(value):
    step = STORE.into(networks_step())
    foreign = Line(value, 99, key=b"whose", headers=(("trace", b"1"),))
    (letter,) = step.process([foreign])
    about = told(letter)
    assert (letter.topic, letter.key, letter.headers[0]) == ("dlq", b"whose", ("trace", b"1"))
    assert (about["topic"], about["offset"]) == ("buckets", "99")
    assert about["message"]
    assert (value or b"").startswith(letter.value)
    assert len(letter.value) == len(value or b"") or len(letter.value) > WHOLE_BYTES
    assert step.process(BUCKETS[MIDDLE : MIDDLE + 4]) == REST
    assert step.snapshot() == END


def test_the_reason_is_in_the_dead_letter():
    def reason(name):
        return told(STORE.into(networks_step()).process([Line(FOREIGN[name])])[0])["message"]

    assert "partition 1, but there are 1" in reason("another partition")
    assert "600000 ms; those of this worker have 3600000 ms" in reason("another width")
    assert f"missing before it, of the buckets {HEADER.b} to {HEADER.b + 4}" in reason(
        "a bucket that leaves some out"
    )
    assert "requests: expected `int` >= 0" in reason("requests below zero")


def test_parts_of_foreign_records_are_not_joined_with_genuine_ones():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pivotwatch.contracts.bucket_record.MAX_BYTES", 300)
        parts, _ = launch_buckets.__wrapped__()
    at = next(i for i, part in enumerate(parts) if decode(part.value)[0].parts > 2)
    head = msgspec.structs.replace(decode(parts[at].value)[0], part=1, crc=7)
    foreign = Line(msgspec.json.encode(head) + b"\n" + b"foreign", 0)
    out = networks_step(1, RELEASES).process([*parts[: at + 1], foreign, *parts[at + 1 :]])
    assert out == networks_step(1, RELEASES).process(BUCKETS)


def test_a_missing_record_stops_its_partition_and_scoring():
    """When the records are sent again in order, the results are as if none had been missing."""
    straight, step = networks_step(1, RELEASES).process(BUCKETS), networks_step(1, RELEASES)
    before = step.process(BUCKETS[:9])
    later = step.process(BUCKETS[10:])
    assert [o.value for o in dead(later)] == [record.value for record in BUCKETS[10:]]
    assert len(dead(later)) == len(later)
    assert f"buckets {BUCKETS_AT[9]} to {BUCKETS_AT[9]}" in told(later[0])["message"]
    assert before + step.process([Line(o.value) for o in [BUCKETS[9], *later]]) == straight


BUCKETS_AT = [decode(record.value)[0].b for record in BUCKETS]


def test_after_a_reset_accounts_may_skip_buckets():
    """The state was reset, and the topic does not reach back to the skipped buckets."""
    step = STORE.into(networks_step())
    later = HEADER.b + 5
    assert dead(step.process([Line(again({"b": later, "since": later, "first": True}))])) == []
    assert step.state.alignment.next == later + 1


def test_a_genuine_record_of_a_newer_version_is_not_left_out():
    value = again({"v": 2, "new": [1]})
    with pytest.raises(NewerRecord, match="version 2; this program knows 1: upgrade"):
        STORE.into(networks_step()).process([Line(value)])


@pytest.mark.parametrize("changed", [{"crc": 7}, {"crc": None}, {"width": 1}, {"p": 9}], ids=str)
def test_a_foreign_record_of_a_newer_version_changes_nothing(changed):
    step = STORE.into(networks_step())
    assert len(dead(step.process([Line(again({"v": 2, **changed}))]))) == 1
    assert len(dead(step.process([Line(b'{"v":2,"p":0,"since":1,"b":1,"part":0,"parts":1}')]))) == 1
    assert step.process(BUCKETS[MIDDLE : MIDDLE + 4]) == REST
    assert step.snapshot() == END


# Any change to a genuine record

ODD = st.sampled_from([None, True, -1, 0, 1, 2, 7, 2**31, 2**53, 2**63, 0.5, "", "x", [], {}, [[]], [0]])
NEAR = st.sampled_from([-1, 1, 10, -10])


@st.composite
def mutants(draw):
    """The content of the next genuine record, changed in one to three places, with a matching header."""
    body = copy.deepcopy(BODY)
    for _ in range(draw(st.integers(1, 3))):
        place, key = body, draw(st.sampled_from(sorted(body)))
        while isinstance(place[key], list | dict) and place[key] and draw(st.integers(0, 5)):
            place = place[key]
            key = draw(
                st.sampled_from(sorted(place)) if isinstance(place, dict) else st.integers(0, len(place) - 1)
            )
        how = draw(st.integers(0, 3))
        if how == 0:
            del place[key]
        elif how == 1 and isinstance(place[key], int):
            place[key] += draw(NEAR)
        elif how == 2 and isinstance(place, list):
            place.append(copy.deepcopy(place[key]))
        else:
            place[key] = copy.deepcopy(draw(ODD))
    header = draw(st.dictionaries(st.sampled_from(Header.__struct_fields__), ODD, max_size=1))
    if isinstance(header.get("v"), int):
        header = {}
    return again(header, orjson.dumps(body))


@settings(max_examples=150)
@given(mutants())
def test_a_changed_record_is_accepted_or_a_dead_letter_and_never_raises(value):
    step = STORE.into(networks_step())
    out = step.process([Line(value)])
    rest = step.process(BUCKETS[MIDDLE : MIDDLE + 4])
    step.snapshot()
    if dead(out):
        assert len(out) == 1
        assert rest == REST
