"""``pivotwatch simulate``."""

from __future__ import annotations

import contextlib
import datetime
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.cli.commands import Command
from pivotwatch.cli.options import json_option, note, print_json, seed_option, speed_option
from pivotwatch.simulation import SCENARIOS, Simulation, generate
from pivotwatch.simulation.files import write_events, write_json
from pivotwatch.simulation.kafka import Player

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    cls=Command,
    short_help="Generate the events of a scenario, with the truth.",
    example="pivotwatch simulate c1 --out events.jsonl --releases releases.json --truth truth.json",
)
@click.argument("scenario", required=False)
@click.option("--list", "as_list", is_flag=True, help="Describe the scenarios.")
@json_option
@seed_option
@click.option(
    "--scale", type=float, default=1.0, show_default=True, help="Factor on the size of the population."
)
@click.option("--days", type=float, help="Length of the stream after the release, in days.")
@click.option("--accounts", type=click.IntRange(min=1), help="Number of honest accounts; replaces --scale.")
@click.option(
    "--pace",
    type=click.Choice(["slow", "normal", "fast", "surge"]),
    help="How fast the population adopts the new model.",
)
@click.option("--start", metavar="TIME", help="Start of the stream (RFC 3339; UTC when it names no zone).")
@click.option(
    "--out",
    metavar="FILE",
    help="Write the events, one per line: plain, .gz, .zst, or - for standard output.",
)
@click.option(
    "--truth", type=FILE, help="Write the truth: campaigns, their accounts, honest look-alikes (JSON)."
)
@click.option("--releases", type=FILE, help="Write the release calendar (JSON).")
@click.option("--kafka", "brokers", metavar="HOST:PORT,…", help="Send the events to Kafka.")
@click.option("--topic", default="requests", show_default=True, help="Topic for the events.")
@click.option("--releases-topic", metavar="TOPIC", help="Send the release calendar to this topic first.")
@speed_option
@click.option(
    "--batch",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Events per Kafka record; a larger number is faster.",
)
def simulate(
    *,
    scenario: str | None,
    as_list: bool,
    as_json: bool,
    brokers: str | None,
    topic: str,
    releases_topic: str | None,
    speed: float,
    batch: int,
    out: str | None,
    truth: Path | None,
    releases: Path | None,
    start: str | None,
    **parameters: Any,
) -> None:
    """Generate the events of SCENARIO, into a file or into Kafka.

    The same seed and parameters give the same bytes. --list describes the scenarios.
    """
    if as_json and not as_list:
        raise click.UsageError("--json needs --list")
    if as_list:
        _print_scenarios(as_json)
        return
    if scenario is None:
        raise click.UsageError("name a SCENARIO; --list describes them")
    if not (out or brokers or truth or releases):
        raise click.UsageError("nothing to write: give --out, --kafka, --truth or --releases")
    if releases_topic and not brokers:
        raise click.UsageError("--releases-topic needs --kafka")
    simulation = _generate(scenario, start, parameters)
    try:
        if releases:
            write_json(simulation.releases, releases)
        if out:
            with _progress(simulation, "events") as count:
                write_events(_counted(simulation, count), out)
        if brokers:
            _play(simulation, brokers, topic, releases_topic, speed=speed, batch=batch)
        if truth:
            write_json(simulation.truth, truth)
    except BrokenPipeError:
        # The reader of standard output has closed it; click exits quietly.
        raise
    except OSError as error:
        raise OutOfReach(f"{error.filename or out}: {error.strerror or error}") from None


def _generate(scenario: str, start: str | None, parameters: dict[str, Any]) -> Simulation:
    if start is not None:
        parameters["begin"] = _epoch_ms(start)
    try:
        return generate(scenario, **parameters)
    except ValueError as error:
        raise WrongUse(str(error)) from None


def _epoch_ms(text: str) -> int:
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r}: expected a time such as 2026-02-02T17:00:00Z", param_hint="--start"
        ) from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return int(when.timestamp()) * 1000


def _play(
    simulation: Simulation, brokers: str, topic: str, releases_topic: str | None, *, speed: float, batch: int
) -> None:
    with Player(brokers) as player:
        if releases_topic:
            player.send_releases(simulation.releases, releases_topic)
        with _progress(simulation, f"events to {topic}") as count:
            sent = player.play(_counted(simulation, count), topic, speed=speed, batch=batch)
    note(f"sent {sent:,} records to {topic}; Kafka acknowledged all of them")


def _counted(simulation: Simulation, count: Callable[[int], None]) -> Iterator[Any]:
    """The slices of a simulation. ``count`` gets the number of events of each slice after its use."""
    for part in simulation.slices():
        yield part
        count(len(part))


@contextlib.contextmanager
def _progress(simulation: Simulation, what: str) -> Iterator[Callable[[int], None]]:
    """A bar of the simulated hours on standard error; none when that is not a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.fields[events]:,} " + what), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=simulation.hours, events=0)
        total = 0

        def count(events: int) -> None:
            nonlocal total
            total += events
            bar.update(task, advance=1, events=total)

        yield count


def _print_scenarios(as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "name": one.name,
                    "title": one.title,
                    "description": one.description,
                    "expectation": one.expectation,
                }
                for one in SCENARIOS.values()
            ]
        )
        return
    table = Table("Scenario", "Expected", "What happens", box=None, pad_edge=False)
    for one in SCENARIOS.values():
        table.add_row(one.name, one.expectation, one.description)
    console = Console(highlight=False)
    # A file or a pipe has no width.
    console.width = console.width if sys.stdout.isatty() else 110
    console.print(table)
