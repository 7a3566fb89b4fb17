"""``pivotwatch deliver``."""

from __future__ import annotations

import asyncio

import click

from pivotwatch.cli.commands import Group
from pivotwatch.cli.options import echo, json_option, print_json, with_brokers
from pivotwatch.config.config import Config
from pivotwatch.delivery.kafka_publisher import publisher
from pivotwatch.delivery.notifiers import make_notifier
from pivotwatch.delivery.settings import AnyTarget, read_settings
from pivotwatch.delivery.trial_alert import SendResult, send_test_alert


@click.group(
    cls=Group,
    short_help="Send a test alert to a target.",
    example="pivotwatch deliver test pager --config pivotwatch.toml",
)
def deliver() -> None:
    """Test the targets of ``[[delivery.targets]]``.

    `pivotwatch worker --role delivery` delivers alerts to these targets.
    """


@deliver.command(
    short_help="Send a test alert to a target.",
    example="pivotwatch deliver test pager --config pivotwatch.toml",
)
@click.argument("target")
@json_option
@with_brokers
def test(config: Config, target: str, as_json: bool) -> None:
    """Send a test alert to TARGET, resolve it, and print the answers of the target.

    The alert is marked as a test. Exit status: 0 when the target accepted both messages, else 1.
    """
    settings = read_settings(config.delivery)
    results = asyncio.run(_send(config, settings.target(target), settings.base_url))
    if as_json:
        print_json([result._asdict() for result in results])
    else:
        for result in results:
            status = "accepted" if result.accepted else "NOT accepted"
            echo(f"{result.state}: {status}: {result.text}")
    click.get_current_context().exit(0 if len(results) == 2 and results[-1].accepted else 1)


async def _send(config: Config, target: AnyTarget, base_url: str | None) -> list[SendResult]:
    async with publisher(config) as publish:
        notifier = make_notifier(target, base_url, publish)
        try:
            return [result async for result in send_test_alert(notifier)]
        finally:
            await notifier.close()
