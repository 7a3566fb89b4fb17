"""``pivotwatch doctor``."""

from __future__ import annotations

import dataclasses

import click

from pivotwatch.base.checks import worst
from pivotwatch.cli.commands import Command
from pivotwatch.cli.options import echo, json_option, print_json, with_brokers
from pivotwatch.config.config import Config

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(
    cls=Command,
    short_help="Check configuration, broker and data.",
    example="pivotwatch doctor --config pivotwatch.toml",
)
@json_option
@with_brokers
def doctor(config: Config, as_json: bool) -> None:
    """Check the configuration, the broker and the data, and say what to do.

    The command changes nothing. Exit status: 1 when a check failed, else 0; a warning is not a failure.
    """
    from pivotwatch.tools.doctor import examine

    checks = []
    for check in examine(config):
        checks.append(check)
        if not as_json:
            status = click.style(check.status.ljust(4), fg=STYLES[check.status], bold=True)
            echo(f"  {check.name}: {check.message}", label=status)
            if check.next_step:
                echo(f"      → {check.next_step}")
    if as_json:
        print_json([dataclasses.asdict(check) for check in checks])
    click.get_current_context().exit(1 if worst(checks) == "fail" else 0)
