"""One bad element never costs its neighbours, and its dead letter holds its own bytes."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from pivotwatch.contracts.records import Line
from pivotwatch.contracts.repaired_json import load
from pivotwatch.ingest.rejects import dead_letter
from pivotwatch.ingest.settings import Decoders, read_settings
from tests.ingest.samples import GEN_AI_SPAN, SAMPLES, otlp_message, otlp_span

DECODERS = Decoders(read_settings({}))
JSON_SOURCES = ["native", "litellm", "apisix", "kong", "envoy"]
UNREADABLE = [b'{"id":oops}', b'{"id":"x",}', b"{'id':1}", b"nonsense", b'{"id":tru}']
REPAIRED = [
    b'{"a":[NaN,Infinity,-Infinity,1e999]}',
    b'{"a":"\xe9\x97"}',
    b'{"a":"tab\tand \x01"}',
    b'{"a":"C:\\x and \\u12"}',
    b'{"a":"half \\ud83d"}',
    b"\x1e{}",
]


def elements(source: str) -> list[bytes]:
    first = SAMPLES[source][0]
    return [orjson.dumps(first), orjson.dumps({**first, "extra": '},{ ] \\ " '})]


@pytest.mark.parametrize("join", [b",", b",\n", b" , "])
@pytest.mark.parametrize("bad", UNREADABLE)
@pytest.mark.parametrize("source", JSON_SOURCES)
def test_the_other_elements_of_an_array_count(source: str, bad: bytes, join: bytes) -> None:
    one, two = elements(source)
    if source == "litellm":
        two = two.replace(b"chatcmpl-2299b6a2", b"chatcmpl-other")
    decoded = DECODERS.of(source).decode(b"[" + join.join([one, bad, two]) + b"]")
    assert (len(decoded.events), decoded.bad_total) == (2, 1)
    assert decoded.bad[0].raw == bad


@pytest.mark.parametrize("source", JSON_SOURCES)
def test_an_element_without_its_closing_quote_ends_before_the_next_one_of_its_kind(source: str) -> None:
    one, two = elements(source)
    cut = one[: one.index(b'":') + 2] + b'"cut}'
    decoded = DECODERS.of(source).decode(b"[" + b",".join([cut, two, cut, cut, two]) + b"]")
    assert [position for position, _ in decoded.events][:1] == [1]
    assert [bad.raw for bad in decoded.bad] == [cut] * 3


@pytest.mark.parametrize("text", REPAIRED)
def test_what_serializers_let_through_is_read(text: bytes) -> None:
    assert isinstance(load(text), dict)
    orjson.dumps(load(text))
    native = b'{"id":"r","ts":5,"account":"a","model":"m","more":' + text.lstrip(b"\x1e") + b"}"
    assert len(DECODERS.of("native").decode(native).events) == 1


def test_a_bad_span_costs_no_other_span() -> None:
    good = otlp_span(GEN_AI_SPAN)
    message: Any = otlp_message(good, {**good, "attributes": "none"}, 7)  # type: ignore[arg-type]
    message["resourceSpans"].insert(0, "no group")
    decoded = DECODERS.of("otlp_json").decode(orjson.dumps(message))
    assert [position for position, _ in decoded.events] == [1]
    assert [str(bad.error) for bad in decoded.bad] == [
        "resourceSpans: expected objects",
        "attributes: expected a list",
        "spans: expected objects",
    ]
    assert decoded.bad[2].raw == b"7"


def test_the_dead_letter_of_an_element_can_be_sent_again() -> None:
    record = Line(b'[{"id":oops}]', offset=3)
    [bad] = DECODERS.of("native").decode(record.value).bad
    assert dead_letter(bad, "full", "native", record, ("log", 0)).value == b'{"id":oops}'
    assert dead_letter(bad, "redacted", "native", record, ("log", 0)).value == b'"<text of 11 bytes>"'


def test_a_long_damaged_array_is_read_in_time() -> None:
    started = time.process_time()
    decoded = DECODERS.of("native").decode(b"[" + b'{"id":"cut},' * 100_000 + b"]")
    assert decoded.bad_total > 0
    assert time.process_time() - started < 20
