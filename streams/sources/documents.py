"""From a message (or a line, or a body) to documents: one document is what one event is read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from streams.sources import otlp

FORMS = ("json", "otlp_json", "otlp_proto")
Split = Callable[[bytes], Iterator[Any]]


class Unreadable(ValueError):
    """A message, or a line of one, that holds no document."""


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
    return lambda value: _guarded(otlp.proto_spans(value, wanted))


def json_documents(value: bytes) -> Iterator[Any]:
    r"""A single document, an array of them, or one a line.

    Examples
    --------
    >>> list(json_documents(b'{"a":1}')), list(json_documents(b"[1,2]")), list(json_documents(b"1\n\n2"))
    ([{'a': 1}], [1, 2], [1, 2])
    >>> list(json_documents(b"1\n{"))[1]
    Unreadable('not JSON')
    """
    try:
        decoded = orjson.loads(value)
    except orjson.JSONDecodeError:
        yield from _lines(value)
    else:
        if type(decoded) is list:
            yield from decoded
        else:
            yield decoded


def _lines(value: bytes) -> Iterator[Any]:
    if not value.strip():
        yield Unreadable("empty")
    lines = [line for line in value.splitlines() if line.strip()]
    if len(lines) > 1 and not _starts_like_json(lines[1]):
        lines = [value]  # One document over many lines, and broken.
    for line in lines:
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError:
            yield Unreadable("not JSON")


def _starts_like_json(line: bytes) -> bool:
    return line.lstrip()[:1] in b"{[0123456789"


def _spans_of_json(value: bytes, wanted: frozenset[str] | None) -> Iterator[Any]:
    for message in json_documents(value):
        if isinstance(message, Unreadable):
            yield message
        elif not isinstance(message, dict) or "resourceSpans" not in message:
            yield Unreadable("not OTLP traces: no resourceSpans")
        else:
            yield from _guarded(otlp.json_spans(message, wanted))


def _guarded(documents: Iterator[Any]) -> Iterator[Any]:
    """What breaks in the middle of a message ends it; what came before counts."""
    try:
        yield from documents
    except ValueError as error:
        yield Unreadable(str(error))
