"""Faults that a person outside the program can mend: shown as a message, never as a traceback."""

from __future__ import annotations


class Fault(Exception):
    """A message that says what is wrong and what to do about it.

    Attributes
    ----------
    exit_status
        What the command line exits with.

    Examples
    --------
    >>> OutOfReach("no broker at 127.0.0.1:9092").exit_status
    3
    """

    exit_status = 1


class WrongUse(Fault):
    """Wrong use of a command, a wrong configuration, input of the wrong form."""

    exit_status = 2


class OutOfReach(Fault):
    """Something that the program needs and does not hold is missing: a broker, a topic, a file."""

    exit_status = 3
