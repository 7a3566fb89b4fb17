"""Bad input never raises: each bad event becomes a dead letter, and good events are counted."""

from __future__ import annotations

import copy

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pivotwatch.contracts.codec import MAX_TS
from pivotwatch.contracts.dead_letters import MAX_BYTES
from pivotwatch.contracts.events import (
    BadEvent,
    array_elements,
    check_event,
    network_of,
    parse_time,
)
from pivotwatch.contracts.records import Line
from pivotwatch.detection.counting.account_table import AccountTable
from pivotwatch.detection.counting.dictionary import Dictionary
from pivotwatch.detection.counting.event_reader import FUTURE_MS, EventReader
from pivotwatch.detection.counting.open_buckets import OpenBuckets
from pivotwatch.detection.counting.rejected_events import MAX_LETTERS
from pivotwatch.detection.scoring.control_log import read
from pivotwatch_models.settings import HOUR_MS
from tests.detection.stream import (
    ANYBODY,
    SETTINGS,
    START,
    accounts_step,
    bodies,
    counted,
    created,
    dead,
    event,
    line,
    networks_step,
)

HEADERS = "pivotwatch.errors."


def told(output):
    return {name.removeprefix(HEADERS): value.decode() for name, value in output.headers}


def nested(depth, inner=b"1"):
    return b"[" * depth + inner + b"]" * depth


def with_raw(field, raw):
    """A good event with one field set to raw JSON."""
    made = event(network=None) if field == "ip" else event()
    return orjson.dumps(made | {field: orjson.Fragment(raw)})


UNREADABLE = {
    "no JSON": b"{oops",
    "cut off": b'{"id":"r","ts":1',
    "empty": b"",
    "nothing": None,
    "not UTF-8": b'{"id":"\xff\xfe"}',
    "a lone surrogate": b'{"id":"\\ud800"}',
    "NUL": b"\x00",
    "NaN": b'{"ts":NaN}',
    "infinity": b'{"ts":1e999}',
    "two values": b"{} {}",
    "too deep to read": nested(2000),
}

NO_EVENT = {
    "null": b"null",
    "text": b'"text"',
    "number": b"17",
    "an empty object": b"{}",
    "a list of lists": b"[[]]",
    "deep": nested(3),
}

BAD_FIELDS = {
    "ts": [
        b"true",
        b"null",
        b'"yesterday"',
        b"-5",
        b"0",
        b"0.2",
        b"99999999999999999999",
        b"[]",
        b"{}",
        b'""',
    ],
    "id": [b"null", b"[]", b"{}", b"1.5"],
    "account": [b"null", b'""', b"7", b"true", b"[]", b'{"a":1}', b'"' + b"x" * 513 + b'"'],
    "model": [b"null", b'""', b"7", b"[]", b'{"a":1}', b'"' + b"x" * 513 + b'"'],
    "network": [b"7", b"0", b"false", b"[]", b"{}", b'"' + b"x" * 513 + b'"'],
    "ip": [b"7", b"true", b"[]", b"{}", b"0"],
    "requested_model": [b"7", b"false", b"[]", b"{}"],
    "account_created": [b"true", b'"never"', b"-1", b"0", b"[]", b"1e300"],
    "input_tokens": [b"true", b"1.0", b"-1", b'"3"', b"[]", b"1e30", b"99999999999999999999"],
    "output_tokens": [b"false", b"1.5", b"-1", b"{}"],
    "tools": [b"true", b"0.5", b"-1"],
    "status": [b"true", b"200.0", b"-1", b'"200"', b"[]"],
    "links": [
        b"[]",
        b'""',
        b"0",
        b"false",
        b'"x"',
        b"[1]",
        b'{"":"x"}',
        b'{"payment":7}',
        b'{"payment":["p"]}',
        b'{"network":"AS1"}',
        b'{"account":"a"}',
        orjson.dumps({f"k{i}": "x" for i in range(9)}),
    ],
}
BAD = [with_raw(field, raw) for field, raws in BAD_FIELDS.items() for raw in raws]
DEEP = [with_raw(field, nested(depth)) for field in ("id", "account", "links") for depth in (300, 1015)]


def fate(step):
    """The state after counting: cells and counters."""
    counters, time = step.buckets.counters, step.buckets.watermark.time
    return counted(step), counters.late, counters.invalid, counters.failed, time.now()


