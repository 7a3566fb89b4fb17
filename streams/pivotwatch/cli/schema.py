"""``pivotwatch schema``."""

from __future__ import annotations

import click

from pivotwatch.cli.options import print_json
from pivotwatch.contracts.json_schemas import SCHEMAS


@click.command(short_help="Print the JSON Schema of alert, event or release.")
@click.argument("what", type=click.Choice(list(SCHEMAS)))
def schema(what: str) -> None:
    """Print the JSON Schema (draft 2020-12) of WHAT."""
    print_json(SCHEMAS[what]())
