"""Forms beside those that a source documents are read, or named with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from pivotwatch.cli import main
from pivotwatch.ingest.settings import Decoders, read_settings
from tests.ingest.samples import GEN_AI_SPAN, KONG, LITELLM, otlp_message, otlp_span

MESSAGE = otlp_message(otlp_span(GEN_AI_SPAN))


def snake(value: Any) -> Any:
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = {name: "".join(f"_{c.lower()}" if c.isupper() else c for c in name) for name in value}
    return {names[name]: snake(item) for name, item in value.items()}


def decoded(source: str, document: Any) -> Any:
    return Decoders(read_settings({})).of(source).decode(orjson.dumps(document))


@pytest.mark.parametrize(
    "message",
    [snake(MESSAGE), {"batches": MESSAGE["resourceSpans"]}, {"trace": MESSAGE}, [MESSAGE]],
    ids=["names of the protocol buffers", "Tempo", "Tempo 2", "array"],
)
def test_other_spellings_of_otlp_are_read(message: Any) -> None:
    assert decoded("otlp_json", message).events == decoded("otlp_json", MESSAGE).events != []


@pytest.mark.parametrize("wrap", [lambda row: {"payload": row}, lambda row: row], ids=["schema", "plain"])
def test_rows_of_debezium_are_read_and_deletions_are_no_requests(wrap: Any) -> None:
    assert len(decoded("litellm", wrap({"before": None, "after": LITELLM, "op": "c"})).events) == 1
    gone = decoded("litellm", wrap({"before": {"id": "1"}, "after": None, "op": "d"}))
    assert (gone.events, gone.bad, gone.no_requests) == ([], [], {"a row that was deleted": 1})


def test_a_span_from_a_dead_letter_can_be_sent_again() -> None:
    bad = otlp_span({**GEN_AI_SPAN, "enduser.pseudo.id": ""})
    [letter] = decoded("otlp_json", otlp_message(bad)).bad
    mended = {**letter.document, "attributes": {**letter.document["attributes"], "user.id": "u-1"}}
    for source in ("otlp_json", "otlp_proto"):
        assert [event["account"] for _, event in decoded(source, mended).events] == ["u-1"]


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("b.csv", b"Timestamp,Model,Request tokens,Response tokens\n5,ChatGPT,4,5\n", "BurstGPT"),
        ("a.csv", b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023,4,5\n", "Azure LLM"),
        ("l", b'{"resourceLogs":[]}', "OTLP logs"),
        ("j", b'{"traceID":"1","spans":[],"processes":{}}', "Jaeger"),
        ("c", b'{"choices":[],"usage":{},"id":"1"}', "a response of a model"),
        ("u", b'{"who":1,"what":2}', "fields: who, what"),
        ("k", b"\0\0\0\0\x07{}", "Confluent"),
        ("o", b"Obj\x01....", "Avro"),
        ("z", b"PK\x03\x04....", "ZIP"),
        ("x", b"\xfd7zXZ\0", "xz"),
    ],
)
def test_what_no_source_reads_is_named(name: str, content: bytes, word: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for command in (["replay"], ["mapping", "check"]):
        told = CliRunner().invoke(main, [*command, str(path)])
        assert told.exit_code != 0
        assert word in told.output


def test_otlp_without_a_request_is_still_otlp(tmp_path: Path) -> None:
    path = tmp_path / "spans"
    path.write_bytes(orjson.dumps(otlp_message(otlp_span({"gen_ai.operation.name": "execute_tool"}))))
    told = CliRunner().invoke(main, ["replay", str(path)])
    assert (told.exit_code, "read as source otlp_json" in told.output) == (1, True)
    assert "not a request" in told.output


def test_native_events_in_an_envelope_or_with_a_wrong_number_are_recognised(tmp_path: Path) -> None:
    path = tmp_path / "events"
    event = '{"id":"%d","ts":1770314400000,"account":"a","model":"m-2","input_tokens":%s}'
    path.write_text(f"[{event % (1, '-Infinity')},{event % (2, '3')}]")
    assert "2 events" in CliRunner().invoke(main, ["replay", str(path)]).stderr
    path.write_bytes(orjson.dumps({"log": event % (1, "3"), "stream": "stdout"}))
    assert "1 events" in CliRunner().invoke(main, ["replay", str(path)]).stderr


NOON = 1_770_314_400_000


@pytest.mark.parametrize(
    "written",
    [
        "2026-02-05 18:00:00 UTC",
        "2026-02-05 18:00:00,000",
        "2026-02-05 18:00:00.000000+00",
        "2026-02-05 18:00:00.000000000 +0000 UTC",
        "2026-02-05T18:00:00.000000000Z",
        "20260205T180000Z",
        "Thu, 05 Feb 2026 18:00:00 GMT",
        "05/Feb/2026:18:00:00 +0000",
        "05/Feb/2026:19:00:00 +0100",
        "Thu Feb  5 18:00:00 2026",
        "Thu Feb 05 18:00:00 UTC 2026",
        "2026/02/05 18:00:00",
        "2026/02/05 18:00:00.000000",
        "2026-02-05 18:00:00 +0000",
        "1770314400.000",
        "1.7703144e9",
        {"$date": "2026-02-05T18:00:00Z"},
        {"$date": {"$numberLong": "1770314400000"}},
        {"seconds": "1770314400", "nanos": 0},
        1_770_314_400,
        1_770_314_400_000,
        1_770_314_400_000_000,
        1_770_314_400_000_000_000,
    ],
    ids=str,
)
def test_times_are_read_as_programs_write_them(written: Any) -> None:
    [(_, event)] = decoded("litellm", {**LITELLM, "startTime": written}).events
    assert event["ts"] == NOON


@pytest.mark.parametrize(
    "written", ["yesterday", "05/99/2026", {}, {"$date": {}}, [], "9" * 80, 1e300, -5, {"seconds": "x"}]
)
def test_what_is_no_time_is_bad(written: Any) -> None:
    [bad] = decoded("litellm", {**LITELLM, "startTime": written}).bad
    assert str(bad.error).startswith("ts: ")


@pytest.mark.parametrize(
    "field", ["log", "message", "body", "msg", "line", "event", "jsonPayload", "_source"]
)
def test_records_inside_fields_of_shippers_are_read(field: str) -> None:
    wanted = decoded("kong", KONG).events
    text = orjson.dumps(KONG).decode()
    for inner in (KONG, text, f"2026-02-05T18:00:00Z stdout F {text}", {"original": text}):
        assert decoded("kong", {field: inner, "stream": "stdout"}).events == wanted != []


@pytest.mark.parametrize(
    "prefix",
    [
        "2026-02-05T18:00:00.123Z ",
        "2026-02-05T18:00:00Z stdout F ",
        "<14>1 2026-02-05T18:00:00Z host kong - - - ",
        "2026/02/05 18:00:00 [notice] 1#0: *2 [lua] file-log: ",
        "Feb  5 18:00:00 host kong[123]: ",
    ],
)
def test_records_after_a_prefix_are_read(prefix: str) -> None:
    decoder = Decoders(read_settings({})).of("kong")
    assert decoder.decode(prefix.encode() + orjson.dumps(KONG)).events == decoded("kong", KONG).events != []


@pytest.mark.parametrize("page", ["data", "results", "records", "logs", "items"])
def test_records_of_a_page_are_read(page: str) -> None:
    assert (
        len(
            decoded(
                "litellm", {page: [LITELLM, {**LITELLM, "id": "2", "litellm_call_id": "2"}], "total": 2}
            ).events
        )
        == 2
    )
    assert (
        len(decoded("kong", {"logEvents": [{"id": "1", "message": orjson.dumps(KONG).decode()}]}).events) == 1
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {"mlflow.spanType": '"CHAT_MODEL"', "mlflow.llm.model": '"m-2"'},
        {"genkit:type": "action", "genkit:metadata:subtype": "model", "genkit:name": "m-2"},
        {"telemetry.sdk.name": "openlit", "gen_ai.operation.name": "chat", "gen_ai.request.model": "m-2"},
    ],
    ids=["MLflow", "Genkit", "OpenLIT"],
)
def test_spans_of_other_kits_are_read(attributes: dict[str, Any]) -> None:
    found = decoded("otlp_json", otlp_message(otlp_span({**attributes, "gen_ai.request.user": "u-1"}))).events
    assert [(event["account"], event["model"]) for _, event in found] == [("u-1", "m-2")]


def test_flows_and_tools_of_other_kits_are_no_requests() -> None:
    for kind in (
        {"mlflow.spanType": '"AGENT"', "mlflow.llm.model": '"m-2"'},
        {"genkit:type": "action", "genkit:metadata:subtype": "flow", "genkit:name": "answer"},
        {"genkit:type": "action", "genkit:metadata:subtype": "tool", "genkit:name": "search"},
    ):
        told = decoded("otlp_json", otlp_message(otlp_span({**kind, "user.id": "u-1"})))
        assert (told.events, told.bad) == ([], [])


def test_envelopes_within_envelopes_end() -> None:
    record: Any = {"a": 1}
    for _ in range(200):
        record = {"log": record}
    assert decoded("kong", record).events == []
