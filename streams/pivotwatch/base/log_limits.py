"""Limits the log to one line per second and cause, so that no client can fill a disk."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict

CLIENTS = ("asyncio", "aiohttp", "pivotwatch.engine.http", "pivotwatch.ingest", "pivotwatch.web")
"""Loggers of messages that network clients can cause. There, different values belong to one cause."""
MOST_CAUSES = 1000
MOST_TEXT = 200
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


class RateLimitedLog(logging.Filter):
    """Drops a warning or error when one with the same cause was logged less than ``seconds`` ago.

    The next line of the cause holds the number of dropped lines. A cause is a logger, a level, the text
    before its values are filled in, and the class of the error. For loggers that clients cannot reach, the
    values belong to the cause as well.

    Parameters
    ----------
    seconds
        Shortest time between two lines of one cause.

    Examples
    --------
    >>> limited = RateLimitedLog()
    >>> def line(text, at, *values):
    ...     record = logging.LogRecord("pivotwatch.web", logging.WARNING, "", 0, text, values, None)
    ...     record.created = at
    ...     return record.getMessage() if limited.filter(record) else None
    >>> line("wrong token from %s", 0.0, "a"), line("wrong token from %s", 0.5, "b"), line("other", 0.5)
    ('wrong token from a', None, 'other')
    >>> line("wrong token from %s", 1.5, "c")
    'wrong token from c (1 more like it left out)'
    """

    def __init__(self, seconds: float = 1.0) -> None:
        super().__init__()
        self._seconds = seconds
        self._causes: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write a record."""
        if record.levelno < logging.WARNING:
            return True
        cause = _cause(record)
        passed, left_out = self._causes.get(cause, (None, 0))
        # After the clock was set back, the cause must not stay silent.
        if passed is not None and passed <= record.created < passed + self._seconds:
            self._causes[cause] = (passed, left_out + 1)
            return False
        self._causes[cause] = (record.created, 0)
        self._causes.move_to_end(cause)
        if len(self._causes) > MOST_CAUSES:
            self._causes.popitem(last=False)
        if left_out:
            record.msg = f"{record.msg} ({left_out} more like it left out)"
        return True


def limit_log_lines() -> None:
    """Add a limit to every handler of this process."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(RateLimitedLog())


def _cause(record: logging.LogRecord) -> tuple[object, ...]:
    error = record.exc_info[0] if record.exc_info else None
    text = str(record.msg)
    if record.name.startswith(CLIENTS):
        # asyncio fills in the values before it logs.
        return (record.name, record.levelno, _NUMBER.sub("#", text[:MOST_TEXT].partition("\n")[0]), error)
    return (record.name, record.levelno, text, str(record.args)[:MOST_TEXT], error)
