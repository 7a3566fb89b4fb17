"""The position of a client in the events: its last offset of each partition, as one short text.

It is the id of a server-sent event, so a browser sends it back when it reconnects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pivotwatch.config.topic_settings import Logical

LETTERS: dict[Logical, str] = {"alerts": "a", "decisions": "d", "status": "s"}
_NAMES = {letter: name for name, letter in LETTERS.items()}
_PART = re.compile(r"([ads])(\d{1,6})-(\d{1,19})", re.ASCII)
MOST_PARTS = 4096

Place = tuple[Logical, int]
"""A logical topic and a partition."""


def write(offsets: Mapping[Place, int]) -> str:
    """A position as text.

    Examples
    --------
    >>> write({("alerts", 0): 12, ("status", 0): 8})
    'a0-12.s0-8'
    """
    return ".".join(f"{LETTERS[topic]}{p}-{offset}" for (topic, p), offset in sorted(offsets.items()))


def read(text: str) -> dict[Place, int] | None:
    """The position of a text; None when the text is malformed.

    Examples
    --------
    >>> read("a0-12.s0-8"), read("12"), read("")
    ({('alerts', 0): 12, ('status', 0): 8}, None, {})
    """
    if not text:
        return {}
    found: dict[Place, int] = {}
    for part in text.split(".", MOST_PARTS):
        match = _PART.fullmatch(part)
        if match is None:
            return None
        found[_NAMES[match[1]], int(match[2])] = int(match[3])
    return found
