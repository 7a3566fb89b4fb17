"""Answers of the HTTP server to OTLP, by its specification, and to unknown encodings."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.engine.http_rig import request
from tests.ingest.samples import GEN_AI_SPAN, otlp_message, otlp_span
from tests.ingest.test_http_access import serving

GOOD = otlp_span(GEN_AI_SPAN)
NOBODY = otlp_span({**GEN_AI_SPAN, "enduser.pseudo.id": "None", "gen_ai.response.id": "r-2"}, "02")


async def post(body: str, on_bad: str = "refuse", **headers: str) -> tuple[int, Any, list[str]]:
    sources = ["otlp_json", "native"]
    async with serving(allow_without_token=True, on_bad=on_bad, sources=sources) as served:
        client = await served.connect()
        kind = {"Content-Type": "application/json", **headers}
        client.send(request("/v1/traces", "POST", body, Connection="close", **kind))
        head, _, text = (await client.read()).partition("\r\n\r\n")
        return int(head.split()[1]), orjson.loads(text or "{}"), served.publisher.got


@pytest.mark.parametrize("on_bad", ["refuse", "dead_letters"])
def test_rejected_spans_are_a_partial_success(on_bad: str) -> None:
    body = orjson.dumps(otlp_message(GOOD, NOBODY)).decode()
    status, answer, sent = asyncio.run(post(body, on_bad))
    assert (status, sent) == (200, ["chatcmpl-otlp-1"])
    assert answer["partialSuccess"]["rejectedSpans"] == "1"


@pytest.mark.parametrize("body", ["{}", '{"resourceSpans":[]}'])
def test_an_empty_message_is_full_success(body: str) -> None:
    assert asyncio.run(post(body)) == (200, {}, [])


def test_what_is_no_otlp_is_refused() -> None:
    assert asyncio.run(post("{"))[0] == 400
    assert asyncio.run(post('{"spans":[]}', "dead_letters"))[0] == 400


@pytest.mark.parametrize("headers", [{"Content-Encoding": "snappy"}, {"Content-Type": "text/plain"}])
def test_an_unknown_encoding_or_type_is_named(headers: dict[str, str]) -> None:
    status, answer, sent = asyncio.run(post("{}", **headers))
    assert (status, sent) == (415, [])
    assert "expected" in answer["error"]
