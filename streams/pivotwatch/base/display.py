"""Numbers, shares, spans and times as a person reads them: two digits, a unit, UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

NOTHING = "–"
HOUR = timedelta(hours=1)
_LARGE = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"))
_UNITS = (
    (timedelta(days=1), "day"),
    (HOUR, "hour"),
    (timedelta(minutes=1), "minute"),
    (timedelta(seconds=1), "second"),
)


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "switch", "switches"), counted(1200, "account")
    ('1 switch', '1,200 accounts')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(share: float | None) -> str:
    """A share in percent.

    Examples
    --------
    >>> percent(0.481), percent(0.0123), percent(0.0), percent(0.00004), percent(0.9996), percent(None)
    ('48 %', '1.2 %', '0 %', '<0.01 %', '>99 %', '–')
    """
    if share is None:
        return NOTHING
    if 0 < share < 0.0001:
        return "<0.01 %"
    if 0.995 <= share < 1:
        return ">99 %"
    digits = f"{share * 100:.0f}" if share >= 0.0995 or share == 0 else f"{share * 100:.2g}"
    return f"{digits} %"


def two_digits(value: float | None) -> str:
    """A positive number with two digits, and every digit before the point.

    Examples
    --------
    >>> [two_digits(value) for value in (1234.5, 15.44, 1.92, 2.0, 0.0068, 0.001, 0, None)]
    ['1,234', '15', '1.9', '2.0', '0.01', '<0.01', '0', '–']
    >>> two_digits(0.7)
    '0.70'
    """
    if value is None:
        return NOTHING
    if 0 < value < 0.005:
        return "<0.01"
    if value >= 9.95:
        return f"{value:,.0f}"
    if value >= 0.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value else "0"


def times(ratio: float | None) -> str:
    """How many times as much or as fast.

    Examples
    --------
    >>> times(46.2), times(2.0), times(0.31), times(None)
    ('46×', '2×', '0.31×', '–')
    >>> times(0.9), times(10.0)
    ('0.9×', '10×')
    """
    if ratio is None:
        return NOTHING
    digits = two_digits(ratio)
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}×"


def score(log_e_value: float | None) -> str:
    """The logarithm of an e-value: a score, or the threshold that it is compared with.

    Examples
    --------
    >>> score(115.43), score(15.43), score(-0.61), score(None)
    ('115', '15.4', '-0.6', '–')
    """
    if log_e_value is None:
        return NOTHING
    return f"{log_e_value:,.0f}" if log_e_value >= 99.95 else f"{log_e_value:.1f}"


def at_least(value: float) -> str:
    """A large number, rounded down to two digits; at most a trillion.

    Examples
    --------
    >>> at_least(104_999), at_least(4_290_000_000), at_least(1e80), at_least(7.9)
    ('100,000', '4.2 billion', 'a trillion', '7')
    """
    if value >= 10**12:
        return "a trillion"
    step = 10 ** max(0, math.floor(math.log10(max(value, 1.0))) - 1)
    down = math.floor(value / step) * step
    for unit, name in _LARGE:
        if down >= unit:
            return f"{down / unit:g} {name}"
    return f"{down:,}"


def span(duration: timedelta) -> str:
    """A duration in the unit that fits, with two digits.

    Examples
    --------
    >>> (
    ...     span(timedelta(hours=3)),
    ...     span(timedelta(hours=71)),
    ...     span(timedelta(hours=80)),
    ...     span(timedelta(days=4)),
    ... )
    ('3 hours', '71 hours', '3.3 days', '4 days')
    >>> span(timedelta(minutes=90)), span(timedelta(seconds=60)), span(timedelta(milliseconds=20))
    ('1.5 hours', '1 minute', '0.02 seconds')
    """
    for unit, name in _UNITS:
        if duration >= (3 * unit if name == "day" and duration % unit else unit):
            break
    shown = two_digits(duration / unit).removesuffix(".0")
    return f"{shown} {name}{'' if shown == '1' else 's'}"


def clock_time(when: datetime) -> str:
    """A time in UTC, to the minute.

    Examples
    --------
    >>> clock_time(datetime(2026, 2, 6, 14, 5, tzinfo=UTC))
    '2026-02-06 14:05 UTC'
    """
    try:
        return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except OverflowError:  # The first or last day that a datetime can hold, in another time zone.
        return NOTHING


def day_and_time(milliseconds: float) -> str:
    """A time in epoch milliseconds as day and minute in UTC.

    Examples
    --------
    >>> day_and_time(1_770_386_400_000)
    '6 Feb 14:00'
    """
    when = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{when.day} {when:%b %H:%M}"


def iso_time(milliseconds: float) -> str:
    """A time in epoch milliseconds as ISO 8601, to the second.

    Examples
    --------
    >>> iso_time(1_770_386_400_000)
    '2026-02-06T14:00:00+00:00'
    """
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
