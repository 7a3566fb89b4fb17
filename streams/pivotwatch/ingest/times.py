"""Times as databases, web servers and languages write them."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime
from typing import Any

from pivotwatch.contracts.events import BadEvent, parse_time

_ZONE_NAMES = re.compile(r"\s*\b(?:UTC|GMT|Z)\b\s*")
_LONG_FRACTION = re.compile(r"(\.\d{6})\d+")
_NUMBER = re.compile(r"\d{1,19}(?:\.\d*)?(?:[eE]\+?\d{1,2})?")
_FORMS = (
    "%a, %d %b %Y %H:%M:%S %z",  # HTTP, e-mail
    "%d/%b/%Y:%H:%M:%S %z",  # access logs
    "%a %b %d %H:%M:%S %Y",  # C, Java
    "%Y/%m/%d %H:%M:%S",  # nginx, Go
    "%Y/%m/%d %H:%M:%S.%f",
)
_MAGNITUDES = ((1e11, 1000.0), (1e14, 1.0), (1e17, 1e-3), (1e20, 1e-6))
"""Least number that is no time in a unit, and milliseconds per unit: s, ms, us and ns."""


def number_of(text: str) -> float | None:
    """The number that a text holds, such as ``1770314400.123`` or ``1.7e9``; None when it holds none."""
    return float(text) if _NUMBER.fullmatch(text) else None


def by_magnitude(number: float) -> int:
    """Epoch milliseconds from a number in any unit. Times from 1973 on are unambiguous.

    Raises
    ------
    ValueError
        When it is no time in any unit.
    """
    for limit, scale in _MAGNITUDES:
        if 1e8 <= number < limit:
            return int(number * scale)
    raise ValueError("expected a time")


def time_of(value: Any) -> int:
    """Epoch milliseconds from a time in another form than RFC 3339. Without an offset it is in UTC.

    Raises
    ------
    ValueError
        When it is no time.

    Examples
    --------
    >>> {time_of(form) for form in ("Thu, 05 Feb 2026 18:00:00 GMT", "05/Feb/2026:18:00:00 +0000")}
    {1770314400000}
    >>> {
    ...     time_of(form)
    ...     for form in ("2026-02-05 18:00:00.000000000 +0000 UTC", "Thu Feb 05 18:00:00 UTC 2026")
    ... }
    {1770314400000}
    >>> time_of({"$date": {"$numberLong": "1770314400000"}}), time_of({"seconds": 1770314400, "nanos": 5})
    (1770314400000, 1770314400000)
    """
    if type(value) is dict:
        return _time_of_object(value)
    if type(value) is not str or len(value) > 60:
        raise ValueError("expected a time")
    named = _ZONE_NAMES.search(value) is not None
    plain = _LONG_FRACTION.sub(r"\1", value.strip())
    bare = _ZONE_NAMES.sub(" ", plain).strip()
    with contextlib.suppress(BadEvent):
        return parse_time(bare.replace(" +", "+").replace(" -", "-"))
    for form in _FORMS:
        text = f"{bare} +0000" if named and form.endswith("%z") else bare
        with contextlib.suppress(ValueError):
            return parse_time(datetime.strptime(text, form))  # noqa: DTZ007  # UTC without an offset
    raise ValueError("expected a time")


def _time_of_object(value: dict[str, Any]) -> int:
    """A time of MongoDB's extended JSON, or a timestamp of the protocol buffers."""
    inner = value.get("$date", value.get("$numberLong"))
    if type(inner) is dict:
        return _time_of_object(inner)
    if type(inner) is str and inner.isdigit():
        inner = int(inner[:20])
    if inner is not None:
        return parse_time(inner)
    seconds, nanos = value.get("seconds"), value.get("nanos") or 0
    if type(seconds) is str and seconds.isdigit():
        seconds = int(seconds[:20])
    if type(seconds) is int and type(nanos) is int:
        return parse_time(seconds * 1000 + nanos // 1_000_000)
    raise ValueError("expected a time")
