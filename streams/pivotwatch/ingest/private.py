"""What must not pass: e-mail addresses and keys; and the shape of a record, without its content."""

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
"""What a field, or a kind of link, may be called."""
MAX_DEPTH = 12
MAX_ITEMS = 50


def looks_private(value: str) -> str:
    """Why a text must not pass as it is; empty when nothing speaks against it.

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
    """A record without its content: its fields and what kind of value each has.

    Names that are no names of fields are left out as well: somebody may use an address as one.

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
