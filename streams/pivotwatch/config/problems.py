"""Mistakes in a configuration, told so that they can be mended.

Each is one line: where the value came from, the key, what was given, what is expected.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pivotwatch.base.errors import OutOfReach, WrongUse

ENV_PREFIX = "PIVOTWATCH_"

Form = TypeVar("Form", bound=BaseModel)

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


def read_toml(path: Path) -> dict[str, Any]:
    """Parse the configuration file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OutOfReach(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongUse(f"{path}: not a TOML file: {error}") from None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant.

    Examples
    --------
    >>> nearest("min_member", ["min_events", "min_members", "theta"])
    'min_members'
    >>> nearest("colour", ["min_events", "theta"])
    """
    found = difflib.get_close_matches(name.lower(), list(known), n=1)
    return found[0] if found else None


def unknown_in_environment(known: Iterable[str]) -> list[tuple[str, str | None]]:
    """Variables with our prefix that no key reads, each with the key that was probably meant."""
    keys = set(known)
    names = (name for name in sorted(os.environ) if name.upper().startswith(ENV_PREFIX))
    bare = ((name, name[len(ENV_PREFIX) :].lower()) for name in names)
    return [(name, nearest(key, keys)) for name, key in bare if key.split("__")[0] not in keys]


def describe(
    error: ValidationError, known: Mapping[str, Iterable[str]], flags: Mapping[str, Any], path: Path | None
) -> list[str]:
    """One line per mistake.

    Parameters
    ----------
    error
        What pydantic found.
    known
        Every key, with the keys of its table (empty for a plain key).
    flags
        What the command line gave.
    path
        The configuration file.
    """
    return [_line(detail, known, flags, path) for detail in error.errors(include_url=False)]


def _line(
    detail: ErrorDetails, known: Mapping[str, Iterable[str]], flags: Mapping[str, Any], path: Path | None
) -> str:
    location = [str(part) for part in detail["loc"]]
    if not location:
        # A rule between keys names its key itself.
        return detail["msg"].removeprefix("Value error, ")
    # Only keys of tables and places in lists follow the key; pydantic's own labels say nothing.
    key = ".".join(location)
    where = _source(location, flags, path)
    if detail["type"] == "extra_forbidden":
        meant = nearest(location[-1], known[location[0]] if len(location) > 1 else known)
        return f"{where}: {key}: no such key" + (f"; did you mean {meant}?" if meant else "")
    return f"{where}: {key} = {_shown(location, detail)}: expected {_expected(detail)}"


def read_table(
    name: str, form: type[Form], table: Mapping[str, Any], keys: Iterable[str], kinds: Collection[str] = ()
) -> Form:
    """Read a table that a role checks by itself.

    Parameters
    ----------
    name, form, table
        What the file calls it, what it must be, and what stands there.
    keys
        Every key in it and in the tables within.
    kinds
        Of a list of tables of several kinds: what ``kind`` may be.

    Raises
    ------
    WrongUse
        With one line per mistake, never with a value: somebody may have written a secret there.
    """
    try:
        return form(**table)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    raise WrongUse("\n".join(f"[{name}] {_in_table(detail, keys, kinds)}" for detail in details))


def _in_table(detail: ErrorDetails, keys: Iterable[str], kinds: Collection[str]) -> str:
    # Pydantic puts the kind of a table into the place of a mistake; people do not write it there.
    way = [str(part) for at, part in enumerate(detail["loc"]) if not (at == 2 and part in kinds)]
    key = ".".join(way)
    if detail["type"] == "missing":
        return f"{key}: required, but missing"
    if detail["type"] == "union_tag_not_found":
        return f"{key}.kind: required, but missing: one of {', '.join(kinds)}"
    if detail["type"] == "union_tag_invalid":
        return f"{key}.kind: expected one of {', '.join(kinds)}"
    if detail["type"] == "extra_forbidden":
        meant = nearest(way[-1], keys)
        return f"{key}: no such key" + (f"; did you mean {meant}?" if meant else "")
    text = detail["msg"].removeprefix("Value error, ")
    return f"{key}: {text}" if key else text


def _source(location: list[str], flags: Mapping[str, Any], path: Path | None) -> str:
    if location[0] in flags:
        return "command line"
    variables = {name.upper(): name for name in os.environ}
    for depth in range(len(location), 0, -1):
        name = variables.get(ENV_PREFIX + "__".join(location[:depth]).upper())
        if name is not None:
            return name
    return str(path) if path else "configuration"


def _shown(location: list[str], detail: ErrorDetails) -> str:
    """The value as given; never a secret."""
    if "password" in location[-1]:
        return "(hidden)"
    text = repr(detail["input"])
    return text if len(text) <= 60 else text[:57] + "…"


def _expected(detail: ErrorDetails) -> str:
    text = _EXPECTED.get(detail["type"])
    if text is not None:
        return text.format_map(detail.get("ctx", {}))
    return detail["msg"].removeprefix("Value error, ").removeprefix("expected ")
