"""The format of log lines: what is quoted in one can neither forge a line nor reach the terminal."""

from __future__ import annotations

import logging
from types import TracebackType

from pivotwatch.base.outside_text import visible_message


class LogFormat(logging.Formatter):
    r"""Formats a record with every hidden character as an escape, line feeds in a message included.

    Examples
    --------
    >>> record = logging.LogRecord("x", logging.INFO, "", 0, "skipped %s", ("a\n12:00 ERROR \x1b[2J",), None)
    >>> print(LogFormat("%(levelname)s: %(message)s").format(record))
    INFO: skipped a\n12:00 ERROR \x1b[2J
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # named by the base class
        """The line of a record, without its traceback."""
        return visible_message(super().formatMessage(record), lines=False)

    def formatException(  # named by the base class
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """The traceback of a record, indented, so that no line of it looks like a record."""
        return "\n".join("  " + line for line in visible_message(super().formatException(ei)).split("\n"))

    def formatStack(self, stack_info: str) -> str:  # named by the base class
        """The stack of a record."""
        return visible_message(super().formatStack(stack_info))
