"""Splits damaged JSON arrays: what is unreadable costs no other element of its array."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pivotwatch.contracts.repaired_json import load

MAX_SEARCHED = 4_000_000
"""Bytes of elements of one array whose end is searched again, because their own texts do not end."""

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
