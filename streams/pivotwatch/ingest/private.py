"""Recognises private values (e-mail addresses, API keys), and reduces records to their shape."""

from __future__ import annotations

import itertools
import re
from typing import Any

_EMAIL = re.compile(r"[^\s@<>\"',;]+@[^\s@<>\"',;]+\.[A-Za-z]{2,}")
_KEY_STARTS = (
    *(
        "sk-",
        "sk_",
        "pk-",
        "pk_",
        "rk_",
        "rk-",
        "Bearer ",
        "bearer ",
        "Basic ",
        "eyJ",
        "AKIA",
        "ASIA",
        "AIza",
    ),
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "hf_", "gsk_", "ya29."),
)
_KEYS = re.compile(
    r"(?:[Bb]earer \S{12,}|Basic [A-Za-z0-9+/]{8,}={0,2}|eyJ[\w-]{8,}\.[\w-]{8,}.*|AKIA[A-Z2-7]{16}"
    r"|ASIA(?=[A-Z]*[2-7])[A-Z2-7]{16}|AIza[\w-]{35}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
    r"|glpat-[\w-]{20,}|xox[a-z](?:-\d+)+-[A-Za-z0-9]{8,}|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{30,}"
    r"|ya29\.[\w-]{20,})"
)
"""Keys with a fixed form."""
_SECRET_START = re.compile(r"(?:sk|pk|rk)[-_]|hf_|gsk_|xox[a-z]-")
_SHORTEST_RANDOM = 10
_LONG_RANDOM = 32
NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_.:/-]{0,63}")
"""The pattern of names of fields and kinds of links."""
MAX_DEPTH = 12
MAX_ITEMS = 50


def may_be_private(value: str) -> bool:
    """Whether `looks_private` has to look at a text; a quick test, since most texts are plain.

    Examples
    --------
    >>> may_be_private("acct-9"), may_be_private("sk-9"), may_be_private("claude-3@20240620")
    (False, True, True)
    """
    return "@" in value or value.startswith(_KEY_STARTS)


def looks_private(value: str) -> str:
    """What kind of private value a text seems to be; empty when it seems to be none.

    Examples
    --------
    >>> looks_private("sk-live-51H8sdf7sdf"), looks_private("claude-3@20240620"), looks_private("acct-9")
    ('a key', '', '')
    >>> [looks_private(name) for name in ("ASIA-PACIFIC-00017", "hf_research_team", "Basic plan 17")]
    ['', '', '']
    """
    if "@" in value and _EMAIL.search(value):
        return "an e-mail address"
    if not value.startswith(_KEY_STARTS):
        return ""
    if _KEYS.fullmatch(value):
        return "a key"
    start = _SECRET_START.match(value)
    if start is not None and any(map(_is_random, re.split(r"[-_.]", value[start.end() :]))):
        return "a key"
    return ""


def _is_random(text: str) -> bool:
    """Whether a text was drawn at random: it is long, and letters, capitals and digits change often.

    Examples
    --------
    >>> _is_random("51H8sdf7sdf"), _is_random("000000000017"), _is_random("customer2024europe")
    (True, False, False)
    """
    if len(text) < _SHORTEST_RANDOM or not text.isascii() or not text.isalnum() or text.isdigit():
        return False
    kinds = ["0" if letter.isdigit() else "A" if letter.isupper() else "a" for letter in text]
    changes = sum(one != other for one, other in itertools.pairwise(kinds))
    has_digits = "0" in kinds
    return changes >= 3 or (has_digits and (len(text) >= _LONG_RANDOM or len(set(text)) >= 15))


def shape_of(value: Any, depth: int = 0) -> Any:
    """The shape of a record: its fields, with the type of each value instead of the value.

    A field name that is unusual or looks private is replaced as well.

    Examples
    --------
    >>> shape_of({"model": "m-2", "n": 3, "who": ["jane@example.com"], "jane@example.com": 1})
    {'model': '<text of 3>', 'n': '<int>', 'who': ['<text of 16>'], '<name 3>': '<int>'}
    """
    if isinstance(value, str):
        return f"<text of {len(value)}>"
    if value is None or isinstance(value, bool):
        return value
    if depth >= MAX_DEPTH and isinstance(value, dict | list):
        return "<deeper>"
    if isinstance(value, list):
        shown = [shape_of(item, depth + 1) for item in value[:MAX_ITEMS]]
        return shown + ([f"<{len(value) - MAX_ITEMS} more>"] if len(value) > MAX_ITEMS else [])
    if isinstance(value, dict):
        shape: dict[str, Any] = {}
        for number, (name, item) in enumerate(value.items()):
            if number == MAX_ITEMS:
                shape["<more>"] = len(value) - MAX_ITEMS
                break
            plain = NAME.fullmatch(name) and not looks_private(name)
            shape[name if plain else f"<name {len(shape)}>"] = shape_of(item, depth + 1)
        return shape
    return f"<{type(value).__name__}>"
