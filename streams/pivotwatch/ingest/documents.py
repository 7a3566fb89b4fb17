"""Splits messages, lines of files and HTTP bodies into documents. One document gives at most one event."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from pivotwatch.contracts.repaired_json import load
from pivotwatch.ingest import otlp
from pivotwatch.ingest.lenient_json import Unreadable, damaged_elements

FORMS = ("json", "otlp_json", "otlp_proto")
Split = Callable[[bytes], Iterator[Any]]

ENVELOPES = (
    *("log", "message", "body", "msg", "line", "event", "original"),
    *("jsonPayload", "textPayload", "_source"),
)
"""Fields in which log shippers and stores put the line that a program wrote."""
DEEPEST = 4
"""How many envelopes may lie in each other."""
PAGES = ("data", "results", "records", "logEvents", "logs", "items", "hits")
"""Fields in which interfaces put the records of a page."""
MAX_PREFIX = 300
"""Bytes that a container runtime, syslog or a web server writes before the record of a line."""
BOM = b"\xef\xbb\xbf"


def splitter(form: str, wanted: frozenset[str] | None) -> Split:
    """The function that splits messages of a form into documents.

    It yields an `Unreadable` for each text that cannot be parsed, so that documents keep their positions.

    Parameters
    ----------
    form
        One of `FORMS`.
    wanted
        Names of the attributes of OTLP spans to extract; None extracts all.
    """
    if form == "json":
        return json_documents
    if form == "otlp_json":
        return lambda value: _spans_of_json(value, wanted)
    otlp.check_installed()
    return lambda value: (
        _spans_of_json(value, wanted)  # A dead letter that is sent again. No message begins like this.
        if value.startswith(b'{"')
        else _until_error(otlp.proto_spans(value, wanted), lambda: value)
    )


def messages(lines: Iterable[bytes]) -> Iterator[bytes]:
    r"""The messages of a file: its lines, with the lines of a pretty-printed document joined.

    Examples
    --------
    >>> list(messages([b'{"a":1}', b"[", b'  {"a":2}', b"]", b"{", b'  "a":3', b"}"]))
    [b'{"a":1}', b'[\n  {"a":2}\n]', b'{\n  "a":3\n}']
    """
    held, close = list[bytes](), None
    for line in lines:
        bare = line.rstrip()
        if close is None:
            close = _CLOSES.get(bare)
        if close is None:
            yield line
            continue
        held.append(line)
        if bare == close:
            yield b"\n".join(held)
            held, close = [], None
    if held:
        yield b"\n".join(held)


_CLOSES = {b"[": b"]", b"{": b"}", b"[{": b"}]"}


def json_documents(value: bytes) -> Iterator[Any]:
    r"""The documents of a JSON text: a single document, an array of documents, or one document per line.

    Examples
    --------
    >>> list(json_documents(b'{"a":1}')), list(json_documents(b"[1,2]")), list(json_documents(b"{}\n\n{}"))
    ([{'a': 1}], [1, 2], [{}, {}])
    >>> list(json_documents(b"{}\n{"))[1]
    Unreadable('not JSON')
    """
    if value.startswith(BOM):
        value = value[len(BOM) :]
    decoded = _loaded(value)
    if not isinstance(decoded, Unreadable):
        yield from decoded if type(decoded) is list else _page(decoded)
    elif not value.strip():
        yield Unreadable("empty", value)
    elif _is_array(value):
        yield from _elements(value)
    elif not any(isinstance(line, dict | list) for line in map(_loaded, io.BytesIO(value))):
        yield decoded  # One damaged document over many lines.
    else:
        for line in io.BytesIO(value):
            if not line.isspace():
                yield from _line(line)


def _page(document: Any) -> Iterable[Any]:
    """The records of a page of an interface such as ``{"data": […], "page": 1}``, else the document."""
    if type(document) is dict and "id" not in document and _OF_RECORDS.isdisjoint(document):
        for name in PAGES:
            if type(records := document.get(name)) is list and records and type(records[0]) is dict:
                return records
    return (document,)


_OF_RECORDS = frozenset({"model", "request_id", "resourceSpans", "resource_spans", "ts"})
"""Fields of records, which a page has not."""


def _line(line: bytes) -> Iterator[Any]:
    """The documents of one line."""
    decoded = _loaded(line)
    if isinstance(decoded, Unreadable) and _is_array(line):
        yield from _elements(line)
    else:
        yield from decoded if type(decoded) is list else _page(decoded)


def _is_array(value: bytes) -> bool:
    """Whether a text that cannot be read is one array, not lines of which the first is an array."""
    bare = value.strip()
    if not (bare.startswith(b"[") and bare.endswith(b"]")):
        return False
    first, _, more = bare.partition(b"\n")
    return not more or isinstance(_loaded(first), Unreadable)


def _elements(value: bytes) -> Iterator[Any]:
    """The elements of an array of which some cannot be read."""
    return map(_loaded, damaged_elements(value))


def _encoded(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:  # Nested too deeply to be encoded.
        return b""


def inside_envelope(document: dict[str, Any], depth: int = 0) -> dict[str, Any] | None:
    """The record that a log shipper has put as text into a field of its own record, or None.

    Examples
    --------
    >>> inside_envelope({"log": '{"id":"1"}', "stream": "stdout"}), inside_envelope({"log": "started"})
    ({'id': '1'}, None)
    """
    row = changed_row(document)
    if row:
        return row
    for name in ENVELOPES:
        text = document.get(name)
        if type(text) is dict:
            return (inside_envelope(text, depth + 1) if depth < DEEPEST else None) or text
        if type(text) is str and "{" in text:
            inner = _loaded(text.strip().encode("utf-8", "replace"))
            if type(inner) is dict:
                return inner
    return None


def changed_row(document: dict[str, Any]) -> dict[str, Any] | None:
    """The row of a change record of Debezium, with or without its schema; empty when the row was deleted.

    Examples
    --------
    >>> changed_row({"payload": {"after": {"id": 1}, "op": "c"}}), changed_row({"after": None, "op": "d"})
    ({'id': 1}, {})
    >>> changed_row({"id": 1})
    """
    change = document.get("payload", document)
    if type(change) is not dict or not change.keys() >= {"after", "op"}:
        return None
    row = change["after"]
    return row if type(row) is dict else {}


def _loaded(text: bytes) -> Any:
    try:
        return load(text)
    except ValueError:
        start = _after_prefix(text)
        return _loaded(text[start:]) if start else Unreadable("not JSON", text)


def _after_prefix(text: bytes) -> int:
    """Where the record of a line begins after a prefix; 0 without one."""
    start = text.find(b"{", 1, MAX_PREFIX)
    if text[start - 1 : start] == b"[":
        start -= 1
    prefix = text[: max(start, 0)]
    if not prefix.strip() or not prefix[-1:].isspace() or b'"' in prefix or b"\n" in prefix:
        return 0
    return 0 if prefix.lstrip().startswith((b"{", b"[")) else start


def _spans_of_json(value: bytes, wanted: frozenset[str] | None) -> Iterator[Any]:
    for message in json_documents(value):
        if type(message) is dict and (found := _other_spelling(message)) is not None:
            message = found
        if isinstance(message, Unreadable):
            yield message
        elif type(message) is dict and type(message.get("spanId")) is str and "resourceSpans" not in message:
            yield message  # A single span, as a dead letter holds it.
        elif not isinstance(message, dict) or (message and "resourceSpans" not in message):
            yield Unreadable("not OTLP traces: no resourceSpans", _encoded(message))
        else:
            yield from otlp.json_spans(message, wanted)


def _other_spelling(message: dict[str, Any]) -> dict[str, Any] | None:
    """A message with the names of the protocol buffers, or of Tempo, in the usual spelling."""
    if type(inner := message.get("trace")) is dict and not message.keys() - {"trace", "status", "metrics"}:
        message = inner
    elif "resource_spans" not in message and "batches" not in message:
        return None
    spelt: dict[str, Any] = otlp.camel_case(
        {otlp.ALIASES.get(name, name): value for name, value in message.items()}
    )
    return spelt


def _until_error(documents: Iterator[Any], raw: Callable[[], bytes]) -> Iterator[Any]:
    """Documents up to the first error in the message, then an `Unreadable`."""
    try:
        yield from documents
    except ValueError as error:
        yield Unreadable(str(error), raw())
