"""Options that several commands share, and functions that print results."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson
from pydantic import BaseModel

from pivotwatch.base.outside_text import visible_json, visible_message
from pivotwatch.config.config import Config, load
from pivotwatch.config.secret_flags import refuse_secrets

R = TypeVar("R")

SOURCES = "pivotwatch.sources"
"""Where a click context keeps the configuration file and the flags of its command."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=1,
    show_default=True,
    help="Seed of the simulation; the same seed gives the same events.",
)
speed_option = click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    help="Seconds of event time per second in Kafka; 0 means as fast as possible.",
)
_config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PIVOTWATCH_CONFIG",
    help="Configuration file (TOML).",
)
_set_option = click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set a configuration key (repeatable)."
)
_brokers_option = click.option(
    "--brokers", metavar="HOST:PORT,…", help="Addresses of Kafka brokers; short for --set brokers=…."
)


def with_config(command: Callable[..., R]) -> Callable[..., R]:
    """Pass a `Config` (from file, environment and ``--set``) to the command as its first argument."""

    @_config_option
    @_set_option
    @functools.wraps(command)
    def wrapped(
        config_file: Path | None, assignments: tuple[str, ...], brokers: str | None = None, **kwargs: Any
    ) -> R:
        flags = assigned(assignments)
        if brokers:
            flags["brokers"] = brokers
        if flags:
            refuse_secrets(flags, Config, role_tables())
        config = load(config_file, **flags)
        click.get_current_context().meta[SOURCES] = (config_file, flags)
        return command(config, **kwargs)

    return wrapped


def with_brokers(command: Callable[..., R]) -> Callable[..., R]:
    """As `with_config`, with the option ``--brokers`` for commands that use Kafka."""
    return _brokers_option(with_config(command))


def role_tables() -> dict[str, type[BaseModel]]:
    """The models of the tables that roles read themselves, by the name of the table."""
    from pivotwatch.delivery.settings import DeliverySettings
    from pivotwatch.ingest.settings import IngestSettings
    from pivotwatch.web.settings import WebSettings

    return {"delivery": DeliverySettings, "ingest": IngestSettings, "web": WebSettings}


def assigned(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse assignments ``KEY=VALUE``, or ``TABLE.KEY=VALUE`` for a key of a table.

    Examples
    --------
    >>> assigned(["bucket=30m", "topics.requests=llm", "topics.alerts=found"])
    {'bucket': '30m', 'topics': {'requests': 'llm', 'alerts': 'found'}}
    """
    flags: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            # Not repeated: it may be a secret.
            raise click.BadParameter("expected KEY=VALUE", param_hint="--set")
        *tables, name = key.strip().replace("-", "_").split(".")
        inner = flags
        for table in tables:
            inner = inner.setdefault(table, {})
            if not isinstance(inner, dict):
                raise click.BadParameter(f"{table!r} is both a key and a table", param_hint="--set")
        inner[name] = value
    return flags


def echo(text: str, label: str = "") -> None:
    """Print a text on standard output; hidden characters become visible.

    Parameters
    ----------
    label
        A text of the program itself, which may have colours, to print before it.
    """
    click.echo(label + visible_message(text))


def note(text: str) -> None:
    """Print a message on standard error; hidden characters become visible."""
    click.echo(visible_message(text), err=True)


def print_json(value: Any) -> None:
    """Print a JSON document, indented for people."""
    echo_json(orjson.dumps(value, option=orjson.OPT_INDENT_2), lines=True)


def echo_json(raw: bytes, *, lines: bool = False) -> None:
    """Print JSON at once, for a program behind a pipe; hidden characters are escaped as JSON does.

    Parameters
    ----------
    lines
        Whether it may have several lines.
    """
    click.echo(visible_json(raw, lines=lines))
