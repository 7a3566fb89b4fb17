r"""Reads JSON that serializers write although the standard forbids it, and splits damaged arrays.

Serializers write ``NaN`` and ``-Infinity``, cut texts within a character or an escape, and leave control
characters in texts. Such a text is repaired: numbers that are none become null, and damaged characters become
U+FFFD. What remains unreadable costs no other element of its array.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

MAX_REPAIRED = 64_000_000
"""Longest text in bytes that is repaired."""
MAX_SEARCHED = 4_000_000
"""Bytes of elements of one array whose end is searched again, because their own texts do not end."""

_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|\\')
RECORD_SEPARATOR = b"\x1e"  # Begins each text of a JSON text sequence (RFC 7464).

_FIRST_KEY = re.compile(rb'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:')
_MARKS = re.compile(rb'["\[\]{},]')
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


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


def load(text: bytes) -> Any:
    r"""The content of a JSON text, repaired where necessary.

    Raises
    ------
    ValueError
        When it cannot be read.

    Examples
    --------
    >>> load(b'{"p": -Infinity, "text": "\xe9\x97", "path": "C:\\x", "half": "\\ud83d"}')
    {'p': None, 'text': '�', 'path': 'C:\\x', 'half': '?'}
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if len(text) > MAX_REPAIRED:
            raise
    return _repaired(text)


def _repaired(text: bytes) -> Any:
    plain = text.removeprefix(RECORD_SEPARATOR).decode("utf-8", "replace")
    # Each valid escape is kept, so a lone backslash is one that begins none.
    plain = _ESCAPE.sub(lambda found: r"\\" if found[0] == "\\" else found[0], plain)
    try:
        content = json.loads(plain, strict=False, parse_constant=_nothing, parse_float=_finite)
        # Halves of surrogate pairs have no form in UTF-8.
        return orjson.loads(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None


def _nothing(_: str) -> None:
    return None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if abs(number) != float("inf") else None


def damaged_elements(text: bytes) -> Iterator[bytes]:
    """The elements of an array as texts.

    Examples
    --------
    >>> list(damaged_elements(b'[{"id":1}, {"id":oops}, {"id":"3]"}]'))
    [b'{"id":1}', b'{"id":oops}', b'{"id":"3]"}']
    >>> list(damaged_elements(b'[{"id":1}, {"id":"2}, {"id":"3"}]'))
    [b'{"id":1}', b'{"id":"2}', b'{"id":"3"}']
    """
    text = text.strip()
    place, left = 1, MAX_SEARCHED
    while place < len(text):
        end = _end_of(text, place)
        element = text[place:end].strip()
        if left > 0 and not _is_readable(element):
            # A text without its closing quote swallows its neighbours: look for the next one of its kind.
            left -= len(element)
            end = _next_of_its_kind(text, place, end)
            element = text[place:end].strip()
        if element:
            yield element
        place = end + 1


def _is_readable(element: bytes) -> bool:
    try:
        load(element)
    except ValueError:
        return False
    return True


def _end_of(text: bytes, place: int) -> int:
    """The place of the comma or the bracket after the element that begins at a place."""
    depth = 0
    while found := _MARKS.search(text, place):
        mark, place = found[0], found.end()
        if mark == b'"':
            closed = _TEXT.match(text, found.start())
            if closed is None:
                return len(text)
            place = closed.end()
        elif mark in b"[{":
            depth += 1
        elif depth == 0:
            return found.start()
        elif mark in b"]}":
            depth -= 1
    return len(text)


def _next_of_its_kind(text: bytes, place: int, end: int) -> int:
    """Where the next object begins that has the same first name as the one at a place; else ``end``."""
    first = _FIRST_KEY.match(text, place)
    if first is None:
        return end
    name = re.escape(first[0].strip()[1:].strip())
    following = re.compile(rb"\}\s*(,)\s*\{\s*" + name).search(text, first.end(), end)
    return end if following is None else following.start(1)
