r"""Reads JSON that serializers write although the standard forbids it.

Serializers write ``NaN`` and ``-Infinity``, cut texts within a character or an escape, and leave control
characters in texts. Such a text is repaired: numbers that are none become null, and damaged characters become
U+FFFD.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

MAX_REPAIRED = 64_000_000
"""Longest text in bytes that is repaired."""
RECORD_SEPARATOR = b"\x1e"
"""Begins each text of a JSON text sequence (RFC 7464)."""
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|\\')


def load(text: bytes) -> Any:
    r"""The content of a JSON text, repaired where necessary.

    Raises
    ------
    ValueError
        When it cannot be read.

    Examples
    --------
    >>> load(b'{"p": -Infinity, "text": "\xe9\x97", "path": "C:\\x", "half": "\\ud83d"}')
    {'p': None, 'text': '�', 'path': 'C:\\x', 'half': '?'}
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if len(text) > MAX_REPAIRED:
            raise
    return _repaired(text)


def _repaired(text: bytes) -> Any:
    plain = text.removeprefix(RECORD_SEPARATOR).decode("utf-8", "replace")
    # Each valid escape is kept, so a lone backslash is one that begins none.
    plain = _ESCAPE.sub(lambda found: r"\\" if found[0] == "\\" else found[0], plain)
    try:
        content = json.loads(plain, strict=False, parse_constant=_nothing, parse_float=_finite)
        # Halves of surrogate pairs have no form in UTF-8.
        return orjson.loads(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None


def _nothing(_: str) -> None:
    return None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if abs(number) != float("inf") else None
