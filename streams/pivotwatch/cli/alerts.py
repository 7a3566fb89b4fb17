"""``pivotwatch alerts``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from pivotwatch.base.errors import WrongUse
from pivotwatch.cli.options import json_option, note, print_json, with_brokers
from pivotwatch.config.config import Config

if TYPE_CHECKING:
    from pivotwatch.tools.compare_alerts import Difference


FORMS = ("text", "cloudevents", "ocsf", "json")


@click.group(short_help="Follow alerts or compare two files of them.")
def alerts() -> None:
    """What the pipeline has found."""


@alerts.command()
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True)
@click.option("--from-beginning", is_flag=True, help="Also the alerts that are there already.")
@click.option("--until-end", is_flag=True, help="Stop at the last alert that is there now.")
@with_brokers
def tail(config: Config, form: str, from_beginning: bool, until_end: bool) -> None:
    """Print alerts as they come, until Ctrl-C; ``json`` is another name for ``cloudevents``."""
    from pivotwatch.engine.kafka import sync_client

    show = _shower(form)
    with sync_client.consumer(config) as client:
        for record in sync_client.records(
            client, [config.topic("alerts")], from_beginning=from_beginning, until_end=until_end
        ):
            if record.value is not None:
                show(record.value)


@alerts.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--in-order", is_flag=True, help="The order of first appearance must be the same, too.")
@json_option
def compare(first: str, second: str, in_order: bool, as_json: bool) -> None:
    """Compare two files of alerts after dropping repeats.

    Exit status: 0 when they hold the same alerts, to the byte; 1 when not, or when within
    one file an id comes again with other content.
    """
    from pivotwatch.tools.compare_alerts import compare as compared
    from pivotwatch.tools.compare_alerts import distinct
    from pivotwatch.tools.event_files import Lines

    a, b = (distinct(Lines([path]), path) for path in (first, second))
    found = compared(a, b, in_order=in_order)
    if as_json:
        print_json([{"id": one.id, "kind": one.kind, "fields": _json_fields(one)} for one in found])
    elif found:
        for line in _difference_lines(found, first, second):
            click.echo(line)
    if not found:
        note(f"the same: {len(a)} alerts")
    click.get_current_context().exit(1 if found else 0)


def _shower(form: str) -> Callable[[bytes], None]:
    if form in ("json", "cloudevents"):
        return _print_line
    show_alert = _print_ocsf if form == "ocsf" else _text_printer()

    def show(value: bytes) -> None:
        try:
            show_alert(value)
        except WrongUse as fault:
            # One foreign record must not end the watch.
            note(f"skipped a record: {fault}")

    return show


def _text_printer() -> Callable[[bytes], None]:
    from pivotwatch.cli.printing import alert_printer
    from pivotwatch.contracts.alerts import parse_alert

    print_alert = alert_printer()
    return lambda value: print_alert(parse_alert(value))


def _print_line(value: bytes) -> None:
    sys.stdout.buffer.write(value + b"\n")
    # A reader behind a pipe wants each alert when it comes.
    sys.stdout.buffer.flush()


def _print_ocsf(value: bytes) -> None:
    from pivotwatch.contracts.alerts import parse_alert
    from pivotwatch.contracts.codec import encode
    from pivotwatch.formats import ocsf

    _print_line(encode(ocsf.render(parse_alert(value))))


def _difference_lines(found: list[Difference], first: str, second: str) -> Iterator[str]:
    from pivotwatch.tools.compare_alerts import written

    places = {"only in first": f"only in {first}", "only in second": f"only in {second}"}
    for one in found:
        yield f"{one.id}: {places.get(one.kind, one.kind)}"
        for path, (a, b) in one.fields.items():
            yield f"    {path}: {written(a)} ≠ {written(b)}"


def _json_fields(one: Difference) -> dict[str, list[str]]:
    from pivotwatch.tools.compare_alerts import written

    return {path: [written(a), written(b)] for path, (a, b) in one.fields.items()}
