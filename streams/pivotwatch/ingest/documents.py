"""Splits messages, lines of files and HTTP bodies into documents. One document gives at most one event."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from pivotwatch.ingest import otlp
from pivotwatch.ingest.lenient_json import Unreadable, elements, load

FORMS = ("json", "otlp_json", "otlp_proto")
Split = Callable[[bytes], Iterator[Any]]

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
    return lambda value: _until_error(otlp.proto_spans(value, wanted), lambda: value)


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
        yield from decoded if type(decoded) is list else (decoded,)
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


def _line(line: bytes) -> Iterator[Any]:
    """The documents of one line."""
    decoded = _loaded(line)
    if isinstance(decoded, Unreadable) and _is_array(line):
        yield from _elements(line)
    else:
        yield from decoded if type(decoded) is list else (decoded,)


def _is_array(value: bytes) -> bool:
    """Whether a text that cannot be read is one array, not lines of which the first is an array."""
    bare = value.strip()
    if not (bare.startswith(b"[") and bare.endswith(b"]")):
        return False
    first, _, more = bare.partition(b"\n")
    return not more or isinstance(_loaded(first), Unreadable)


def _elements(value: bytes) -> Iterator[Any]:
    """The elements of an array of which some cannot be read."""
    return map(_loaded, elements(value))


def _encoded(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:  # Nested too deeply to be encoded.
        return b""


def _loaded(text: bytes) -> Any:
    try:
        return load(text)
    except ValueError:
        return Unreadable("not JSON", text)


def _spans_of_json(value: bytes, wanted: frozenset[str] | None) -> Iterator[Any]:
    for message in json_documents(value):
        if isinstance(message, Unreadable):
            yield message
        elif not isinstance(message, dict) or (message and "resourceSpans" not in message):
            yield Unreadable("not OTLP traces: no resourceSpans", _encoded(message))
        else:
            yield from otlp.json_spans(message, wanted)


def _until_error(documents: Iterator[Any], raw: Callable[[], bytes]) -> Iterator[Any]:
    """Documents up to the first error in the message, then an `Unreadable`."""
    try:
        yield from documents
    except ValueError as error:
        yield Unreadable(str(error), raw())