@pytest.mark.parametrize("value", [*UNREADABLE.values(), *NO_EVENT.values()], ids=[*UNREADABLE, *NO_EVENT])
def test_a_record_without_an_event_becomes_an_unchanged_dead_letter(value):
    step = accounts_step()
    (letter,) = dead(step.process([Line(value, offset=7, key=b"k", headers=(("h", b"v"),))]))
    assert letter.key == b"k"
    assert letter.headers[0] == ("h", b"v")
    about = told(letter)
    assert (about["topic"], about["partition"], about["offset"]) == ("requests", "0", "7")
    assert about["message"]
    if value != b"[[]]" and not (value or b"").startswith(b"[[["):
        assert letter.value == (value or b"")
    assert step.buckets.counters.invalid == 1


@pytest.mark.parametrize("value", [*BAD, *DEEP])
def test_a_field_of_a_wrong_type_is_a_dead_letter_that_names_the_field(value):
    step = accounts_step()
    (letter,) = dead(step.process([Line(value)]))
    assert letter.value == value
    field = told(letter)["message"].split(":")[0].split(".")[0].split()[0]
    assert field in BAD_FIELDS
    assert fate(step)[0] == {}


@pytest.mark.parametrize("value", [*BAD, *DEEP])
def test_a_bad_element_does_not_affect_its_array(value):
    step = accounts_step()
    good = orjson.dumps(event())
    (letter,) = dead(step.process([Line(b"[" + b",".join([good, value, good]) + b"]", offset=3)]))
    assert told(letter)["position"] == "1"
    assert told(letter)["offset"] == "3"
    assert orjson.loads(letter.value)  # readable, so it can be sent again
    assert step.buckets.counters.invalid == 1
    assert sum(cell[0] for cell in fate(step)[0].values()) == 2


@pytest.mark.parametrize("value", BAD)
def test_a_bad_event_is_refused_even_if_a_similar_one_was_counted(value):
    """The fast path knows the cell of the good event, but must not accept the bad one."""
    step = accounts_step()
    before = [
        event(),
        event(links={}),
        event(account_created=1),
        event(network=None, ip="0.0.0.7"),
        event(network=None, ip="0.0.0.1"),
        event(network=None),
        event(requested_model=""),
    ]
    assert dead(step.process([line(e) for e in before])) == []
    counted = copy.deepcopy(fate(step))
    assert len(dead(step.process([Line(value)]))) == 1
    assert fate(step) == (counted[0], 0, 1, 0, counted[4])


# The same event gets the same result


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 5, 200, 399, 400, 2**40, 2**40 + 1, 2**63, 2**64 - 1]),
    st.sampled_from([0.0, 1.0, 0.5, 200.0, 1e300]),
    st.sampled_from(
        ["", "x", "AS1", "AS2", "1.2.3.4", "1.2.3.9", "::1", "fe80::1%a", "m-latest", "a\x00b\n", "y" * 513]
    ),
    st.sampled_from([[], {}, [1], {"payment": "p"}, {"payment": ""}, {"payment": None}, {"payment": 3}]),
    st.sampled_from([{"b": "1", "a": "2"}, {"a": "2", "b": "1"}, {"network": "n"}, {"k": {"k": "v"}}]),
)
times = st.one_of(
    st.integers(START - 2, START + 5),
    st.sampled_from(
        [START - 3_700_000, START + 3_700_000, "2026-02-02T03:00:00Z", "2026-02-02T03:00:00", True, 1.5]
    ),
    st.sampled_from([float(START), float(START) + 0.5, str(START), MAX_TS, -1, None]),
)
FIELDS = ["id", "account", "model", "network", "ip", "requested_model", "links", "account_created", "status"]
FIELDS += ["input_tokens", "output_tokens", "tools", "unknown"]
events = st.builds(
    lambda ts, more: event(ts=ts) | more, times, st.dictionaries(st.sampled_from(FIELDS), odd, max_size=3)
)


def difference(after, before):
    cells = {}
    for key, cell in after[0].items():
        gain = [x - y for x, y in zip(cell, before[0].get(key, [0] * 4), strict=True)]
        if any(gain):
            cells[key] = gain
    return cells, *(x - y for x, y in zip(after[1:4], before[1:4], strict=True))


