"""Durations in the form that people write: ``90s``, ``5m``, ``1h``, ``14d``, ``1w``."""

from __future__ import annotations

import re
from datetime import timedelta

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
EXPECTED = 'a duration such as "90s", "5m", "1h", "14d" or "1w", or a number of seconds'
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|[smhdw]?)\s*", re.ASCII)


def parse_duration(value: object) -> timedelta:
    """Parse a duration. A number without a unit means seconds.

    Examples
    --------
    >>> parse_duration("5m"), parse_duration(90), parse_duration("0.5")
    (datetime.timedelta(seconds=300), datetime.timedelta(seconds=90), datetime.timedelta(microseconds=500000))
    >>> parse_duration("2 weeks")
    Traceback (most recent call last):
    ...
    ValueError: expected a duration such as "90s", "5m", "1h", "14d" or "1w", or a number of seconds
    """
    if isinstance(value, timedelta):
        return value
    match = None if isinstance(value, bool) else _TEXT.fullmatch(str(value))
    if match is None:
        raise ValueError(f"expected {EXPECTED}")
    number, unit = match.groups()
    try:
        return timedelta(seconds=float(number) * UNITS[unit or "s"])
    except OverflowError:
        raise ValueError(f"expected {EXPECTED}; this duration is too long") from None


def format_duration(value: timedelta) -> str:
    """Format a duration in the longest unit that divides it.

    Examples
    --------
    >>> [format_duration(parse_duration(text)) for text in ("3600", "90s", "14d", "1500ms", "0")]
    ['1h', '90s', '2w', '1500ms', '0s']
    """
    ms = millis(value)
    for unit in reversed(UNITS):
        width = round(UNITS[unit] * 1000)
        if ms and ms % width == 0:
            return f"{ms // width}{unit}"
    return "0s"


def millis(value: timedelta) -> int:
    """A duration in whole milliseconds.

    Examples
    --------
    >>> millis(timedelta(hours=1))
    3600000
    """
    return round(value / timedelta(milliseconds=1))
