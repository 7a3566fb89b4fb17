"""``pivotwatch topics``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import click

from pivotwatch.cli.commands import Group
from pivotwatch.cli.options import echo, json_option, print_json, with_brokers
from pivotwatch.config.config import Config
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka import topics as kafka_topics
from pivotwatch.engine.kafka.topics import Finding


@click.group(
    cls=Group,
    short_help="Create or check the topics.",
    example="pivotwatch topics create --brokers kafka:9092",
)
def topics() -> None:
    """Create or check the topics that the workers need."""


@topics.command(
    short_help="Create missing topics, and check the others.",
    example="pivotwatch topics create --config pivotwatch.toml",
)
@json_option
@with_brokers
def create(config: Config, as_json: bool) -> None:
    """Create the topics that are missing, and check the others. Running it again does no harm."""
    with sync_client.admin(config) as client:
        _report(kafka_topics.create(client, kafka_topics.specs(config), config.brokers), as_json)


@topics.command(
    short_help="Check the topics without changing them.",
    example="pivotwatch topics check --config pivotwatch.toml",
)
@json_option
@with_brokers
def check(config: Config, as_json: bool) -> None:
    """Check that every topic exists and has the right settings. The command changes nothing.

    Exit status: 1 when a topic is missing or wrong, else 0.
    """
    with sync_client.admin(config) as client:
        _report(kafka_topics.check(client, kafka_topics.specs(config), config.brokers), as_json)


def _report(findings: Sequence[Finding], as_json: bool) -> None:
    """Print the findings, and exit with status 1 when a topic has a problem."""
    if as_json:
        print_json([{**dataclasses.asdict(finding), "ok": finding.ok} for finding in findings])
    else:
        for finding in findings:
            good = "created" if finding.created else "ok"
            echo(f"{finding.topic}: {finding.problem or good}")
            if finding.remedy:
                echo(f"    → {finding.remedy}")
    click.get_current_context().exit(0 if all(finding.ok for finding in findings) else 1)