@settings(max_examples=400)
@given(st.lists(events, min_size=1, max_size=6), events)
@example([event()], event(links=[]))
@example([event()], event(status=True))
@example([event()], event(ip=5))
@example([event(account_created=1)], event(account_created=True))
def test_the_result_for_an_event_does_not_depend_on_earlier_events(before, last):
    """Alone, or after others of the same cell within the same open buckets, the result is the same."""
    first = [line(event(account="anchor", ts=START))]
    alone, after = accounts_step(), accounts_step()
    alone.process(first)
    after.process([*first, *(line(e) for e in before)])
    if after.buckets.watermark.first_open != alone.buckets.watermark.first_open:
        return  # another bucket closed, so lateness may differ
    was = copy.deepcopy(fate(alone)), copy.deepcopy(fate(after))
    letters = [[told(o)["message"] for o in dead(step.process([line(last)]))] for step in (alone, after)]
    assert letters[0] == letters[1]
    if alone.buckets.watermark.first_open == START // HOUR_MS - 1:  # otherwise the counters were already sent
        assert difference(fate(alone), was[0]) == difference(fate(after), was[1])


@settings(max_examples=200)
@given(st.lists(events, max_size=12))
def test_an_array_counts_like_single_messages(batch):
    one, many = accounts_step(), accounts_step()
    a = one.process([line(*batch)] if len(batch) > 1 else [line(e) for e in batch])
    b = many.process([line(e) for e in batch])
    assert fate(one) == fate(many)
    assert created(one) == created(many)
    assert [o.value for o in a] == [o.value for o in b]


# Arbitrary bytes


def refusal(check, *args):
    """The error message, or None."""
    try:
        check(*args)
    except BadEvent as error:
        return str(error)
    return None


anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text()
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.lists(st.one_of(st.none(), st.binary(), anything.map(orjson.dumps)), max_size=8))
def test_arbitrary_bytes_never_raise_and_each_record_is_counted_or_a_dead_letter(values):
    step = accounts_step()
    outputs = step.process([Line(value, offset) for offset, value in enumerate(values)])
    outputs += step.final()
    elements = 0
    for value in values:
        try:
            decoded = orjson.loads(value)
        except (orjson.JSONDecodeError, TypeError):
            decoded = None
        elements += len(decoded) if isinstance(decoded, list) else 1
    assert len(dead(outputs)) == elements


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from([*FIELDS, "ts"]), st.one_of(odd, anything)))
def test_an_event_is_either_fine_or_a_bad_event(fields):
    for made in (fields, event() | fields):
        made = orjson.loads(orjson.dumps(made))  # infinity becomes null
        fault = refusal(check_event, made)
        letters = dead(accounts_step().process([line(made)]))
        assert [told(o)["message"] for o in letters] == [fault][: bool(fault)]


@given(st.one_of(st.text(), st.ip_addresses().map(str)))
def test_any_address_gives_a_network_or_none(text):
    network = network_of(text)
    assert network is None or "/" in network


@given(st.one_of(anything, st.text()))
def test_any_time_gives_milliseconds_or_a_bad_event(value):
    fault = refusal(parse_time, value)
    assert fault.startswith("ts: ") if fault else 0 < parse_time(value) < MAX_TS


@given(st.one_of(st.binary(), anything.map(orjson.dumps)), st.one_of(st.none(), st.binary()))
def test_any_control_record_is_read_or_a_dead_letter(value, key):
    for topic in ("releases", "decisions"):
        letters = networks_step().control(topic, Line(value, key=key))
        fault = refusal(read, topic, Line(value, key=key))
        assert [(told(o)["topic"], told(o)["message"]) for o in letters] == [(topic, fault)][: bool(fault)]


@settings(max_examples=200)
@given(
    st.one_of(st.none(), st.binary(), anything.filter(lambda x: not isinstance(x, dict)).map(orjson.dumps))
)
@example(b"{}")
@example(b'{"v":1}')
@example(b'{"v":"1"}')
def test_a_record_that_is_no_bucket_record_is_a_dead_letter(value):
    outputs = networks_step().process([Line(value)])
    assert [told(o)["topic"] for o in dead(outputs)] == ["buckets"]


# Meanings


