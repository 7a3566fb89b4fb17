"""``pivotwatch schema``."""

from __future__ import annotations

import click

from pivotwatch.cli.commands import Command
from pivotwatch.cli.options import echo, print_json
from pivotwatch.contracts.json_schemas import SCHEMAS


@click.command(
    cls=Command,
    short_help="List the JSON Schemas of the topics, or print one.",
    example="pivotwatch schema alert > alert.schema.json",
)
@click.argument("what", type=click.Choice(list(SCHEMAS)), required=False, metavar="[WHAT]")
def schema(what: str | None) -> None:
    """Print the JSON Schema (draft 2020-12) of WHAT. Without WHAT, list the schemas."""
    if what is not None:
        print_json(SCHEMAS[what]())
        return
    for name, make_schema in SCHEMAS.items():
        echo(f"{name:<12} {make_schema()['description']}")
