"""Names forms of records that no source reads, and says what to do with them."""

from __future__ import annotations

from typing import Any

FORMS: tuple[tuple[str, frozenset[str], str], ...] = tuple(
    (name, frozenset(fields), advice)
    for name, fields, advice in (
        (
            "a trace of BurstGPT",
            ("Timestamp", "Model", "Request tokens", "Response tokens"),
            "it names no accounts, and detection compares accounts",
        ),
        (
            "a trace of Azure LLM inference",
            ("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
            "it names no accounts and no models",
        ),
        ("OTLP logs", ("resourceLogs",), "export the traces; log records are not read"),
        ("OTLP metrics", ("resourceMetrics",), "export the traces; metrics hold no single requests"),
        ("a trace of Jaeger", ("traceID", "spans", "processes"), "export OTLP in JSON instead"),
        ("spans of Zipkin", ("traceId", "id", "localEndpoint"), "export OTLP in JSON instead"),
        (
            "a result of a batch interface",
            ("custom_id", "response"),
            "it names no account; read the log of the gateway",
        ),
        (
            "a response of a model",
            ("choices", "usage"),
            "it names no account; read the log of the gateway",
        ),
        ("a message of a model interface", ("content", "stop_reason"), "it names no account"),
        (
            "a change record without a row",
            ("before", "after", "op"),
            "only a row after an insert or an update is a request",
        ),
        ("a CloudEvent", ("specversion", "data"), "map the fields below /data with your own mapping"),
        ("an archive of a browser (HAR)", ("log",), "read the log of the gateway"),
    )
)
"""Name, fields that the form has, and what to do."""


def describe(document: Any) -> str:
    """What a document seems to be, and what to do; empty when its form is not known.

    Examples
    --------
    >>> describe({"resourceLogs": []})
    'this looks like OTLP logs: export the traces; log records are not read'
    >>> describe({"a": 1})
    ''
    """
    if type(document) is not dict:
        return ""
    inner = document.get("payload")
    found = {*document, *(inner if type(inner) is dict else ())}
    if "log" in found and type(document["log"]) is not dict:
        found.discard("log")
    for name, fields, advice in FORMS:
        if fields <= found:
            return f"this looks like {name}: {advice}"
    return ""