def test_a_time_far_after_the_record_is_invalid_and_does_not_move_the_watermark():
    step = accounts_step()
    step.process([line(event(), timestamp=START)])
    far = START + FUTURE_MS + 1
    assert len(dead(step.process([line(event(ts=far), timestamp=START)]))) == 1
    step.buckets.buffer.gather()
    assert step.buckets.watermark.time.now() == START
    assert dead(step.process([line(event(ts=far - 1), timestamp=START)])) == []
    assert dead(step.process([line(event(ts=far), timestamp=None)])) == []
    assert dead(step.process([line(event(ts=far + 9 * FUTURE_MS), timestamp=-1)])) == []


def test_future_times_are_invalid_when_the_cell_is_known_too():
    step = accounts_step()
    step.process([line(event(ts=START + FUTURE_MS + 5), timestamp=START + FUTURE_MS)])
    assert len(dead(step.process([line(event(ts=START + FUTURE_MS + 5), timestamp=START)]))) == 1


@pytest.mark.parametrize("status", [400, 401, 429, 500, 599])
def test_failed_requests_are_not_counted(status):
    step = accounts_step()
    step.process([line(event()), line(event(status=status)), line(event(account="b", status=status))])
    assert step.buckets.counters.failed == 2
    body = bodies(step.final())[START // SETTINGS.bucket_ms]
    assert (body["requests"], body["failed"]) == (1, 2)


@pytest.mark.parametrize("status", [None, 0, 200, 399])
def test_other_requests_are_counted(status):
    step = accounts_step()
    step.process([line(event(status=status)), line(event(status=status))])
    assert sum(cell[0] for cell in fate(step)[0].values()) == 2


def test_strings_may_contain_any_characters():
    name = "a\x00b\nc\u2028\U0001f600\x1f"
    step = accounts_step()
    made = event(account=name, model=name, network=name, links={name: name})
    outputs = step.process([line(made), line(made)])
    outputs += step.final()
    body = bodies(outputs)[START // SETTINGS.bucket_ms]
    assert body["requests"] == 2
    assert body["groups"] == sorted([["network", name], [name, name]])
    assert body["models"][0]["movers"][0][0] == name


def test_an_address_is_ignored_when_there_is_a_network():
    step = accounts_step()
    step.process([line(event(ip=ip)) for ip in ("", "nowhere", "203.0.113.7")])
    assert sum(cell[0] for cell in fate(step)[0].values()) == 3


def test_an_unknown_field_is_dropped():
    step = accounts_step()
    step.process([line(event()), line(event(prompt="secret", nested={"deep": [1]}))])
    assert fate(step)[0] == {(START // SETTINGS.bucket_ms, "a", "m-1", None, "AS1", ()): [2, 0, 0, 0]}


def test_without_a_network_the_address_gives_it():
    step = accounts_step()
    step.process([line(event(network=n, ip="203.0.113.7")) for n in (None, "", None)])
    assert [key[4] for key in fate(step)[0]] == ["203.0.113.0/24"]


def test_an_invalid_address_gives_no_network():
    step = accounts_step()
    step.process([line(event(network=None, ip="localhost")), line(event(network=None))])
    body = bodies(step.final())[START // SETTINGS.bucket_ms]
    assert (body["requests"], body["groups"], body["sets"]) == (2, [], [[]])


def test_tokens_and_tools_add_up():
    step = accounts_step()
    sizes = [(5, 7, 0), (1, 2, 3), (None, None, None)]
    step.process([line(event(input_tokens=i, output_tokens=o, tools=t)) for i, o, t in sizes])
    body = bodies(step.final())[START // SETTINGS.bucket_ms]
    assert body["traffic"] == [[3, 6, 9, 1]]


def test_the_number_for_unknown_is_never_named():
    """Buckets close in order even if their events are very old."""
    closed = []

    def close(bucket, since, cells):
        closed.append((since, bucket, len(cells)))

    buckets = OpenBuckets(
        SETTINGS,
        Dictionary(AccountTable(SETTINGS, 1), ()),
        close,
        close,
        lambda *_: None,
        quorum=ANYBODY,
    )
    EventReader(buckets).process([line(event(ts=ts)) for ts in (1, START)])
    assert closed[0][1] == 0
    assert closed[-1][1] < START // SETTINGS.bucket_ms


BAD_ELEMENTS = {
    "numbers": b"0",
    "objects": b"{}",
    "half an event": b'{"id":0}',
    "times as text": orjson.dumps(event() | {"ts": "x"}),
    "times ahead": orjson.dumps(event() | {"ts": START + 40 * HOUR_MS}),
    "wrong links": orjson.dumps(event() | {"links": {"account": "a"}}),
    "deep": nested(300),
}


@pytest.mark.parametrize("bad", BAD_ELEMENTS.values(), ids=BAD_ELEMENTS)
def test_bad_elements_cost_linear_time_and_few_dead_letters(bad, monkeypatch):
    passes = []

    def counted_pass(value):
        passes.append(len(value))
        return array_elements(value)

    monkeypatch.setattr("pivotwatch.detection.counting.rejected_events.array_elements", counted_pass)
    many = 900_000 // (len(bad) + 1)
    array = b"[" + b",".join([bad] * (many // 2) + [orjson.dumps(event())] + [bad] * (many // 2)) + b"]"
    operator = accounts_step(quorum=ANYBODY)
    outputs = operator.process([Line(array, 0, START), Line(array, 1, START)])
    letters = dead(outputs)
    assert operator.counters()["events"] == 2
    assert operator.buckets.counters.invalid == 4 * (many // 2)
    assert len(passes) == 2
    assert len(letters) <= 2 * (MAX_LETTERS + 2)
    assert all(len(letter.value) <= MAX_BYTES for letter in letters)
    shared = [letter for letter in letters if "position" not in told(letter)]
    again = accounts_step(quorum=ANYBODY)
    again.process([Line(letter.value, i, START) for i, letter in enumerate(shared)])
    assert again.buckets.counters.invalid == 4 * (many // 2) - 2 * MAX_LETTERS
    assert again.counters()["events"] == 0


def test_dead_letters_do_not_depend_on_how_records_come():
    array = b"[" + b",".join([b"0"] * 300 + [orjson.dumps(event())]) + b"]"
    lines = [Line(array, i, START) for i in range(3)] + [line(event(), offset=3)]
    together, alone = accounts_step(quorum=ANYBODY), accounts_step(quorum=ANYBODY)
    assert together.process(lines) == [output for one in lines for output in alone.process([one])]


@given(
    st.lists(st.recursive(st.none() | st.text() | st.integers(0, 2**63), st.lists, max_leaves=20)),
    st.booleans(),
)
def test_elements_are_those_of_the_array(array, wide):
    raw = orjson.dumps(array, option=orjson.OPT_INDENT_2 if wide else None)
    assert [orjson.loads(one) for one in array_elements(raw)] == array


GOOD = orjson.dumps(event("acct-001"))


@pytest.mark.parametrize(
    ("bad", "counts"),
    [
        (b'{"id":"r","ts":1770001200000,"account":"acct-002","model":"m-1","score":-Infinity}', True),
        (b'{"id":"r","ts":1770001200000,"account":"acct-002","model":"m-1","note":"cut \xe9\x97"}', True),
        (b'{"id":"r","ts":1770001200000,"account":"acct-002","model":"m-1","path":"C:\\x"}', True),
        (b'{"id":oops}', False),
        (b'{"id":"r","ts":NaN}', False),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_element_of_an_array_costs_no_other_one(bad: bytes, counts: bool, place: int) -> None:
    elements = [GOOD, GOOD.replace(b"acct-001", b"acct-003")]
    elements.insert(place, bad)
    step = accounts_step()
    outputs = step.process([Line(b"[" + b", ".join(elements) + b"]")]) + step.final()
    assert sum(body.get("requests", 0) for body in bodies(outputs).values()) == 2 + counts
    assert [letter.value for letter in dead(outputs)] == ([] if counts else [bad])


def test_an_array_that_was_cut_off_loses_its_last_element_alone() -> None:
    step = accounts_step()
    outputs = step.process([Line(b"[" + GOOD + b"," + GOOD[:-9])]) + step.final()
    assert sum(body.get("requests", 0) for body in bodies(outputs).values()) == 1
    assert [letter.value for letter in dead(outputs)] == [GOOD[:-9]]


@pytest.mark.parametrize(
    "value",
    [
        b'["' + b'\\"' * 100_000,
        b'["' + b"\\" * 199_999,
        b"[" + b'"' * 200_001,
        b"[" * 200_000,
        b"[" + b"-I," * 50_000,
    ],
    ids=["escapes", "backslashes", "quotes", "brackets", "elements"],
)
def test_a_damaged_array_is_searched_once(value: bytes) -> None:
    """Each would take hours if what a text without an end covers were searched again."""
    assert array_elements(value)
    assert dead(accounts_step().process([Line(value)]))
