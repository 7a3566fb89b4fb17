"""A parser gives a sound value or a clear error, whatever it reads."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.alerts import Alert, parse_alert
from pivotwatch.contracts.bucket_record import Header, decode
from pivotwatch.contracts.codec import encode
from pivotwatch.contracts.controls import Decision, Release, Withdrawal, parse_decision, parse_release
from pivotwatch.contracts.dead_letters import About, about_of
from pivotwatch.contracts.events import BadEvent, Event, read_leniently
from pivotwatch.contracts.status import Status, parse_status
from pivotwatch.delivery.notification_log import read_entry
from tests.contracts.examples import alert_bytes
from tests.reporting.examples import status

DECISION = {"entity": {"kind": "network", "id": "AS1"}, "verdict": "benign", "by": "kim"}
RELEASE = {"model": "m-2", "released_at": "2026-02-05T18:00:00Z"}
ENTRY = {"revision": 2, "severity": "high", "open": True, "alert": orjson.loads(alert_bytes()), "written": 5}
EVENT = {"id": "r", "ts": 5, "account": "a", "model": "m", "links": {"payment": "p"}, "tools": 1}
HEADERS = {"stage": "decode", "class": "BadEvent", "message": "not JSON", "offset": "3"}
HEADER = {"v": 1, "p": 0, "since": 5, "b": 7, "part": 0, "parts": 1, "width": 3_600_000, "crc": 0}


def headers(raw: bytes) -> About:
    """Headers from a JSON object, whose texts need not be UTF-8."""
    try:
        told = orjson.loads(raw)
    except orjson.JSONDecodeError:
        told = {"class": raw}
    told = told if isinstance(told, dict) else {"stage": told}
    return about_of(
        (
            f"pivotwatch.errors.{name}",
            value if isinstance(value, bytes) else str(value).encode(errors="replace"),
        )
        for name, value in told.items()
    )


def event(raw: bytes) -> Event:
    """The first event of a message."""
    for found in read_leniently(raw).values():
        if isinstance(found, BadEvent):
            raise found
        return found
    raise BadEvent("an empty array")


PARSERS: dict[str, tuple[Callable[[bytes], object], Any, Any]] = {
    "alert": (parse_alert, Alert, orjson.loads(alert_bytes())),
    "status": (parse_status, Status, orjson.loads(status(3).value)),
    "decision": (lambda raw: parse_decision(b"key", raw), (Decision, Withdrawal), DECISION),
    "release": (lambda raw: parse_release(b"key", raw), (Release, str), RELEASE),
    "dead letter": (headers, About, HEADERS),
    "event": (event, Event, EVENT),
    "bucket record": (lambda raw: decode(raw)[0], Header, HEADER),
    "delivery log": (read_entry, object, ENTRY),
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["1", "2026-02-05T18:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:60Z", 10**30]
    ),
    st.just([]),
    st.just({}),
    st.just([[[]]]),
)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value within a document."""
    pairs = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in pairs:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> bytes:
    """The document with another value at one place."""
    fresh = inner = copy.deepcopy(document)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return orjson.dumps(fresh)


def at(document: Any, path: tuple[Any, ...]) -> Any:
    """The value at one place."""
    for key in path:
        document = document[key]
    return document


def judge(parse: Callable[[bytes], object], kind: Any, raw: bytes) -> str:
    """What is wrong with it; nothing when it is sound."""
    try:
        read = parse(raw)
    except (WrongUse, BadEvent) as fault:
        return str(fault)
    assert isinstance(read, kind)
    return ""


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=150)
@given(st.data())
def test_any_bytes_are_a_value_or_a_clear_error(name: str, data: st.DataObject) -> None:
    parse, kind, example = PARSERS[name]
    whole = orjson.dumps(example)
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, min(len(whole), begin + 12)))
    place = data.draw(st.sampled_from([*places(example)]))
    judge(parse, kind, whole[:begin] + data.draw(st.binary(max_size=8)) + whole[end:])
    judge(parse, kind, data.draw(st.binary(max_size=40)))
    value = data.draw(ODD.filter(lambda odd: not isinstance(odd, int) or abs(odd) < 2**63))
    judge(parse, kind, changed(example, place, value))


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize(
    "noise", [b"", b"null", b"[" * 100_000, b'{"a":' * 5_000, b"\xff", b'"\\ud800"', b"1e999"]
)
def test_noise_is_refused(name: str, noise: bytes) -> None:
    parse, kind, _ = PARSERS[name]
    empty_takes_back = noise == b"" and name in ("decision", "release")
    assert bool(judge(parse, kind, noise)) != empty_takes_back


STRICT = [
    (name, path)
    for name in ("alert", "status", "delivery log", "bucket record")
    for path in places(PARSERS[name][2])
    if isinstance(at(PARSERS[name][2], path), bool | int | float)
]


@pytest.mark.parametrize(("name", "path"), STRICT)
def test_a_number_as_text_is_refused_by_its_name(name: str, path: tuple[Any, ...]) -> None:
    parse, kind, example = PARSERS[name]
    fault = judge(parse, kind, changed(example, path, str(at(example, path))))
    assert "got `str`" in fault
    assert str([key for key in path if isinstance(key, str)][-1]) in fault


def test_what_was_read_is_written_as_it_was() -> None:
    raw = alert_bytes()
    assert parse_alert(encode(parse_alert(raw))) == parse_alert(raw)
    assert orjson.loads(encode(parse_alert(raw))) == orjson.loads(raw) | {"subject": None}
