"""Errors that a person can correct. The command line shows their message, never a traceback."""

from __future__ import annotations


class Fault(Exception):
    """An error that a person can correct: its message says what is wrong and what to do.

    Attributes
    ----------
    exit_status
        Exit status of the command line.

    Examples
    --------
    >>> OutOfReach("no broker at 127.0.0.1:9092").exit_status
    3
    """

    exit_status = 1


class WrongUse(Fault):
    """A command is used wrongly, the configuration is wrong, or input has the wrong form."""

    exit_status = 2


class OutOfReach(Fault):
    """A dependency is unavailable: a broker, a topic or a file."""

    exit_status = 3
