"""``pivotwatch export``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.cli.options import with_brokers
from pivotwatch.config.config import Config
from pivotwatch.formats.stix import MARKINGS

if TYPE_CHECKING:
    from pivotwatch.contracts.alerts import Alert


@click.group(short_help="Export an alert for sharing with others.")
def export() -> None:
    """What a person decides to share."""


@export.command()
@click.argument("alert")
@click.option("--alerts", "file", metavar="FILE", help="Look in a file (of `replay --alerts`), not in Kafka.")
@click.option("--marking", type=click.Choice(MARKINGS), default="amber", show_default=True, help="TLP.")
@click.option("--with-accounts", is_flag=True, help="Also the ids of accounts.")
@with_brokers
def stix(config: Config, *, alert: str, file: str | None, marking: str, with_accounts: bool) -> None:
    """Print the newest state of ALERT (an alert_id) as a STIX 2.1 bundle.

    It holds networks and times; accounts only when asked for, other groups never.
    """
    from pivotwatch.formats.stix import render

    found = _newest(alert, _from_file(file) if file else _from_kafka(config))
    click.echo(render(found, marking=marking, with_accounts=with_accounts).serialize(pretty=True))


def _newest(alert_id: str, records: list[bytes]) -> Alert:
    from pivotwatch.contracts.alerts import parse_alert

    newest: Alert | None = None
    for raw in records:
        if alert_id.encode() not in raw:
            continue
        try:
            alert = parse_alert(raw)
        except WrongUse:
            continue  # A foreign record that names the alert.
        if alert.data.alert_id == alert_id and (
            newest is None or alert.data.revision >= newest.data.revision
        ):
            newest = alert
    if newest is None:
        raise OutOfReach(f"there is no alert {alert_id}: `pivotwatch alerts tail --from-beginning` shows all")
    return newest


def _from_file(path: str) -> list[bytes]:
    from pivotwatch.tools.event_files import Lines

    return list(Lines([path]))


def _from_kafka(config: Config) -> list[bytes]:
    from pivotwatch.engine.kafka import sync_client

    with sync_client.consumer(config) as client:
        found = sync_client.records(client, [config.topic("alerts")], from_beginning=True, until_end=True)
        return [record.value for record in found if record.value is not None]
