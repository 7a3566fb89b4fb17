"""``pivotwatch config``."""

from __future__ import annotations

import click

from pivotwatch.cli.commands import Group
from pivotwatch.cli.options import SOURCES, echo, json_option, print_json, role_tables, with_config
from pivotwatch.config.config import Config, sources


@click.group(
    cls=Group,
    short_help="Show the configuration in use, or every key.",
    example="pivotwatch config show --config pivotwatch.toml",
)
def config() -> None:
    """Show the configuration in use, or list every key."""


@config.command(
    short_help="Print every value and where it comes from.",
    example="pivotwatch config show --config pivotwatch.toml --set bucket=30m",
)
@json_option
@with_config
def show(settings: Config, as_json: bool) -> None:
    """Print every key that has a value, its value, and where the value comes from. Secrets are hidden."""
    from pivotwatch.config.reference import values

    path, flags = click.get_current_context().meta[SOURCES]
    rows = list(values(settings, sources(path, **flags)))
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    name, value = (max(len(row[column]) for row in rows) for column in (0, 1))
    for row in rows:
        echo(f"{row.name:<{name}}  {row.value:<{min(value, 40)}}  {row.origin}".rstrip())


@config.command(name="keys", short_help="List every key.", example="pivotwatch config keys")
@json_option
def list_keys(as_json: bool) -> None:
    """List every key with its default and its meaning."""
    from pivotwatch.config.reference import reference

    found = list(reference(role_tables()))
    if as_json:
        print_json([key._asdict() | {"variable": key.variable} for key in found])
        return
    for key in found:
        echo(f"{key.name} = {key.default}" if key.default else key.name)
        if key.meaning:
            echo(f"    {key.meaning}")
