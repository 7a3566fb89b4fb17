"""One complete record per source, with private values in every place where they may occur.

Field names and types come from the public documents named beside each; all values are invented.
"""

from __future__ import annotations

from typing import Any

PROMPT = "PROMPT-tell-me-everything"
ANSWER = "ANSWER-here-it-is"
EMAIL = "jane.doe@example.com"
RAW_KEY = "sk-live-51H8sdf7sdf98sdf7"
HEADER = "HEADER-trace-cookie"
SECRETS = (PROMPT, ANSWER, EMAIL, RAW_KEY, HEADER)

KEY_HASH = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"

# BerriAI/litellm: docs/my-website/docs/proxy/logging_spec.md and
# tests/logging_callback_tests/gcs_pub_sub_body/standard_logging_payload.json (startTime as text there,
# a float in litellm/types/utils.py).
LITELLM: dict[str, Any] = {
    "id": "chatcmpl-2299b6a2",
    "trace_id": None,
    "call_type": "acompletion",
    "cache_hit": None,
    "stream": True,
    "status": "success",
    "custom_llm_provider": "openai",
    "startTime": "2025-01-24 09:20:46.847371",
    "endTime": "2025-01-24 09:20:46.851954",
    "completionStartTime": "2025-01-24 09:20:46.851954",
    "model": "gpt-4o",
    "metadata": {
        "user_api_key_hash": KEY_HASH,
        "user_api_key_alias": EMAIL,
        "user_api_key_team_id": "team-3",
        "user_api_key_org_id": None,
        "user_api_key_user_id": EMAIL,
        "user_api_key_user_email": EMAIL,
        "spend_logs_metadata": {"note": PROMPT},
        "requester_ip_address": "203.0.113.7",
        "requester_metadata": {"headers": {"authorization": f"Bearer {RAW_KEY}", "cookie": HEADER}},
        "user_api_key_end_user_id": None,
    },
    "response_cost": 0.000225,
    "total_tokens": 30,
    "prompt_tokens": 10,
    "completion_tokens": 20,
    "request_tags": [f"User-Agent: {HEADER}"],
    "end_user": "",
    "api_base": "",
    "model_group": "gpt-latest",
    "requester_ip_address": None,
    "messages": [{"role": "user", "content": PROMPT}],
    "response": {
        "id": "chatcmpl-2299b6a2",
        "model": "gpt-4o",
        "choices": [
            {
                "finish_reason": "tool_calls",
                "index": 0,
                "message": {
                    "content": ANSWER,
                    "role": "assistant",
                    "tool_calls": [{"function": {"name": "look", "arguments": PROMPT}, "type": "function"}],
                },
            }
        ],
        "usage": {"completion_tokens": 20, "prompt_tokens": 10, "total_tokens": 30},
    },
    "model_parameters": {"user": EMAIL, "api_key": RAW_KEY},
    "hidden_params": {"additional_headers": {"x-request": HEADER}},
    "error_str": None,
    "error_information": {"error_code": "", "error_class": "", "llm_provider": "", "error_message": PROMPT},
}
LITELLM_EVENT = {
    "id": "chatcmpl-2299b6a2",
    "ts": 1737710446847,
    "ended": 1737710446851,
    "account": KEY_HASH,
    "network": "203.0.113.0/24",
    "model": "gpt-4o",
    "requested_model": "gpt-latest",
    "input_tokens": 10,
    "output_tokens": 20,
    "tools": 1,
    "status": 200,
}


def attribute(key: str, value: Any) -> dict[str, Any]:
    """An attribute in OTLP JSON, where integers are strings."""
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    if isinstance(value, list):
        return {"key": key, "value": {"arrayValue": {"values": [{"stringValue": v} for v in value]}}}
    return {"key": key, "value": {"stringValue": value}}


# open-telemetry/opentelemetry-proto: examples/trace.json; open-telemetry/semantic-conventions:
# docs/gen-ai/gen-ai-spans.md and docs/gen-ai/non-normative/examples-llm-calls.md.
GEN_AI_SPAN: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "m-latest",
    "gen_ai.response.model": "m-2",
    "gen_ai.response.id": "chatcmpl-otlp-1",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 512,
    "gen_ai.usage.output_tokens": 1210,
    "gen_ai.input.messages": PROMPT,
    "gen_ai.output.messages": ANSWER,
    "gen_ai.system_instructions": PROMPT,
    "http.request.header.authorization": RAW_KEY,
    "user.email": EMAIL,
    "user.id": EMAIL,
    "enduser.pseudo.id": "acct-9",
    "client.address": "2001:db8:1:2::3",
}
START_NS = 1544712660123000000


