"""Converters from values of logs to values of native events. A value that does not fit is a `ValueError`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from pivotwatch.contracts.codec import MAX_TEXT
from pivotwatch.contracts.events import MAX_COUNT, BadEvent, parse_time
from pivotwatch.ingest.private import looks_private, may_be_private
from pivotwatch.ingest.times import by_magnitude, number_of, time_of

Convert = Callable[[Any], Any]

SCALES = {"ms": 1.0, "s": 1000.0, "us": 1e-3, "ns": 1e-6}
"""The units of times that are numbers, in milliseconds."""


class PrivateValue(ValueError):
    """A text looks like a private value, such as an e-mail address."""


def text(value: Any) -> str:
    """A text of bounded length. A whole number is accepted, because ids are often numbers.

    Examples
    --------
    >>> text("acct-9"), text(17)
    ('acct-9', '17')
    """
    if type(value) is int:
        return str(value)
    if type(value) is not str:
        raise ValueError("expected text")
    if len(value) > MAX_TEXT:
        raise ValueError(f"longer than {MAX_TEXT} characters")
    return value


def public_text(value: Any) -> str:
    """A text that stays readable in events, so it must not be an e-mail address or a key.

    Examples
    --------
    >>> public_text("jane@example.com")
    Traceback (most recent call last):
    pivotwatch.ingest.values.PrivateValue: looks like an e-mail address
    """
    if type(value) is str and len(value) <= MAX_TEXT and not may_be_private(value):
        return value
    plain = text(value)
    reason = looks_private(plain)
    if reason:
        raise PrivateValue(f"looks like {reason}")
    return plain


def count(value: Any) -> int:
    """A whole number. Of a list it is the length, so that the content of the list is dropped.

    Examples
    --------
    >>> count("512"), count(12.0), count([{"name": "secret"}]), count(True)
    (512, 12, 1, 1)
    """
    if type(value) is list:
        return len(value)
    if type(value) is str:
        if not (value.isascii() and value.isdigit()):
            raise ValueError("expected a whole number")
        value = int(value[:20])
    elif (type(value) is float and value.is_integer()) or type(value) is bool:
        value = int(value)
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise ValueError("expected a whole number of at least 0")
    return int(value)


def time_in(unit: str) -> Convert:
    """A converter to epoch milliseconds from a number in ``unit``, also as text, or from another time.

    A number that is no time in this unit is read in the unit that its size fits.

    Examples
    --------
    >>> time_in("ns")("1544712660000000000"), time_in("s")(1737710446.847)
    (1544712660000, 1737710446847)
    >>> time_in("s")("2025-01-24 09:20:46.847371")
    1737710446847
    """
    scale = SCALES[unit]
    divisor = round(1 / scale) if scale < 1 else 0

    def convert(value: Any) -> int:
        if type(value) is str:
            if value.isascii() and value.isdigit():
                value = int(value[:20])
            else:
                try:
                    return parse_time(value)
                except BadEvent:
                    number = number_of(value)
                    if number is None:
                        return time_of(value)
                    value = number
        elif type(value) is dict:
            return time_of(value)
        number = value
        if type(value) is int:
            value = value // divisor if divisor else int(value * scale)
        elif type(value) is float and abs(value) < 1e20:
            value = int(value * scale + (0.5 if scale > 1 else 0))
        try:
            return parse_time(value)
        except BadEvent:
            if type(number) in (int, float):
                with contextlib.suppress(ValueError):
                    return by_magnitude(number)
            raise ValueError(f"expected a time between 1970 and 2100, or a number in {unit}") from None

    return convert


def count_or_word(values: dict[str, int]) -> Convert:
    """A converter of whole numbers that also accepts the words in ``values``.

    Examples
    --------
    >>> count_or_word({"success": 200})("success"), count_or_word({})("429")
    (200, 429)
    """

    def convert(value: Any) -> int:
        found = values.get(value if type(value) is str else str(value))
        return count(value) if found is None else found

    return convert
