"""``pivotwatch alerts``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click
import orjson

from pivotwatch.base.errors import WrongUse
from pivotwatch.base.outside_text import visible
from pivotwatch.cli.commands import Group
from pivotwatch.cli.options import echo, echo_json, json_option, note, print_json, with_brokers
from pivotwatch.cli.printing import alert_printer
from pivotwatch.config.config import Config
from pivotwatch.contracts.alerts import parse_alert
from pivotwatch.contracts.codec import encode, explain
from pivotwatch.engine.kafka import sync_client
from pivotwatch.formats import ocsf
from pivotwatch.tools import compare_alerts
from pivotwatch.tools.compare_alerts import Difference
from pivotwatch.tools.event_files import Lines

FORMATS = ("text", "cloudevents", "ocsf", "json")


@click.group(
    cls=Group,
    short_help="Follow alerts, or compare two files of alerts.",
    example="pivotwatch alerts tail --from-beginning --until-end",
)
def alerts() -> None:
    """Follow the alerts of the pipeline, or compare two files of alerts."""


@alerts.command(
    short_help="Print alerts as they arrive.",
    example="pivotwatch alerts tail --format ocsf --brokers kafka:9092",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="How to print an alert; json is another name for cloudevents.",
)
@click.option("--from-beginning", is_flag=True, help="Also print the alerts that are already in the topic.")
@click.option("--until-end", is_flag=True, help="Stop at the last alert that is in the topic now.")
@with_brokers
def tail(config: Config, form: str, from_beginning: bool, until_end: bool) -> None:
    """Print alerts as they arrive, until Ctrl-C."""
    show = _printer(form)
    with sync_client.consumer(config) as client:
        for record in sync_client.records(
            client, [config.topic("alerts")], from_beginning=from_beginning, until_end=until_end
        ):
            if record.value is not None:
                show(record.value)


@alerts.command(
    short_help="Compare two files of alerts.", example="pivotwatch alerts compare before.jsonl after.jsonl"
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--in-order", is_flag=True, help="Also compare the order in which alerts first appear.")
@json_option
def compare(first: str, second: str, in_order: bool, as_json: bool) -> None:
    """Compare two files of alerts, A and B, without their repeats.

    Exit status: 0 when both files hold the same alerts, byte by byte. 1 when they differ, or when one
    file holds an id twice with different content.
    """
    a, b = (compare_alerts.distinct(Lines([path]), path) for path in (first, second))
    found = compare_alerts.compare(a, b, in_order=in_order)
    if as_json:
        print_json([{"id": one.id, "kind": one.kind, "fields": _json_fields(one)} for one in found])
    elif found:
        for line in _difference_lines(found, first, second):
            echo(line)
    if not found:
        note(f"the files hold the same alerts: {len(a)}")
    click.get_current_context().exit(1 if found else 0)


def _printer(form: str) -> Callable[[bytes], None]:
    print_alert = _text_printer() if form == "text" else _print_ocsf if form == "ocsf" else _print_json

    def show(value: bytes) -> None:
        try:
            print_alert(value)
        except WrongUse as fault:
            # A foreign record in the topic must not end the command.
            note(f"skipped a record: {fault}")

    return show


def _text_printer() -> Callable[[bytes], None]:
    print_alert = alert_printer()
    return lambda value: print_alert(parse_alert(value))


def _print_json(value: bytes) -> None:
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise WrongUse(f"not an alert: {explain(error)}") from None
    echo_json(value)


def _print_ocsf(value: bytes) -> None:
    echo_json(encode(ocsf.render(parse_alert(value))))


def _difference_lines(found: list[Difference], first: str, second: str) -> Iterator[str]:
    files = {"only in first": f"only in {first}", "only in second": f"only in {second}"}
    for one in found:
        yield f"{visible(one.id)}: {files.get(one.kind, one.kind)}"
        for path, (a, b) in _json_fields(one).items():
            yield f"    {visible(path)}: {a} ≠ {b}"


def _json_fields(one: Difference) -> dict[str, list[str]]:
    return {
        path: [compare_alerts.shorten(a), compare_alerts.shorten(b)] for path, (a, b) in one.fields.items()
    }
