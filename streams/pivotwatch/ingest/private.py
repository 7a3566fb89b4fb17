"""Recognises private values (e-mail addresses, API keys), and reduces records to their shape."""

from __future__ import annotations

import re
from typing import Any

_EMAIL = re.compile(r"[^\s@<>\"',;]+@[^\s@<>\"',;]+\.[A-Za-z]{2,}")
_KEY_STARTS = (
    "sk-",
    "sk_",
    "pk-",
    "pk_",
    "rk_",
    "Bearer ",
    "bearer ",
    "Basic ",
    "eyJ",
    "AKIA",
    "ASIA",
    "AIza",
    "ghp_",
    "gho_",
    "github_pat_",
    "xox",
    "hf_",
    "gsk_",
    "ya29.",
)
_SHORTEST_KEY = 12
NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_.:/-]{0,63}")
"""The pattern of names of fields and kinds of links."""
MAX_DEPTH = 12
MAX_ITEMS = 50


def looks_private(value: str) -> str:
    """What kind of private value a text seems to be; empty when it seems to be none.

    Examples
    --------
    >>> looks_private("sk-live-51H8sdf7sdf"), looks_private("claude-3@20240620"), looks_private("acct-9")
    ('a key', '', '')
    """
    if "@" in value and _EMAIL.search(value):
        return "an e-mail address"
    if value.startswith(_KEY_STARTS) and len(value) >= _SHORTEST_KEY:
        return "a key"
    return ""


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
