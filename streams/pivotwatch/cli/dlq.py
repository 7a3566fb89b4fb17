"""``pivotwatch dlq``."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import orjson

from pivotwatch.base.errors import WrongUse
from pivotwatch.cli.options import json_option, note, with_brokers
from pivotwatch.config.config import Config

if TYPE_CHECKING:
    from pivotwatch.contracts.dead_letters import DeadLetter
    from pivotwatch.delivery.notification_log import Key

SHOWN = 60


@click.group(short_help="List dead letters of events or deliveries, send them again.")
def dlq() -> None:
    """Records that could not be read, or with --deliveries alerts that could not be delivered."""


_deliveries = click.option("--deliveries", is_flag=True, help="Of the role delivery, not of events.")
_target = click.option("--target", metavar="NAME", help="Only those for this target; needs --deliveries.")
_matching = click.option("--matching", metavar="TEXT", help="Only those whose reason has this text.")


@dlq.command("list")
@_deliveries
@_target
@_matching
@json_option
@with_brokers
def list_letters(
    config: Config, *, deliveries: bool, target: str | None, matching: str | None, as_json: bool
) -> None:
    """Print every dead letter: its number, where it came from, what is wrong, how it begins.

    Of a delivery: its number, the target, the alert, what is wrong, when. With --json one object a
    line, the content in base64.
    """
    reasons: Counter[str] = Counter()
    for letter in _chosen(config, Choice(deliveries, target, (), matching)):
        reasons[letter.about.error_class] += 1
        if as_json:
            click.echo(orjson.dumps(_as_json(letter)))
        elif deliveries:
            click.echo(_delivery_line(letter))
        else:
            click.echo(f"{letter.identity}  {letter.origin}  {letter.about.message}")
            click.echo(f"    {_shown(letter.value)}")
    counted = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    note(f"{reasons.total()} dead letters" + (f": {counted}" if counted else ""))


@dlq.command()
@click.argument("numbers", nargs=-1, metavar="[PARTITION:OFFSET]…")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@_deliveries
@_target
@_matching
@with_brokers
def redrive(
    config: Config,
    *,
    numbers: tuple[str, ...],
    everything: bool,
    deliveries: bool,
    target: str | None,
    matching: str | None,
) -> None:
    """Send dead letters to the topic that they came from, with the key, value and headers they had.

    Name them as `dlq list` does, or choose by --matching, --target, or --all. They stay in the topic of
    dead letters; what still cannot be read comes there again. An event of a bucket that is
    closed by now counts as late.

    With --deliveries alerts are sent to their targets, under the ids they had. Pagers and chats are
    spared those that are out of date. Exit status 1 when a target did not take one.
    """
    if not (numbers or matching or target or everything):
        raise click.UsageError("name dead letters, or give --matching, --target or --all")
    chosen = list(_chosen(config, Choice(deliveries, target, numbers, matching)))
    missing = set(numbers) - {letter.identity for letter in chosen}
    if missing:
        raise WrongUse(f"there is no dead letter {', '.join(sorted(missing))}")
    if deliveries:
        click.get_current_context().exit(0 if asyncio.run(_deliver(config, chosen)) else 1)
    _send_back(config, chosen)


def _send_back(config: Config, chosen: list[DeadLetter]) -> None:
    from pivotwatch.tools import redrive

    for letter in chosen:
        if letter.obstacle:
            note(f"{letter.identity} stays where it is: {letter.obstacle}")
    sent = redrive.redrive(config, [letter for letter in chosen if not letter.obstacle])
    note(f"{sent} sent again")


async def _deliver(config: Config, chosen: list[DeadLetter]) -> bool:
    """Send alerts to their targets again; were all of them taken?"""
    from pivotwatch.delivery.kafka_publisher import publisher
    from pivotwatch.delivery.redrive import redrive as again
    from pivotwatch.delivery.redrive import target_of
    from pivotwatch.delivery.target_sender import target_senders

    wanted = {target_of(letter) for letter in chosen}
    told = _told(config)
    async with publisher(config) as publish:
        found = {
            target_sender.name: target_sender
            for target_sender in target_senders(config, publish, only=wanted)
        }
        tally: Counter[bool] = Counter()
        try:
            async for sent in again(chosen, found, told):
                tally[sent.fine] += 1
                mark = "" if sent.fine else "NOT sent: "
                note(f"{sent.letter.identity}  {target_of(sent.letter)}  {mark}{sent.text}")
        finally:
            for target_sender in found.values():
                await target_sender.notifier.close()
    note(f"{tally[True]} done, {tally[False]} not")
    return not tally[False]


def _told(config: Config) -> dict[Key, int]:
    """What each target was told last of each incident, from the delivery log."""
    from pivotwatch.delivery.notification_log import read_entry, read_key
    from pivotwatch.engine.kafka import sync_client

    told: dict[Key, int] = {}
    log = f"{config.app_id('delivery')}-state-changelog"
    with sync_client.consumer(config, isolation_level="read_committed") as client:
        for record in sync_client.records(client, [log], from_beginning=True, until_end=True):
            told[read_key(record.key)] = read_entry(record.value).revision if record.value else 0
    return told


class Choice(NamedTuple):
    """Which dead letters are meant."""

    deliveries: bool
    target: str | None
    numbers: tuple[str, ...]
    matching: str | None


def _chosen(config: Config, choice: Choice) -> Iterator[DeadLetter]:
    from pivotwatch.delivery.redrive import target_of
    from pivotwatch.tools import redrive

    if choice.target and not choice.deliveries:
        raise click.UsageError("--target needs --deliveries")
    for letter in redrive.letters(config, "deliveries_dlq" if choice.deliveries else "dlq"):
        if choice.numbers and letter.identity not in choice.numbers:
            continue
        if choice.target is not None and target_of(letter) != choice.target:
            continue
        if choice.matching is None or choice.matching in letter.about.message:
            yield letter


def _delivery_line(letter: DeadLetter) -> str:
    from pivotwatch.contracts.alerts import parse_alert
    from pivotwatch.delivery.redrive import target_of

    when = datetime.fromtimestamp(letter.timestamp / 1000, UTC)
    try:
        alert = parse_alert(letter.value or b"").id
    except WrongUse:
        alert = "(no alert)"
    why = f"{letter.about.error_class}: {letter.about.message}"
    return f"{letter.identity}  {target_of(letter) or '(all)'}  {alert}  {why}  {when:%Y-%m-%d %H:%M} UTC"


def _shown(value: bytes | None) -> str:
    if value is None:
        return "(nothing)"
    text = repr(value[:SHOWN])[2:-1]
    return text + ("…" if len(value) > SHOWN else "")


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    def text(value: bytes | None) -> str | None:
        return None if value is None else base64.b64encode(value).decode()

    return {
        "number": letter.identity,
        "timestamp": letter.timestamp,
        "about": letter.texts(),
        "key": text(letter.key),
        "value": text(letter.value),
        "headers": [[name, text(value)] for name, value in letter.headers],
    }
