"""Tables of the configuration that one role reads and checks, such as ``[delivery]``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from pivotwatch.base.errors import WrongUse
from pivotwatch.base.secrets import read_secret
from pivotwatch.base.suggestions import with_suggestion
from pivotwatch.config.problems import ENV_PREFIX


def _is_variable(value: str) -> str:
    if value.upper().startswith(ENV_PREFIX):
        raise ValueError(f"expected a name without {ENV_PREFIX}: those are keys of the configuration")
    return value


Variable = Annotated[str, AfterValidator(_is_variable)]
"""The name of an environment variable that holds a secret."""


class Table(BaseModel):
    """A table of the configuration: unknown keys are errors, and values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SecretTable(Table):
    """A table that says where a secret is: in an environment variable or in a file."""

    secret_env: Variable | None = None
    secret_file: Path | None = None

    @model_validator(mode="after")
    def _has_one_place(self) -> SecretTable:
        if (self.secret_env is None) == (self.secret_file is None):
            raise ValueError("expected one of secret_env (the name of a variable) and secret_file")
        return self

    def read_secret(self, what: str) -> bytes:
        """Read the secret; see `pivotwatch.base.secrets.read_secret`."""
        return read_secret(what, self.secret_env, self.secret_file)


T = TypeVar("T", bound=BaseModel)


def read_table(
    name: str, form: type[T], table: Mapping[str, Any], keys: Iterable[str], kinds: Collection[str] = ()
) -> T:
    """Check a table and convert it to its model.

    Parameters
    ----------
    name
        Name of the table in the file.
    form
        The model of the table.
    table
        The content of the table.
    keys
        Every key of the table and of its inner tables, for suggestions.
    kinds
        The values that ``kind`` may have in a list of tables of several kinds.

    Raises
    ------
    WrongUse
        When the table is wrong. The message has one line per mistake and never contains a value, because
        the value may be a secret.
    """
    try:
        return form(**table)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    raise WrongUse("\n".join(f"[{name}] {_mistake(detail, keys, kinds)}" for detail in details))


def _mistake(detail: ErrorDetails, keys: Iterable[str], kinds: Collection[str]) -> str:
    # Pydantic adds the kind of a table to the location of a mistake; the file does not contain it there.
    location = [str(part) for at, part in enumerate(detail["loc"]) if not (at == 2 and part in kinds)]
    key = ".".join(location)
    if detail["type"] == "missing":
        return f"{key}: required, but missing"
    if detail["type"] == "union_tag_not_found":
        return f"{key}.kind: required, but missing: expected one of {', '.join(kinds)}"
    if detail["type"] == "union_tag_invalid":
        return f"{key}.kind: expected one of {', '.join(kinds)}"
    if detail["type"] == "extra_forbidden":
        return with_suggestion(f"{key}: no such key", location[-1], keys)
    text = detail["msg"].removeprefix("Value error, ")
    return f"{key}: {text}" if key else text
