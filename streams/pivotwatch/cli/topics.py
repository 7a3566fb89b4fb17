"""``pivotwatch topics``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pivotwatch.cli.options import json_option, print_json, with_brokers
from pivotwatch.config.config import Config

if TYPE_CHECKING:
    from pivotwatch.engine.kafka.topics import Finding


@click.group(short_help="Create the topics or check them.")
def topics() -> None:
    """The topics that the workers need."""


@topics.command()
@json_option
@with_brokers
def create(config: Config, as_json: bool) -> None:
    """Create the topics that are missing and check the others; may be repeated."""
    from pivotwatch.engine.kafka import sync_client
    from pivotwatch.engine.kafka import topics as kafka_topics

    with sync_client.admin(config) as client:
        found = kafka_topics.create(client, kafka_topics.specs(config), config.brokers)
    _show(found, as_json)


@topics.command()
@json_option
@with_brokers
def check(config: Config, as_json: bool) -> None:
    """Check that every topic is there and as it should be; change nothing."""
    from pivotwatch.engine.kafka import sync_client
    from pivotwatch.engine.kafka import topics as kafka_topics

    with sync_client.admin(config) as client:
        found = kafka_topics.check(client, kafka_topics.specs(config), config.brokers)
    _show(found, as_json)


def _show(findings: Sequence[Finding], as_json: bool) -> None:
    if as_json:
        print_json([{**dataclasses.asdict(finding), "ok": finding.ok} for finding in findings])
    else:
        for finding in findings:
            good = "created" if finding.created else "ok"
            click.echo(f"{finding.topic}: {finding.problem or good}")
            if finding.remedy:
                click.echo(f"    → {finding.remedy}")
    click.get_current_context().exit(0 if all(finding.ok for finding in findings) else 1)
