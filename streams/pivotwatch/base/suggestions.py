"""Suggestions for mistyped names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like ``name``, or None when none is similar.

    Examples
    --------
    >>> nearest("min_member", ["min_events", "min_members", "theta"])
    'min_members'
    >>> nearest("colour", ["min_events", "theta"])
    """
    found = difflib.get_close_matches(name.lower(), list(known), n=1)
    return found[0] if found else None


def with_suggestion(message: str, name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A message about an unknown name that ends with the most similar known name.

    Parameters
    ----------
    message
        The message.
    name
        The unknown name.
    known
        The known names.
    otherwise
        What to append when no known name is similar.

    Examples
    --------
    >>> with_suggestion("no source kongg", "kongg", ["kong", "litellm"])
    'no source kongg; did you mean kong?'
    >>> with_suggestion("no source x", "x", ["kong", "litellm"], ": expected kong or litellm")
    'no source x: expected kong or litellm'
    """
    similar = nearest(name, known)
    return message + (f"; did you mean {similar}?" if similar else otherwise)
