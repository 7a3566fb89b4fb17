"""Forms beside those that a source documents are read, or named with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from pivotwatch.cli import main
from pivotwatch.ingest.settings import Decoders, read_settings
from tests.ingest.samples import GEN_AI_SPAN, LITELLM, otlp_message, otlp_span

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
