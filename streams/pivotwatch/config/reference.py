"""Every key of the configuration with its default and its meaning, and where its value comes from.

The meanings stand in the docstrings of the models, so the reference cannot disagree with the code.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from pydantic import BaseModel, SecretStr

from pivotwatch.base.secret_shapes import holds_secret, is_secret_name
from pivotwatch.config.config import Config
from pivotwatch.config.problems import ENV_PREFIX
from pivotwatch.config.secret_flags import is_secret_type
from pivotwatch_models.durations import format_duration

HIDDEN = "(hidden)"
"""Shown instead of a secret."""
_ATTRIBUTES = re.compile(r"\nAttributes\n-+\n(.*?)(?=\n\n[A-Z]\w+\n-+\n|\Z)", re.DOTALL)
_ENTRY = re.compile(r"^(\w[\w, ]*)\n((?:[ ]{4}.*\n?|\n)+)", re.MULTILINE)


class Key(NamedTuple):
    """One key of the configuration.

    Attributes
    ----------
    name
        Its name, with the name of its table.
    default, meaning
        Its default, and what it decides.
    """

    name: str
    default: str
    meaning: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return ENV_PREFIX + self.name.replace(".", "__").upper()


class Value(NamedTuple):
    """The value of a key, and where it comes from."""

    name: str
    value: str
    origin: str


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """What the docstring of a model says of its attributes, by attribute.

    Examples
    --------
    >>> meanings(Config)["brokers"]
    'Addresses of Kafka brokers, `host:port`, separated by commas.'
    """
    found = _ATTRIBUTES.search(inspect.getdoc(model) or "")
    return {
        name.strip(): " ".join(text.split()).replace("``", "`")
        for names, text in _ENTRY.findall(found.group(1) + "\n" if found else "")
        for name in names.split(",")
    }


def reference(tables: Mapping[str, type[BaseModel]]) -> Iterator[Key]:
    """Every key in the order of the models.

    Parameters
    ----------
    tables
        The models of the tables that roles read themselves, by name.
    """
    yield from _keys(Config, "", tables)


def values(config: Config, places: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[Value]:
    """The value of every key that has one, and the place that sets it. Secrets are hidden.

    Parameters
    ----------
    places
        Names of places, strongest first, and the keys that each sets (`config.sources`).

    Examples
    --------
    >>> from pivotwatch.config.config import load
    >>> [v for v in values(load(bucket="30m"), [("command line", {"bucket": "30m"})]) if v.name == "bucket"]
    [Value(name='bucket', value='30m', origin='command line')]
    """
    for path, value in _leaves(config.model_dump(), ()):
        name = ".".join(path)
        origin = next((place for place, content in places if _sets(content, path)), "default")
        yield Value(name, written(_without_secrets(path[-1], value)), origin)


def written(value: Any) -> str:
    """A value in the form that people write into a file.

    Examples
    --------
    >>> written(timedelta(hours=2)), written(("*-latest",)), written(None), written(True)
    ('2h', '*-latest', '', 'true')
    """
    if value is None:
        return ""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(written, value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {written(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def _keys(model: type[BaseModel], prefix: str, tables: Mapping[str, type[BaseModel]]) -> Iterator[Key]:
    meaning = meanings(model)
    for name, field in model.model_fields.items():
        inner = tables.get(name) if not prefix else None
        if inner is None and isinstance(field.default, BaseModel):
            inner = type(field.default)
        if inner is not None:
            yield from _keys(inner, f"{prefix}{name}.", {})
            continue
        default = "required" if field.is_required() else written(field.default)
        if is_secret_type(field.annotation):
            default = ""
        yield Key(prefix + name, default, meaning.get(name, ""))


def _leaves(content: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _without_secrets(name: str, value: Any) -> Any:
    """A value whose secrets are replaced, by its type, the names in it, and its form."""
    if isinstance(value, Mapping):
        return {key: _without_secrets(key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(name, inner) for inner in value]
    is_secret = isinstance(value, SecretStr) or (value is not None and is_secret_name(name))
    return HIDDEN if is_secret or holds_secret(value) else value


def _sets(content: Mapping[str, Any], path: Sequence[str]) -> bool:
    inner: Any = content
    for key in path:
        if not isinstance(inner, Mapping) or key not in inner:
            return False
        inner = inner[key]
    return True
