"""OTLP traces: a message holds many spans, and each span is a document.

A document holds the fields of the span under their names in OTLP JSON, its attributes under
``attributes`` and the attributes of its resource under ``resource``, as plain values. Only the
attributes that the mapping names are extracted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from pivotwatch.base.errors import WrongUse
from pivotwatch.ingest.lenient_json import Unreadable

Document = dict[str, Any]
_PLAIN = frozenset({"stringValue", "intValue", "boolValue", "doubleValue"})
_PROTO_PLAIN = frozenset({"string_value", "int_value", "bool_value", "double_value"})


def json_spans(message: Any, wanted: frozenset[str] | None) -> Iterator[Document | Unreadable]:
    """The spans of a JSON message (``resourceSpans``) with the wanted attributes, or all with None.

    An `Unreadable` stands for a part that is no span.

    Examples
    --------
    >>> span = {"spanId": "ab", "attributes": [{"key": "user.id", "value": {"stringValue": "u1"}}]}
    >>> list(json_spans({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}, None))
    [{'spanId': 'ab', 'attributes': {'user.id': 'u1'}, 'resource': {}}]
    """
    for group in _items(message, "resourceSpans"):
        if isinstance(group, Unreadable):
            yield group
            continue
        try:
            resource = _attributes(_object(group.get("resource")), wanted)
        except ValueError:  # It costs its spans nothing but itself.
            resource = {}
        # OTLP before 0.19 used another name.
        for scope in (*_items(group, "scopeSpans"), *_items(group, "instrumentationLibrarySpans")):
            for span in (scope,) if isinstance(scope, Unreadable) else _items(scope, "spans"):
                yield span if isinstance(span, Unreadable) else _json_span(span, wanted, resource)


def _json_span(
    span: Document, wanted: frozenset[str] | None, resource: dict[str, Any]
) -> Document | Unreadable:
    try:
        return {**span, "attributes": _attributes(span, wanted), "resource": resource}
    except ValueError as error:
        return Unreadable(str(error), _encoded(span))


ALIASES = {"batches": "resourceSpans"}
"""Names that other interfaces use for a field of the message."""
_DEEPEST = 20


def camel_case(value: Any, depth: int = 0) -> Any:
    """A message whose fields have the names of the protocol buffers, with those of OTLP JSON.

    Examples
    --------
    >>> camel_case({"scope_spans": [{"trace_id": "ab", "attributes": [{"key": "gen_ai.request.model"}]}]})
    {'scopeSpans': [{'traceId': 'ab', 'attributes': [{'key': 'gen_ai.request.model'}]}]}
    """
    if depth > _DEEPEST:
        return value
    if type(value) is list:
        return [camel_case(item, depth + 1) for item in value]
    if type(value) is not dict:
        return value
    return {_camel(name): camel_case(item, depth + 1) for name, item in value.items()}


def _camel(name: str) -> str:
    first, *more = name.split("_")
    return first + "".join(part.capitalize() for part in more)


def proto_spans(message: bytes, wanted: frozenset[str] | None) -> Iterator[Document]:
    """The spans of a protobuf message with the wanted attributes, or all with None.

    Raises
    ------
    ValueError
        When the message is not OTLP.
    """
    traces, decode_error = _traces_data()
    try:
        data = traces.FromString(message)
    except decode_error:
        raise ValueError("not OTLP traces in protobuf") from None
    for group in data.resource_spans:
        resource = _proto_attributes(group.resource.attributes, wanted)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield {
                    "traceId": span.trace_id.hex(),
                    "spanId": span.span_id.hex(),
                    "parentSpanId": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": span.kind,
                    "startTimeUnixNano": span.start_time_unix_nano,
                    "endTimeUnixNano": span.end_time_unix_nano,
                    "status": {"code": span.status.code},
                    "attributes": _proto_attributes(span.attributes, wanted),
                    "resource": resource,
                }


def partial_success(rejected: int, *, binary: bool) -> bytes:
    """The answer to a message of which some spans were rejected; an empty message is full success.

    Examples
    --------
    >>> partial_success(0, binary=False), partial_success(0, binary=True)
    (b'{}', b'')
    """
    if not rejected:
        return b"" if binary else b"{}"
    text = "unreadable spans became dead letters; see the topic dlq"
    if not binary:
        # OTLP in JSON writes 64-bit integers as text.
        return orjson.dumps({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": text}})
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTracePartialSuccess,
        ExportTraceServiceResponse,
    )

    part = ExportTracePartialSuccess(rejected_spans=rejected, error_message=text)
    answer: bytes = ExportTraceServiceResponse(partial_success=part).SerializeToString()
    return answer


def _traces_data() -> tuple[Any, type[Exception]]:
    try:
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
    except ImportError:
        raise WrongUse(
            "source otlp_proto needs the package opentelemetry-proto: pip install 'pivotwatch[otlp]'"
        ) from None
    return TracesData, DecodeError


def check_installed() -> None:
    """Check that the packages for protobuf are installed."""
    _traces_data()


def _items(holder: Any, name: str) -> Iterator[Any]:
    """The objects of a list of a message; an `Unreadable` for each item that is none."""
    listed = holder.get(name) if isinstance(holder, dict) else None
    if listed is None:
        return
    if not isinstance(listed, list):
        yield Unreadable(f"{name}: expected a list", _encoded(listed))
        return
    for item in listed:
        yield item if type(item) is dict else Unreadable(f"{name}: expected objects", _encoded(item))


def _encoded(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # Nested too deeply to be encoded.
        return b""


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _attributes(holder: dict[str, Any], wanted: frozenset[str] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    pairs = holder.get("attributes")
    if type(pairs) is not list:
        pairs = _items(holder, "attributes")  # Nothing, or an error.
    for pair in pairs:
        if type(pair) is not dict:
            raise next(item for item in _items(holder, "attributes") if isinstance(item, Unreadable))
        key = pair.get("key")
        if type(key) is not str or (wanted is not None and key not in wanted):
            continue
        value = pair.get("value")
        if type(value) is dict:
            for form, plain in value.items():
                if form in _PLAIN:
                    # MLflow writes each value as JSON.
                    quoted = type(plain) is str and plain.startswith('"') and key.startswith("mlflow.")
                    found[key] = plain.strip('"') if quoted else plain
                elif form == "arrayValue":  # Of a list only the length is kept.
                    values = _object(plain).get("values")
                    found[key] = [None] * len(values) if isinstance(values, list) else None
    return found


def _proto_attributes(pairs: Iterable[Any], wanted: frozenset[str] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        key = pair.key
        if wanted is None or key in wanted:
            value = pair.value
            form = value.WhichOneof("value")
            if form in _PROTO_PLAIN:
                found[key] = getattr(value, form)
            elif form == "array_value":
                found[key] = [None] * len(value.array_value.values)
    return found
