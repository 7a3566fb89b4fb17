"""One request counts once, however often it is reported, and different requests with one id stay apart."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.request_identity import SeenRequests
from pivotwatch.ingest.settings import Decoders, read_settings
from tests.ingest.samples import LITELLM, attribute, otlp_message

OTLP = Decoders(read_settings({})).of("otlp_json")
START = 1_770_314_400_000


def span(
    number: str, parent: str = "", at: int = 0, lasts: int = 2_000, trace: str = "t1", **attributes: Any
) -> dict[str, Any]:
    values = {
        "user.id": "acct-9",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m-2",
        **{name.replace("__", "."): value for name, value in attributes.items()},
    }
    return {
        "traceId": trace,
        "spanId": number,
        "parentSpanId": parent,
        "kind": 3,
        "startTimeUnixNano": str((START + at) * 10**6),
        "endTimeUnixNano": str((START + at + lasts) * 10**6),
        "attributes": [attribute(name, value) for name, value in values.items() if value is not None],
    }


def ids(decoder: Decoder, *messages: Any) -> list[str]:
    """The ids of the events of messages that one worker reads in turn."""
    seen = SeenRequests[bool]()
    return [
        event["id"]
        for message in messages
        for _, event in decoder.decode(orjson.dumps(message), seen=seen).events
    ]


OUTER = span("a")
INNER = span("b", "a", at=5, lasts=1_900, gen_ai__response__id="r-1")


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([[OUTER, INNER]], ["r-1"]),
        ([[INNER], [OUTER]], ["r-1"]),
        ([[OUTER], [INNER]], ["a"]),
        ([[INNER], [INNER]], ["r-1"]),
        # A wrapper around two calls: both calls count, the wrapper does not.
        ([[OUTER, INNER, span("c", "a", at=1_950, lasts=20, gen_ai__response__id="r-2")]], ["r-1", "r-2"]),
        # A span without a model between the two.
        ([[OUTER, span("x", "a", gen_ai__request__model=None), span("b", "x")]], ["b"]),
        # What a tool asks of a model is a request of its own.
        ([[OUTER, span("x", "a", gen_ai__operation__name="execute_tool"), span("b", "x")]], ["a", "b"]),
        # Same response id in one trace at the same time, not next to each other.
        ([[span("c", "y", gen_ai__response__id="r-1")], [INNER]], ["r-1"]),
        # The same id later in the same trace, in another trace, and of another account.
        ([[INNER], [span("c", "a", at=9_000, gen_ai__response__id="r-1")]], ["r-1", "r-1"]),
        ([[INNER], [span("c", "a", trace="t2", gen_ai__response__id="r-1")]], ["r-1", "r-1"]),
        ([[INNER], [span("c", "a", gen_ai__response__id="r-1", user__id="acct-8")]], ["r-1", "r-1"]),
        # A model that judges within the call of another model.
        (
            [
                [
                    span("a", gen_ai__response__id="r-1"),
                    span("b", "a", gen_ai__response__id="r-2", gen_ai__request__model="j"),
                ]
            ],
            ["r-1", "r-2"],
        ),
        # The outer span alone names the account.
        ([[OUTER, span("b", "a", user__id=None)]], ["a"]),
        # Spans that name each other as parents.
        ([[span("a", "b"), span("b", "a")]], ["a"]),
        ([[span("a", "a")]], ["a"]),
    ],
)
def test_nested_and_repeated_spans(messages: list[list[dict[str, Any]]], expected: list[str]) -> None:
    assert ids(OTLP, *(otlp_message(*spans) for spans in messages)) == expected


@pytest.mark.parametrize(
    ("attributes", "counts"),
    [
        ({"gen_ai__operation__name": "embeddings"}, 1),
        ({"gen_ai__operation__name": "acompletion"}, 1),
        ({"gen_ai__operation__name": "retrieval"}, 0),
        ({"gen_ai__operation__name": "litellm.moderation"}, 0),
        ({"gen_ai__operation__name": None}, 0),
        ({"gen_ai__operation__name": None, "gen_ai__usage__input_tokens": 3}, 1),
        ({"gen_ai__operation__name": None, "gen_ai__usage__input_tokens": 3, "db__system": "redis"}, 0),
        ({"openinference__span__kind": "CHAIN"}, 0),
        ({"gen_ai__operation__name": None, "openinference__span__kind": "LLM"}, 1),
        ({"gen_ai__operation__name": None, "llm__request__type": "chat"}, 1),
        ({"gen_ai__operation__name": None, "llm__request__type": "rerank"}, 0),
        (
            {
                "gen_ai__operation__name": None,
                "traceloop__span__kind": "agent",
                "gen_ai__usage__input_tokens": 3,
            },
            0,
        ),
        ({"gen_ai__operation__name": None, "ai__operationId": "ai.streamText"}, 0),
        ({"gen_ai__operation__name": None, "ai__operationId": "ai.streamText.doStream"}, 1),
        ({"mcp__method__name": "tools/call"}, 0),
        ({"litellm__guardrail__name": "pii"}, 0),
    ],
)
def test_the_kinds_of_spans_that_are_requests(attributes: dict[str, Any], counts: int) -> None:
    decoded = OTLP.decode(orjson.dumps(otlp_message(span("a", **attributes))))
    assert (len(decoded.events), sum(decoded.no_requests.values())) == (counts, 1 - counts)


def test_ids_out_of_a_small_range_lose_no_request() -> None:
    draw = random.Random(7)
    messages = [
        otlp_message(
            span(
                f"s{n}", "", at=100 * n, trace=f"t{n}", gen_ai__response__id=f"chatcmpl-{draw.randrange(999)}"
            )
        )
        for n in range(2_000)
    ]
    assert len(ids(OTLP, *messages)) == 2_000
    litellm = Decoders(read_settings({})).of("litellm")
    records = [
        {
            **LITELLM,
            "id": f"chatcmpl-{draw.randrange(99)}",
            "startTime": START / 1000 + n,
            "litellm_call_id": f"c{n}",
        }
        for n in range(500)
    ]
    assert len(ids(litellm, records)) == 500


def test_the_window_is_bounded() -> None:
    messages = [otlp_message(span(f"s{n}", "p", gen_ai__response__id=f"r{n}")) for n in range(9)]
    for window, repeats in ((3, 2), (9, 3)):
        seen = SeenRequests[bool](window)
        for message in messages:
            OTLP.decode(orjson.dumps(message), seen=seen)
        decoded = [OTLP.decode(orjson.dumps(messages[n]), seen=seen).repeats for n in (8, 5, 0)]
        assert sum(decoded) == repeats
