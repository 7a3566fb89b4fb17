"""``pivotwatch export``."""

from __future__ import annotations

from collections.abc import Iterable

import click

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.cli.commands import Group
from pivotwatch.cli.options import echo_json, with_brokers
from pivotwatch.config.config import Config
from pivotwatch.contracts.alerts import Alert, parse_alert
from pivotwatch.engine.kafka import sync_client
from pivotwatch.formats.stix import MARKINGS, render
from pivotwatch.tools.event_files import Lines


@click.group(
    cls=Group,
    short_help="Export an alert to share it with others.",
    example="pivotwatch export stix 9f86d081884c7d65 > alert.json",
)
def export() -> None:
    """Export an alert to share it with others."""


@export.command(
    short_help="Print an alert as a STIX 2.1 bundle.",
    example="pivotwatch export stix 9f86d081884c7d65 --alerts alerts.jsonl > alert.json",
)
@click.argument("alert")
@click.option(
    "--alerts", "file", metavar="FILE", help="Read the alerts of a file (`replay --alerts`), not of Kafka."
)
@click.option(
    "--marking",
    type=click.Choice(MARKINGS),
    default="amber",
    show_default=True,
    help="TLP marking: who may see the bundle.",
)
@click.option("--with-accounts", is_flag=True, help="Include the ids of accounts.")
@with_brokers
def stix(config: Config, *, alert: str, file: str | None, marking: str, with_accounts: bool) -> None:
    """Print the latest revision of ALERT (an alert_id) as a STIX 2.1 bundle.

    The bundle holds networks and times. It holds accounts only if you ask for them, and never groups
    of other kinds.
    """
    found = _latest(alert, Lines([file]) if file else _from_kafka(config))
    bundle = render(found, marking=marking, with_accounts=with_accounts)
    echo_json(bundle.serialize(pretty=True).encode(), lines=True)


def _latest(alert_id: str, records: Iterable[bytes]) -> Alert:
    latest: Alert | None = None
    for raw in records:
        if alert_id.encode() not in raw:
            continue
        try:
            alert = parse_alert(raw)
        except WrongUse:
            continue  # A foreign record that contains the id.
        is_later = latest is None or alert.data.revision >= latest.data.revision
        if alert.data.alert_id == alert_id and is_later:
            latest = alert
    if latest is None:
        raise OutOfReach(
            f"there is no alert {alert_id}; `pivotwatch alerts tail --from-beginning` prints all alerts"
        )
    return latest


def _from_kafka(config: Config) -> list[bytes]:
    with sync_client.consumer(config) as client:
        found = sync_client.records(client, [config.topic("alerts")], from_beginning=True, until_end=True)
        return [record.value for record in found if record.value is not None]