def otlp_span(attributes: dict[str, Any], span_id: str = "eee19b7ec3c1b174") -> dict[str, Any]:
    """A span in OTLP JSON."""
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": span_id,
        "parentSpanId": "eee19b7ec3c1b173",
        "name": "chat m-latest",
        "kind": 3,
        "startTimeUnixNano": str(START_NS),
        "endTimeUnixNano": str(START_NS + 10**9),
        "attributes": [attribute(key, value) for key, value in attributes.items()],
        "events": [{"name": "gen_ai.user.message", "attributes": [attribute("content", PROMPT)]}],
        "status": {"code": 1, "message": PROMPT},
    }


def otlp_message(*spans: dict[str, Any]) -> dict[str, Any]:
    """A message with spans."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [attribute("service.name", "gateway"), attribute("host", HEADER)]},
                "scopeSpans": [{"scope": {"name": "ours", "version": "1"}, "spans": list(spans)}],
            }
        ]
    }


HTTP_SPAN = {"http.request.method": "POST", "url.full": PROMPT}
TOOL_SPAN = {**GEN_AI_SPAN, "gen_ai.operation.name": "execute_tool", "gen_ai.response.id": "other"}
OTLP = otlp_message(
    otlp_span(HTTP_SPAN, "01"),
    otlp_span(GEN_AI_SPAN),
    otlp_span(TOOL_SPAN, "02"),
    otlp_span(GEN_AI_SPAN, "03"),
)
OTLP_EVENT = {
    "id": "chatcmpl-otlp-1",
    "ts": 1544712660123,
    "ended": 1544712661123,
    "account": "acct-9",
    "network": "2001:db8:1::/48",
    "model": "m-2",
    "requested_model": "m-latest",
    "input_tokens": 512,
    "output_tokens": 1210,
    "status": 200,
}

# apache/apisix: apisix/utils/log-util.lua (get_full_log, get_log_entry) and
# apisix/plugins/ai-proxy/base.lua (set_logging); docs/en/latest/plugins/kafka-logger.md.
APISIX: dict[str, Any] = {
    "request": {
        "url": "http://gateway/v1/chat/completions",
        "uri": "/v1/chat/completions?key=" + RAW_KEY,
        "method": "POST",
        "headers": {
            "authorization": f"Bearer {RAW_KEY}",
            "cookie": HEADER,
            "x-request-id": "req-apisix-1",
            "x-forwarded-for": "198.51.100.1, 203.0.113.7",
        },
        "querystring": {"key": RAW_KEY},
        "size": 90,
        "body": PROMPT,
    },
    "response": {"status": 200, "headers": {"set-cookie": HEADER}, "size": 190, "body": ANSWER},
    "server": {"hostname": "localhost", "version": "3.14.0"},
    "upstream": "127.0.0.1:1980",
    "service_id": "",
    "route_id": "1",
    "consumer": {"username": "team-red"},
    "client_ip": "203.0.113.7",
    "start_time": 1619414294760.0,
    "latency": 12.5,
    "llm_summary": {
        "request_model": "m-latest",
        "model": "m-2",
        "duration": 310,
        "prompt_tokens": 11,
        "completion_tokens": 42,
        "upstream_response_time": 300,
        "stream": False,
        "tool_count": 2,
        "has_tool_calls": True,
        "end_user_id": EMAIL,
    },
    "llm_request": {"messages": [{"role": "user", "content": PROMPT}], "stream": False},
    "llm_response_text": {"content": ANSWER},
}
APISIX_EVENT = {
    "id": "req-apisix-1",
    "ts": 1619414294760,
    "account": "team-red",
    "network": "203.0.113.0/24",
    "model": "m-2",
    "requested_model": "m-latest",
    "input_tokens": 11,
    "output_tokens": 42,
    "tools": 2,
    "status": 200,
}

# Kong/developer.konghq.com: app/_includes/plugins/logging/log-format.md (the request) and
# app/ai-gateway/v1/ai-audit-log-reference.md (what is below ai).
KONG: dict[str, Any] = {
    "response": {"size": 9982, "headers": {"x-kong-request-id": HEADER}, "status": 200},
    "route": {"id": "0f1a4101", "name": "example_route"},
    "workspace": "f381e34e",
    "client_ip": "198.51.100.20",
    "request": {
        "id": "2f6946328ffc4946b8c9120704a4a155",
        "headers": {"authorization": f"Bearer {RAW_KEY}", "cookie": HEADER},
        "uri": "/chat",
        "size": 139,
        "method": "POST",
        "querystring": {"apikey": RAW_KEY},
        "url": "http://localhost:8000/chat",
    },
    "consumer": {"id": "ae974d6c-0f8a", "username": EMAIL, "custom_id": EMAIL},
    "authenticated_entity": {"id": "c62c1455-9b1d", "consumer_id": "ae974d6c-0f8a"},
    "started_at": 1726783839538,
    "upstream_status": "200",
    "latencies": {"kong": 1, "proxy": 171, "request": 173, "receive": 1},
    "ai": {
        "payload": {"request": PROMPT},
        "proxy": {
            "payload": {"response": ANSWER},
            "usage": {
                "time_per_token": 30.142857142857,
                "completion_tokens": 21,
                "prompt_tokens": 14,
                "total_tokens": 35,
                "cost": 0,
            },
            "meta": {
                "request_model": "command",
                "provider_name": "cohere",
                "response_model": "command-r",
                "plugin_id": "546c3856",
                "llm_latency": 2670,
            },
        },
        "sanitizer": {"sanitized_items": [{"entity_type": "EMAIL", "original": EMAIL}]},
    },
}
KONG_EVENT = {
    "id": "2f6946328ffc4946b8c9120704a4a155",
    "ts": 1726783839538,
    "account": "ae974d6c-0f8a",
    "network": "198.51.100.0/24",
    "model": "command-r",
    "requested_model": "command",
    "input_tokens": 14,
    "output_tokens": 21,
    "status": 200,
}

# envoyproxy/ai-gateway: site/docs/capabilities/observability/accesslogs.md and
# site/docs/capabilities/observability/examples/accesslogs-envoy-proxy-llm.yaml; user.id is a line to add.
ENVOY: dict[str, Any] = {
    ":authority": "gateway.example",
    "bytes_received": 105,
    "bytes_sent": 432,
    "downstream_local_address": "127.0.0.1:1975",
    "downstream_remote_address": "203.0.113.9:64484",
    "duration": 1526,
    "gen_ai.provider.name": "default/route/rule/0/ref/0",
    "gen_ai.request.model": "m-latest",
    "gen_ai.request.model_override": "m-2",
    "gen_ai.usage.input_tokens": 15,
    "gen_ai.usage.output_tokens": 7,
    "gen_ai.usage.total_tokens": 22,
    "method": "POST",
    "protocol": "HTTP/1.1",
    "requested_server_name": None,
    "response_code": 200,
    "response_flags": "-",
    "start_time": "2025-08-30T16:51:37.894Z",
    "upstream_host": "34.128.142.77:443",
    "user-agent": HEADER,
    "x-envoy-origin-path": "/v1/chat/completions?key=" + RAW_KEY,
    "x-forwarded-for": "192.168.1.38",
    "x-request-id": "83b63da3-45a9-4196-98b8-1a7f697d6d8d",
    "user.id": "acct-envoy",
}
ENVOY_EVENT = {
    "id": "83b63da3-45a9-4196-98b8-1a7f697d6d8d",
    "ts": 1756572697894,
    "account": "acct-envoy",
    "network": "203.0.113.0/24",
    "model": "m-2",
    "requested_model": "m-latest",
    "input_tokens": 15,
    "output_tokens": 7,
    "status": 200,
}

NATIVE: dict[str, Any] = {
    "id": "req-1",
    "ts": "2026-02-05T18:00:00Z",
    "account": "acct-9",
    "network": "AS64500",
    "model": "m-2",
    "ip": "203.0.113.7",
    "input_tokens": 512,
    "links": {"payment": "pay-7", "signup": None},
    "prompt": PROMPT,
    "headers": {"authorization": RAW_KEY, "cookie": HEADER},
    "email": EMAIL,
    "answer": ANSWER,
}
NATIVE_EVENT = {
    "id": "req-1",
    "ts": 1770314400000,
    "account": "acct-9",
    "network": "AS64500",
    "model": "m-2",
    "input_tokens": 512,
    "links": {"payment": "pay-7"},
}

SAMPLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "native": (NATIVE, NATIVE_EVENT),
    "otlp_json": (OTLP, OTLP_EVENT),
    "litellm": (LITELLM, LITELLM_EVENT),
    "apisix": (APISIX, APISIX_EVENT),
    "kong": (KONG, KONG_EVENT),
    "envoy": (ENVOY, ENVOY_EVENT),
}
