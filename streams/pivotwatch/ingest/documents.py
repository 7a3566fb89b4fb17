"""From a message (or a line, or a body) to documents: one document is what one event is read from."""

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
    """A message, or a line of one, that holds no document.

    Attributes
    ----------
    raw
        What it holds instead.
    """

    def __init__(self, message: str, raw: bytes) -> None:
        super().__init__(message)
        self.raw = raw


def splitter(form: str, wanted: frozenset[str] | None) -> Split:
    """The function that takes messages of a form apart; ``wanted`` are attributes of OTLP spans.

    It yields documents; of a line that cannot be read an `Unreadable` instead, so that the
    documents keep their positions.
    """
    if form == "json":
        return json_documents
    if form == "otlp_json":
        return lambda value: _spans_of_json(value, wanted)
    otlp.check_installed()
    return lambda value: _guarded(otlp.proto_spans(value, wanted), lambda: value)


def messages(lines: Iterable[bytes]) -> Iterator[bytes]:
    r"""The lines of a file as they are; what a program has written over many lines, as one.

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
    r"""A single document, an array of them, or one a line.

    Examples
    --------
    >>> list(json_documents(b'{"a":1}')), list(json_documents(b"[1,2]")), list(json_documents(b"{}\n\n{}"))
    ([{'a': 1}], [1, 2], [{}, {}])
    >>> list(json_documents(b"{}\n{"))[1]
    Unreadable('not JSON')
    """
    if value.startswith(BOM):  # As some programs begin a text.
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
        yield Unreadable("not JSON", value)  # One document over many lines, and broken.
    else:
        for line in io.BytesIO(value):
            if not line.isspace():
                decoded = _loaded(line)
                yield from decoded if type(decoded) is list else (decoded,)


def _written(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:  # Nested more deeply than it can be written.
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
            yield Unreadable("not OTLP traces: no resourceSpans", _written(message))
        else:
            yield from _guarded(otlp.json_spans(message, wanted), functools.partial(_written, message))


def _guarded(documents: Iterator[Any], raw: Callable[[], bytes]) -> Iterator[Any]:
    """What breaks in the middle of a message ends it; what came before counts."""
    try:
        yield from documents
    except ValueError as error:
        yield Unreadable(str(error), raw())
