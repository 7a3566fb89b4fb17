"""The rhythms of accounts: how their activity depends on the hour of the week.

A rhythm has 168 factors with mean 1, one for each hour of the week in the time zone of the account, from
Monday 00:00 on. The expected requests of an account in an hour are its hourly rate times the factor.
"""

from __future__ import annotations

import datetime
import enum

import numpy as np
import numpy.typing as npt

SECOND = 1000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
WEEK_HOURS = 168
# Hours from Monday 00:00 to the epoch, which was on a Thursday.
_EPOCH_WEEK_HOUR = 3 * 24


class Rhythm(enum.IntEnum):
    """The kinds of rhythms of `RHYTHMS`; each value is a row. Rows from `PROGRAMS` on are of programs."""

    INTERACTIVE = 0
    OFFICE = 1
    EVENING = 2
    AUTOMATED = 3
    STEADY = 4


def _day(low: float, centre: float, width: float) -> npt.NDArray[np.float64]:
    """24 factors: a bell curve around the hour ``centre``, above the floor ``low``."""
    hours = np.arange(24) + 0.5
    distance = np.minimum(np.abs(hours - centre), 24 - np.abs(hours - centre))
    hill: npt.NDArray[np.float64] = low + np.exp(-0.5 * (distance / width) ** 2)
    return hill


def _office_day() -> npt.NDArray[np.float64]:
    """24 factors: work from 8:00 to 18:00 with a dip at noon, almost nothing at other hours."""
    day = np.full(24, 0.01)
    day[8:18] = 1.0
    day[[7, 18]] = 0.3
    day[12] = 0.6
    return day


def _week(day: npt.NDArray[np.float64], saturday: float, sunday: float) -> npt.NDArray[np.float64]:
    week = np.concatenate([np.tile(day, 5), day * saturday, day * sunday])
    scaled: npt.NDArray[np.float64] = week / week.mean()
    return scaled


# Of tenths of the clients of one real model, from the least active on: the share of hours with requests.
_ACTIVE_SHARES = (0.006, 0.012, 0.024, 0.045, 0.106, 0.234, 0.506, 0.759, 0.954, 1.0)
PROGRAMS = len(Rhythm)


def _program(active: float) -> npt.NDArray[np.float64]:
    """168 factors: jobs that fill this share of the hours, more requests in the first of them."""
    days = 7 if active > 0.08 else 1 + round(6 * active / 0.08)
    busy = min(24, max(1, round(active * WEEK_HOURS / days)))
    day = np.zeros(24)
    day[(np.arange(busy) + 22) % 24] = 1.0 + np.linspace(1.0, 0.0, busy) * (1.0 - active)
    week = np.concatenate([day if n * days // 7 != (n - 1) * days // 7 else np.zeros(24) for n in range(7)])
    scaled: npt.NDArray[np.float64] = week / week.mean()
    return scaled


RHYTHMS = np.stack(
    [
        _week(_day(0.06, 15.0, 4.0), 0.6, 0.55),
        _week(_office_day(), 0.08, 0.05),
        _week(_day(0.05, 20.5, 3.5), 1.2, 1.25),
        _week(_day(2.5, 14.0, 5.0), 0.95, 0.95),
        _week(np.ones(24), 1.0, 1.0),
        *map(_program, _ACTIVE_SHARES),
    ]
)


def hour_of_week(ts: int) -> int:
    """The hour of the week (UTC) of a time in epoch milliseconds.

    Examples
    --------
    >>> hour_of_week(0)  # a Thursday
    72
    """
    return (ts // HOUR + _EPOCH_WEEK_HOUR) % WEEK_HOURS


def iso(ts: int) -> str:
    """A time in epoch milliseconds as RFC 3339 in UTC, to the second.

    Examples
    --------
    >>> iso(1_760_000_000_123)
    '2025-10-09T08:53:20Z'
    """
    when = datetime.datetime.fromtimestamp(ts // SECOND, tz=datetime.UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def next_local(ts: int, tz: int, hour: int, *, workday: bool = True) -> int:
    """The first time at or after ``ts`` at which clocks at UTC + ``tz`` show ``hour``:00.

    Examples
    --------
    >>> iso(next_local(0, 2, 9))
    '1970-01-01T07:00:00Z'
    """
    moment = -(-ts // HOUR) * HOUR
    while True:
        local = (hour_of_week(moment) + tz) % WEEK_HOURS
        if local % 24 == hour and (not workday or local < 5 * 24):
            return moment
        moment += HOUR
