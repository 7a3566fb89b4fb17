"""Splits messages, lines of files and HTTP bodies into documents. One document gives at most one event."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from pivotwatch.ingest import otlp

FORMS = ("json", "otlp_json", "otlp_proto")
Split = Callable[[bytes], Iterator[Any]]

BOM = b"\xef\xbb\xbf"


class Unreadable(ValueError):
    """A text that holds no document.

    Attributes
    ----------
    raw
        The text.
    """

    def __init__(self, message: str, raw: bytes) -> None:
        super().__init__(message)
        self.raw = raw


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
    if type(decoded) is list:
        yield from decoded
    elif isinstance(decoded, Unreadable):
        yield from _lines(value)
    else:
        yield decoded


def _lines(value: bytes) -> Iterator[Any]:
    if not value.strip():
        yield Unreadable("empty", value)
    elif not any(isinstance(line, dict | list) for line in map(_loaded, io.BytesIO(value))):
        yield Unreadable("not JSON", value)  # One damaged document over many lines.
    else:
        for line in io.BytesIO(value):
            if not line.isspace():
                decoded = _loaded(line)
                yield from decoded if type(decoded) is list else (decoded,)


def _encoded(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:  # Nested too deeply to be encoded.
        return b""


def _loaded(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return Unreadable("not JSON", text)


def _spans_of_json(value: bytes, wanted: frozenset[str] | None) -> Iterator[Any]:
    for message in json_documents(value):
        if isinstance(message, Unreadable):
            yield message
        elif not isinstance(message, dict) or "resourceSpans" not in message:
            yield Unreadable("not OTLP traces: no resourceSpans", _encoded(message))
        else:
            yield from _until_error(otlp.json_spans(message, wanted), functools.partial(_encoded, message))


def _until_error(documents: Iterator[Any], raw: Callable[[], bytes]) -> Iterator[Any]:
    """Documents up to the first error in the message, then an `Unreadable`."""
    try:
        yield from documents
    except ValueError as error:
        yield Unreadable(str(error), raw())
