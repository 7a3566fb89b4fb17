"""``pivotwatch decisions``."""

from __future__ import annotations

import click

from pivotwatch.base.display import clock_time
from pivotwatch.base.outside_text import visible
from pivotwatch.cli.commands import Group
from pivotwatch.cli.options import echo, echo_json, json_option, note, with_brokers
from pivotwatch.config.config import Config
from pivotwatch.contracts.codec import encode
from pivotwatch.engine.kafka import sync_client


@click.group(
    cls=Group,
    short_help="List the decisions of people.",
    example="pivotwatch decisions list --about network:AS64500",
)
def decisions() -> None:
    """List the decisions that people have taken on incidents and organisations."""


@decisions.command(
    "list",
    short_help="List decisions, those that were taken back too.",
    example="pivotwatch decisions list --json",
)
@click.option("--about", metavar="TARGET", help="Only decisions on an alert id or on KIND:ID.")
@json_option
@with_brokers
def list_decisions(config: Config, *, about: str | None, as_json: bool) -> None:
    """List decisions, the newest first: when, who, what, about what, and what ended it.

    The list goes back as far as the topic: `retention.decisions`. With --json: one object per line.
    """
    from pivotwatch.web.api import entry_fields
    from pivotwatch.web.read_model import Decision, ReadModel

    def told(one: Decision) -> str:
        when = clock_time(one.at) if one.at else "(no time)"
        return f"{when}  {one.verdict or 'taken back'}  by {visible(one.by) or '(unknown)'}"

    read_model, topic = ReadModel(), config.topic("decisions")
    with sync_client.consumer(config) as client:
        for record in sync_client.records(client, [topic], from_beginning=True, until_end=True):
            read_model.take_decision(record.offset, record.key, record.value, record.headers)
    found = [one for one in read_model.history() if about in (None, one.decision.target)]
    for entry in found:
        if as_json:
            echo_json(encode(entry_fields(entry)))
            continue
        decision, ended_by = entry
        text = f"{told(decision)}  about {visible(decision.target)}"
        if decision.note:
            text += f"  “{visible(decision.note)}”"
        if decision.verdict and ended_by:
            text += f"  (ended: {told(ended_by)})"
        echo(text)
    note(f"{len(found)} decisions")
