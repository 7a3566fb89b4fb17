"""Messages about mistakes in the configuration.

Each mistake is one line: where the value came from, the key and what is expected. The value is never part of
it: it may hold a secret in any place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pivotwatch.base.suggestions import nearest, with_suggestion

ENV_PREFIX = "PIVOTWATCH_"

_EXPECTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "list_type": "a list",
    "tuple_type": "a list of texts",
    "dict_type": "a table",
    "model_type": "a table",
    "greater_than": "a number greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "a number less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "one of {expected}",
}


def unknown_in_environment(known: Iterable[str]) -> list[tuple[str, str | None]]:
    """Environment variables with the prefix of pivotwatch that no key reads, and the most similar key."""
    keys = set(known)
    names = (name for name in sorted(os.environ) if name.upper().startswith(ENV_PREFIX))
    bare = ((name, name[len(ENV_PREFIX) :].lower()) for name in names)
    return [(name, nearest(key, keys)) for name, key in bare if key.split("__")[0] not in keys]


def describe(
    error: ValidationError, known: Mapping[str, Iterable[str]], flags: Mapping[str, Any], path: Path | None
) -> list[str]:
    """Describe every mistake that pydantic found, one line each.

    Parameters
    ----------
    error
        The error of pydantic.
    known
        Every key, with the keys of its table (empty for a plain key).
    flags
        The keys that the command line set.
    path
        The configuration file.
    """
    return [_line(detail, known, flags, path) for detail in error.errors(include_url=False)]


def _line(
    detail: ErrorDetails, known: Mapping[str, Iterable[str]], flags: Mapping[str, Any], path: Path | None
) -> str:
    location = [str(part) for part in detail["loc"]]
    if not location:
        # The message of a rule between several keys begins with the key.
        return detail["msg"].removeprefix("Value error, ")
    key = ".".join(location)
    where = _source(location, flags, path)
    if detail["type"] == "extra_forbidden":
        siblings = known[location[0]] if len(location) > 1 else known
        return with_suggestion(f"{where}: {key}: no such key", location[-1], siblings)
    return f"{where}: {key}: expected {_expected(detail)}"


def _source(location: list[str], flags: Mapping[str, Any], path: Path | None) -> str:
    if location[0] in flags:
        return "command line"
    variables = {name.upper(): name for name in os.environ}
    for depth in range(len(location), 0, -1):
        name = variables.get(ENV_PREFIX + "__".join(location[:depth]).upper())
        if name is not None:
            return name
    return str(path) if path else "configuration"


def _expected(detail: ErrorDetails) -> str:
    text = _EXPECTED.get(detail["type"])
    if text is not None:
        return text.format_map(detail.get("ctx", {}))
    return detail["msg"].removeprefix("Value error, ").removeprefix("expected ")
