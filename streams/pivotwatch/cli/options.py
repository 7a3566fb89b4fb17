"""Options that several commands share, and how results are printed."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from pivotwatch.config.config import load

R = TypeVar("R")

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON where a person would get text."
)
_config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PIVOTWATCH_CONFIG",
    help="Configuration file (TOML).",
)
_set_option = click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set one key; may be repeated."
)
_brokers_option = click.option("--brokers", metavar="HOST:PORT,…", help="Kafka; short for --set brokers=….")


def with_config(command: Callable[..., R]) -> Callable[..., R]:
    """Give the command, as its first argument, a `Config` from file, environment and ``--set``."""

    @_config_option
    @_set_option
    @functools.wraps(command)
    def wrapped(
        config_file: Path | None, assignments: tuple[str, ...], brokers: str | None = None, **kwargs: Any
    ) -> R:
        flags = assigned(assignments)
        if brokers:
            flags["brokers"] = brokers
        return command(load(config_file, **flags), **kwargs)

    return wrapped


def with_brokers(command: Callable[..., R]) -> Callable[..., R]:
    """As `with_config`, for commands that talk to Kafka: also ``--brokers``."""
    return _brokers_option(with_config(command))


def assigned(assignments: Iterable[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` texts; ``TABLE.KEY=VALUE`` reaches into a table.

    Examples
    --------
    >>> assigned(["bucket=30m", "topics.requests=llm", "topics.alerts=found"])
    {'bucket': '30m', 'topics': {'requests': 'llm', 'alerts': 'found'}}
    """
    flags: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter(f"{assignment!r}: expected KEY=VALUE", param_hint="--set")
        *tables, name = key.strip().replace("-", "_").split(".")
        inner = flags
        for table in tables:
            inner = inner.setdefault(table, {})
        inner[name] = value
    return flags


def note(text: str) -> None:
    """Say something that is not data."""
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print one JSON document, indented for a person who looks at it."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())
