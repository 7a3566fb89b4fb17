"""Refuses secrets on the command line: every user of a machine sees the command lines of all programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, SecretBytes, SecretStr

from pivotwatch.base.errors import WrongUse
from pivotwatch.base.secret_shapes import holds_secret, is_secret_name
from pivotwatch.config.problems import ENV_PREFIX


def refuse_secrets(
    flags: Mapping[str, Any], form: type[BaseModel], tables: Mapping[str, type[BaseModel]]
) -> None:
    """Refuse keys of the command line that hold a secret, by the type of the key, its name and its value.

    Parameters
    ----------
    flags
        The keys that the command line sets, inner tables as dictionaries.
    form
        The model of the configuration.
    tables
        The models of the tables that roles read themselves, by name.

    Raises
    ------
    WrongUse
        With the key and with where its value belongs, never with the value.
    """
    for path, value in _leaves(flags, ()):
        kind = _kind_of(path, form, tables)
        by_name = kind is None and any(map(is_secret_name, path))
        if by_name or is_secret_type(kind) or holds_secret(value):
            raise WrongUse(_refusal(path, kind is not None))


def is_secret_type(kind: Any) -> bool:
    """Whether values of a type are secrets: `SecretStr`, `SecretBytes`, or a type that consists of one."""
    if isinstance(kind, type) and issubclass(kind, SecretStr | SecretBytes):
        return True
    return any(is_secret_type(part) for part in get_args(kind))


def models_in(kind: Any) -> Iterator[type[BaseModel]]:
    """The models that a type consists of, such as those of a list or an optional table."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from models_in(part)


def _leaves(flags: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in flags.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _kind_of(path: tuple[str, ...], form: type[BaseModel], tables: Mapping[str, type[BaseModel]]) -> Any:
    """The type of a key; None when there is no such key."""
    first, *rest = path
    kind: Any = tables.get(first) if rest and first in tables else None
    if kind is None:
        field = form.model_fields.get(first)
        kind = field.annotation if field else None
    for name in rest:
        if name.isdigit():
            continue  # The place in a list.
        found = [model.model_fields[name] for model in models_in(kind) if name in model.model_fields]
        kind = found[0].annotation if found else None
    return kind


def _refusal(path: tuple[str, ...], is_known: bool) -> str:
    key = ".".join(path)
    why = f"command line: {key} holds a secret, and every user of this machine sees a command line"
    variable = ENV_PREFIX + "__".join(path).upper()
    if is_known and len(path) == 1:
        return f"{why}: set the environment variable {variable}, or the key {key}_file"
    return (
        f"{why}: put it into a file or an environment variable, and name that in the configuration file "
        f"({path[-1]}_file or {path[-1]}_env)"
    )
