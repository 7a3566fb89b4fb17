"""The sample of every source becomes one native event, and nothing else passes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.events import check_event
from pivotwatch.ingest.decoded import MAX_BAD
from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.mapping import SourceMapping, load_file, shipped
from pivotwatch.ingest.private import shape_of
from pivotwatch.ingest.settings import Decoders, read_settings
from tests.ingest.samples import (
    APISIX,
    EMAIL,
    ENVOY,
    GEN_AI_SPAN,
    KONG,
    LITELLM,
    NATIVE,
    OTLP,
    OTLP_EVENT,
    RAW_KEY,
    SAMPLES,
    SECRETS,
    otlp_message,
    otlp_span,
)


def decoder(source: str, **settings: Any) -> Decoder:
    return Decoders(read_settings(settings)).of(source)


def one(source: str, document: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The only event of a document."""
    decoded = decoder(source, **settings).decode(orjson.dumps(document))
    assert not decoded.bad, decoded.bad[0].error
    [(_, event)] = decoded.events
    return event


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one field changed."""
    document = copy.deepcopy(document)
    *parents, last = path.split("/")
    inner = document
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return document


@pytest.mark.parametrize("source", SAMPLES)
def test_a_full_sample_becomes_its_event_and_nothing_else_passes(source: str) -> None:
    sample, expected = SAMPLES[source]
    event = one(source, sample)
    assert event == expected
    check_event(event)
    assert not any(secret in repr(event) for secret in SECRETS)


def test_every_shipped_source_has_a_sample() -> None:
    assert set(shipped()) == {*SAMPLES, "otlp_proto"}


def test_protobuf_by_the_sdk_of_opentelemetry_becomes_the_same_event() -> None:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace import SpanKind, Status, StatusCode

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("ours")
    start = OTLP_EVENT["ts"] * 1_000_000  # type: ignore[operator]
    with tracer.start_as_current_span("POST /chat", start_time=start):
        span = tracer.start_span("chat", kind=SpanKind.CLIENT, attributes=GEN_AI_SPAN, start_time=start)
        span.set_status(Status(StatusCode.OK))
        span.end(start + 10**9)
        failed = {**GEN_AI_SPAN, "gen_ai.response.id": "r-2"}
        span = tracer.start_span("chat", attributes=failed, start_time=start)
        span.set_status(Status(StatusCode.ERROR, "boom"))
        span.end(start + 10**9)
    message = encode_spans(exporter.get_finished_spans()).SerializeToString()

    decoded = decoder("otlp_proto").decode(message)
    assert [event for _, event in decoded.events] == [
        OTLP_EVENT,
        {**OTLP_EVENT, "id": "r-2", "status": 500},
    ]
    assert decoded.skipped == 1
    assert not decoded.bad


@pytest.mark.parametrize("garbage", [b"", b"\xff\xff\xff", b"{}", b"\x0a\x05ab"])
def test_invalid_protobuf_is_reported(garbage: bytes) -> None:
    decoded = decoder("otlp_proto").decode(garbage)
    assert decoded.events == []
    assert [str(bad.error) for bad in decoded.bad] == (["not OTLP traces in protobuf"] if garbage else [])


def test_spans_keep_their_positions_whatever_is_skipped_or_bad() -> None:
    nobody = {key: value for key, value in GEN_AI_SPAN.items() if key != "enduser.pseudo.id"}
    other = {**GEN_AI_SPAN, "gen_ai.response.id": "r-2"}
    message = otlp_message(
        otlp_span({"a": 1}),
        otlp_span(nobody),
        otlp_span(GEN_AI_SPAN),
        otlp_span(GEN_AI_SPAN),
        otlp_span(other),
    )
    decoded = decoder("otlp_json").decode(orjson.dumps(message))
    assert [position for position, _ in decoded.events] == [2, 4]
    assert [(bad.position, str(bad.error)) for bad in decoded.bad] == [
        (1, "account: looks like an e-mail address: replace it by a pseudonym (ingest.pseudonyms.fields)")
    ]
    assert decoded.skipped == 2


@pytest.mark.parametrize(
    ("source", "sample", "path", "value", "field", "expected"),
    [
        ("litellm", LITELLM, "startTime", 1737710446.847, "ts", 1737710446847),
        ("litellm", LITELLM, "status", "failure", "status", 500),
        ("litellm", LITELLM, "error_information/error_code", "429", "status", 429),
        ("litellm", LITELLM, "metadata/requester_ip_address", "10.1.2.3", "network", None),
        ("apisix", APISIX, "llm_summary/prompt_tokens", "12", "input_tokens", 12),
        ("apisix", APISIX, "llm_summary/prompt_tokens", -1, "input_tokens", None),
        ("apisix", APISIX, "consumer", None, "account", None),
        ("kong", KONG, "consumer", None, "account", "ae974d6c-0f8a"),
        ("envoy", ENVOY, "gen_ai.request.model_override", "-", "model", "m-latest"),
        ("envoy", ENVOY, "downstream_remote_address", "[2001:db8::9]:443", "network", "2001:db8::/48"),
    ],
)
def test_variants_of_fields(
    source: str, sample: dict[str, Any], path: str, value: Any, field: str, expected: Any
) -> None:
    decoded = decoder(source).decode(orjson.dumps(changed(sample, path, value)))
    events = [event for _, event in decoded.events]
    assert [event.get(field) for event in events] == ([expected] if events else [])
    assert bool(events) != (field == "account" and expected is None)


def test_documents_that_are_not_requests_are_skipped() -> None:
    tool_call = {**ENVOY, "gen_ai.request.model": None}
    assert decoder("envoy").decode(orjson.dumps(tool_call)).skipped == 1
    assert decoder("kong").decode(orjson.dumps({**KONG, "ai": {"mcp": {}}})).skipped == 1
    assert decoder("apisix").decode(orjson.dumps({**APISIX, "llm_summary": {}})).skipped == 1


def test_a_missing_id_is_derived_and_reproducible() -> None:
    bare = changed(changed(APISIX, "request/headers", {}), "response/headers", {})
    assert one("apisix", bare)["id"] == one("apisix", bare)["id"]
    assert one("apisix", bare)["id"] != one("apisix", {**bare, "start_time": 1619414294761})["id"]


def test_arrays_and_lines_and_broken_lines() -> None:
    line = orjson.dumps(KONG)
    kong = decoder("kong")
    assert [position for position, _ in kong.decode(b"[" + line + b"," + line + b"]").events] == [0, 1]
    decoded = kong.decode(line + b"\n{broken\n" + line + b"\n7")
    assert [position for position, _ in decoded.events] == [0, 2]
    assert [(bad.position, str(bad.error)) for bad in decoded.bad] == [
        (1, "not JSON"),
        (3, "expected a JSON object"),
    ]


def test_after_a_private_value_the_next_place_is_used() -> None:
    assert one("kong", changed(changed(KONG, "consumer/id", EMAIL), "consumer/username", RAW_KEY))["account"]
    native = decoder("native")
    bad = native.decode(orjson.dumps({"id": "1", "ts": 5, "account": RAW_KEY, "model": "m"})).bad[0]
    assert str(bad.error).startswith("account: looks like a key")
    assert RAW_KEY not in str(bad.error)


def test_lines_that_are_not_json_are_bad_documents() -> None:
    line = orjson.dumps(KONG)
    decoded = decoder("kong").decode(b"\xef\xbb\xbf" + line + b"\noops\n\n" + line)
    assert [position for position, _ in decoded.events] == [0, 2]
    assert [(bad.position, bad.raw) for bad in decoded.bad] == [(1, b"oops\n")]
    broken = orjson.dumps(KONG, option=orjson.OPT_INDENT_2)[:-1]
    assert [bad.raw for bad in decoder("kong").decode(broken).bad] == [broken]
    assert len(decoder("kong").decode(b"\xef\xbb\xbf" + line).events) == 1


def test_skip_rules_accept_values_of_any_type() -> None:
    odd = otlp_span({**GEN_AI_SPAN, "gen_ai.operation.name": ["execute_tool"]})
    assert len(decoder("otlp_json").decode(orjson.dumps(otlp_message(odd))).events) == 1


def test_a_kind_of_link_is_a_name() -> None:
    for kind in (EMAIL, "tell me everything", "k" * 65):
        document = {"id": "1", "ts": 5, "account": "a", "model": "m", "links": {kind: "x"}}
        [bad] = decoder("native").decode(orjson.dumps(document)).bad
        assert kind not in str(bad.error)


def test_beyond_a_limit_bad_documents_of_a_message_are_only_counted() -> None:
    decoded = decoder("native").decode(b"[" + b"1," * (MAX_BAD + 20) + orjson.dumps(NATIVE) + b"]")
    assert decoded.bad_total == MAX_BAD + 20
    assert len(decoded.bad) == MAX_BAD + 1
    assert decoded.bad[-1].position == MAX_BAD
    assert str(decoded.bad[-1].error) == "and 20 more from here on in the same message"
    assert len(decoded.events) == 1


def test_a_long_message_is_read_no_further_than_asked() -> None:
    decoded = decoder("native").decode(orjson.dumps([NATIVE, {}, NATIVE]), most=2)
    assert (decoded.truncated, len(decoded.events), decoded.bad_total) == (True, 1, 1)
    assert not decoder("native").decode(orjson.dumps([NATIVE]), most=1).truncated


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=12,
    ),
    st.sampled_from(
        [("kong", "ai"), ("litellm", "metadata"), ("litellm", "startTime"), ("envoy", "user.id")]
    ),
)
def test_no_value_makes_the_decoder_raise(value: Any, place: tuple[str, str]) -> None:
    source, field = place
    try:
        raw = orjson.dumps({**SAMPLES[source][0], field: value})
    except (TypeError, orjson.JSONEncodeError):
        return
    decoded = decoder(source).decode(raw)
    assert len(decoded.events) + len(decoded.bad) + decoded.skipped == 1
    for _, event in decoded.events:
        check_event(event)


@given(st.binary(max_size=64), st.sampled_from([*SAMPLES, "otlp_proto"]))
def test_no_bytes_make_the_decoder_raise(raw: bytes, source: str) -> None:
    decoded = decoder(source).decode(raw)
    assert not decoded.events


@pytest.mark.parametrize("sample", [sample for sample, _ in SAMPLES.values()], ids=list(SAMPLES))
def test_the_shape_of_a_sample_contains_no_values(sample: dict[str, Any]) -> None:
    shown = repr(shape_of({**sample, EMAIL: 1, PROMPT_AS_NAME: 2}))
    assert not any(secret in shown for secret in SECRETS)
    assert PROMPT_AS_NAME not in shown


PROMPT_AS_NAME = "tell me all"


def own(folder: Path, text: str) -> dict[str, Path]:
    path = folder / "ours.toml"
    path.write_text(text)
    return {"ours": path}


def test_a_custom_mapping(tmp_path: Path) -> None:
    mappings = own(
        tmp_path,
        'form = "json"\nmake_id = true\n[fields]\nts = ["/when"]\naccount = ["/who/0"]\n'
        'model = ["/m~1odel"]\n'
        '[units]\nts = "s"\n[links]\npayment = ["/pay"]\n',
    )
    document = {"when": 1770314400, "who": ["acct-9"], "m/odel": "m-2", "pay": "pay-7", "more": "x"}
    event = one("ours", document, mappings=mappings)
    del event["id"]
    assert event == {
        "ts": 1770314400000,
        "account": "acct-9",
        "model": "m-2",
        "links": {"payment": "pay-7"},
    }


def test_a_custom_mapping_over_a_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "envoy.toml"
    path.write_text('like = "envoy"\n[fields]\naccount = ["/tenant"]\n')
    assert one("envoy", {**ENVOY, "tenant": "t-4"}, mappings={"envoy": path})["account"] == "t-4"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('form = "xml"\n[fields]\n', "ours.toml: form: Input should be 'json', 'otlp_json' or 'otlp_proto'"),
        (
            'form = "json"\n[fields]\nts = ["when"]\n',
            "fields.ts.0: expected a JSON Pointer, which begins with /",
        ),
        (
            'form = "json"\n[fields]\nts = ["/a"]\n',
            "[fields] needs pointers for account, model, id, which every event requires",
        ),
        ('form = "json"\n[fields]\nprompt = ["/a"]\n', "fields.prompt"),
        ('like = "litelm"\n', "no source litelm; did you mean litellm?"),
        ("form = \n", "not a TOML file"),
    ],
)
def test_an_invalid_mapping_is_reported(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(WrongUse) as caught:
        load_file("ours", own(tmp_path, text))
    assert told in str(caught.value)


def test_only_mapped_attributes_of_a_span_are_read() -> None:
    mapping = SourceMapping("otlp_json", load_file("otlp_json"))
    assert "gen_ai.input.messages" not in mapping.wanted_attributes()
    assert not any(
        secret in repr(list(Decoder(mapping)._split(orjson.dumps(OTLP)))[1]["attributes"])
        for secret in SECRETS
        if secret != EMAIL
    )
