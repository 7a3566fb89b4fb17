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
from pivotwatch.cli.options import json_option, note, print_json
from pivotwatch.simulation import SCENARIOS, Simulation, generate
from pivotwatch.simulation.files import write_events, write_json


@click.command(short_help="Make events of a scenario, with the truth beside them.")
@click.argument("scenario", required=False)
@click.option("--list", "as_list", is_flag=True, help="Describe the scenarios.")
@json_option
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True)
@click.option("--scale", type=float, default=1.0, show_default=True, help="Factor on the population.")
@click.option("--days", type=float, help="Days after the release.")
@click.option("--accounts", type=click.IntRange(min=1), help="Honest accounts, instead of --scale.")
@click.option(
    "--pace", type=click.Choice(["slow", "normal", "fast", "surge"]), help="How fast the population adopts."
)
@click.option(
    "--start", metavar="TIME", help="When the stream begins (RFC 3339, UTC where no zone is named)."
)
@click.option("--out", metavar="FILE", help="Events, one a line: plain, .gz, .zst, or - for standard output.")
@click.option("--truth", type=click.Path(path_type=Path, dir_okay=False), help="What really happened (JSON).")
@click.option("--releases", type=click.Path(path_type=Path, dir_okay=False), help="Release calendar (JSON).")
@click.option("--kafka", "brokers", metavar="HOST:PORT,…", help="Send the events to Kafka.")
@click.option("--topic", default="requests", show_default=True, help="Topic of the events.")
@click.option("--releases-topic", metavar="TOPIC", help="Send the release calendar there first.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    help="Seconds of event time a second, in Kafka; 0: as fast as possible.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Events in a Kafka record; more is faster.",
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
    """Make the events of SCENARIO, into a file or into Kafka.

    The same seed and parameters give the same bytes. --list describes the scenarios.
    """
    if as_json and not as_list:
        raise click.UsageError("--json goes with --list")
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
        # Whoever read our output has enough; click ends us quietly.
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
        raise click.BadParameter(f"{text!r} is not a time such as 2026-02-02T17:00:00Z") from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return int(when.timestamp()) * 1000


def _play(
    simulation: Simulation, brokers: str, topic: str, releases_topic: str | None, *, speed: float, batch: int
) -> None:
    from pivotwatch.simulation.kafka import Player

    with Player(brokers) as player:
        if releases_topic:
            player.send_releases(simulation.releases, releases_topic)
        with _progress(simulation, f"events to {topic}") as count:
            sent = player.play(_counted(simulation, count), topic, speed=speed, batch=batch)
    note(f"{sent:,} records sent to {topic}, all acknowledged")


def _counted(simulation: Simulation, count: Callable[[int], None]) -> Iterator[Any]:
    """The slices; ``count`` hears of each when it has been dealt with."""
    for part in simulation.slices():
        yield part
        count(len(part))


@contextlib.contextmanager
def _progress(simulation: Simulation, what: str) -> Iterator[Callable[[int], None]]:
    """A bar of the hours simulated on standard error; nothing where nobody looks."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.fields[events]:,} " + what), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=simulation.hours, events=0)
        seen = 0

        def count(events: int) -> None:
            nonlocal seen
            seen += events
            bar.update(task, advance=1, events=seen)

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
    # A file or a pipe has no width of its own.
    console.width = console.width if sys.stdout.isatty() else 110
    console.print(table)
