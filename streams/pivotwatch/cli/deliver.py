"""``pivotwatch deliver``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from pivotwatch.cli.options import json_option, print_json, with_brokers
from pivotwatch.config.config import Config

if TYPE_CHECKING:
    from pivotwatch.delivery.test_notification import Answer


@click.group(short_help="Test the targets that alerts are delivered to.")
def deliver() -> None:
    """The targets of ``[[delivery.targets]]``; `pivotwatch worker --role delivery` serves them."""


@deliver.command()
@click.argument("target")
@json_option
@with_brokers
def test(config: Config, target: str, as_json: bool) -> None:
    """Send a marked test alert to TARGET, resolve it, and print what came back.

    Exit status: 0 when both were taken, 1 when not.
    """
    from pivotwatch.delivery.kafka_publisher import publisher
    from pivotwatch.delivery.notifiers import make
    from pivotwatch.delivery.settings import read_settings
    from pivotwatch.delivery.test_notification import run

    settings = read_settings(config.delivery)
    chosen = settings.target(target)

    async def tried() -> list[Answer]:
        async with publisher(config) as publish:
            notifier = make(chosen, settings.base_url, publish)
            try:
                return [answer async for answer in run(notifier)]
            finally:
                await notifier.close()

    answers = asyncio.run(tried())
    if as_json:
        print_json([answer._asdict() for answer in answers])
    else:
        for answer in answers:
            click.echo(f"{answer.state}: {'taken' if answer.taken else 'NOT taken'}: {answer.text}")
    click.get_current_context().exit(0 if len(answers) == 2 and answers[-1].taken else 1)
