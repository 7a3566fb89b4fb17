"""``pivotwatch dlq``."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import click
import orjson

from pivotwatch.base.errors import WrongUse
from pivotwatch.base.outside_text import visible, visible_message
from pivotwatch.cli.commands import Group
from pivotwatch.cli.options import echo, echo_json, json_option, note, with_brokers
from pivotwatch.config.config import Config
from pivotwatch.config.topic_settings import Logical
from pivotwatch.contracts.alerts import parse_alert
from pivotwatch.contracts.codec import moment_of, within_calendar
from pivotwatch.contracts.dead_letters import DeadLetter
from pivotwatch.delivery import redrive as delivery_redrive
from pivotwatch.delivery.kafka_publisher import publisher
from pivotwatch.delivery.notification_log import Key, read_entry, read_key
from pivotwatch.delivery.redrive import target_of
from pivotwatch.delivery.target_sender import make_target_senders
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.topics import changelog_name
from pivotwatch.tools import redrive as event_redrive

SHOWN_BYTES = 60
R = TypeVar("R")


class Selection(NamedTuple):
    """The dead letters that a command works on.

    Attributes
    ----------
    deliveries
        Whether they are alerts that could not be delivered; else they are unreadable records.
    target, matching
        Name of the target, and a text that the reason contains; None selects all.
    numbers
        Numbers of dead letters (``PARTITION:OFFSET``); empty selects all.
    """

    deliveries: bool
    target: str | None
    matching: str | None
    numbers: tuple[str, ...] = ()


def selection_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add the options that select dead letters to a command."""
    for option in (
        click.option("--matching", metavar="TEXT", help="Only dead letters whose reason contains TEXT."),
        click.option(
            "--target", metavar="NAME", help="Only dead letters of this target (with --deliveries)."
        ),
        click.option(
            "--deliveries", is_flag=True, help="Alerts that could not be delivered, instead of events."
        ),
    ):
        command = option(command)
    return command


@click.group(
    cls=Group,
    short_help="List dead letters, or send them again.",
    example='pivotwatch dlq list --matching "not JSON"',
)
def dlq() -> None:
    """List dead letters, or send them again.

    Dead letters are records that could not be read or, with --deliveries, alerts that could not be
    delivered.
    """


@dlq.command(
    "list", short_help="List dead letters.", example="pivotwatch dlq list --deliveries --target pager"
)
@selection_options
@json_option
@with_brokers
def list_dead_letters(
    config: Config, *, deliveries: bool, target: str | None, matching: str | None, as_json: bool
) -> None:
    """List dead letters: number, origin, reason and the first bytes of the content.

    With --deliveries: number, target, alert, reason and time. With --json: one object per line, with
    the content in base64.
    """
    reasons: Counter[str] = Counter()
    for dead_letter in _select(config, Selection(deliveries, target, matching)):
        reasons[dead_letter.about.error_class] += 1
        if as_json:
            echo_json(orjson.dumps(_as_json(dead_letter)))
        elif deliveries:
            echo(_delivery_line(dead_letter))
        else:
            about, origin = dead_letter.about, visible(dead_letter.origin)
            echo(f"{dead_letter.identity}  {origin}  {visible_message(about.message, lines=False)}")
            echo(f"    {_first_bytes(dead_letter.value)}")
    counted = ", ".join(f"{count} {visible(reason)}" for reason, count in sorted(reasons.items()))
    note(f"{reasons.total()} dead letters" + (f": {counted}" if counted else ""))


@dlq.command(
    short_help="Send dead letters again.", example='pivotwatch dlq redrive --matching "no such model"'
)
@click.argument("numbers", nargs=-1, metavar="[PARTITION:OFFSET]…")
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@selection_options
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
    """Send dead letters to the topic that they came from, with their key, value and headers.

    Select them by the numbers that `dlq list` prints, or by --matching, --target or --all. They also
    stay in the dead-letter topic. A record that still cannot be read becomes a new dead letter.
    An event whose bucket is already closed counts as late.

    With --deliveries the command sends alerts to their targets, with their original ids. It does not
    send outdated alerts to pagers and chats. Exit status: 1 when a target did not accept an alert.
    """
    if not (numbers or matching or target or everything):
        raise click.UsageError("name dead letters, or give --matching, --target or --all")
    selected = list(_select(config, Selection(deliveries, target, matching, numbers)))
    missing = set(numbers) - {dead_letter.identity for dead_letter in selected}
    if missing:
        raise WrongUse(
            f"there is no dead letter {', '.join(sorted(missing))}; `pivotwatch dlq list` lists all"
        )
    if deliveries:
        click.get_current_context().exit(0 if asyncio.run(_deliver(config, selected)) else 1)
    _send_back(config, selected)


def _send_back(config: Config, selected: list[DeadLetter]) -> None:
    for dead_letter in selected:
        if dead_letter.obstacle:
            note(f"{dead_letter.identity} cannot be sent again: {dead_letter.obstacle}")
    sent = event_redrive.redrive(config, [letter for letter in selected if not letter.obstacle])
    note(f"dead letters sent again: {sent}")


async def _deliver(config: Config, selected: list[DeadLetter]) -> bool:
    """Send alerts to their targets again, and return whether the targets accepted all of them."""
    targets = {target_of(dead_letter) for dead_letter in selected}
    revisions = _notified_revisions(config)
    counts: Counter[bool] = Counter()
    async with publisher(config) as publish:
        senders = {sender.name: sender for sender in make_target_senders(config, publish, only=targets)}
        try:
            async for result in delivery_redrive.redrive(selected, senders, revisions):
                counts[result.ok] += 1
                status = "" if result.ok else "NOT sent: "
                name = visible(target_of(result.dead_letter))
                note(f"{result.dead_letter.identity}  {name}  {status}{result.text}")
        finally:
            for sender in senders.values():
                await sender.notifier.close()
    note(f"{counts[True]} done, {counts[False]} not sent")
    return not counts[False]


def _notified_revisions(config: Config) -> dict[Key, int]:
    """The latest revision of each incident that each target was notified of, from the notification log."""
    revisions: dict[Key, int] = {}
    log = changelog_name(config, "delivery")
    with sync_client.consumer(config, isolation_level="read_committed") as client:
        for record in sync_client.records(client, [log], from_beginning=True, until_end=True):
            try:
                key = read_key(record.key)
                revisions[key] = read_entry(record.value).revision if record.value else 0
            except WrongUse as fault:
                note(f"skipped a record of {log}: {fault}")
    return revisions


def _select(config: Config, selection: Selection) -> Iterator[DeadLetter]:
    if selection.target and not selection.deliveries:
        raise click.UsageError("--target needs --deliveries")
    topic: Logical = "deliveries_dlq" if selection.deliveries else "dlq"
    for dead_letter in event_redrive.read_dead_letters(config, topic):
        if selection.numbers and dead_letter.identity not in selection.numbers:
            continue
        if selection.target is not None and target_of(dead_letter) != selection.target:
            continue
        if selection.matching is None or selection.matching in dead_letter.about.message:
            yield dead_letter


def _delivery_line(dead_letter: DeadLetter) -> str:
    when = moment_of(within_calendar(dead_letter.timestamp))
    try:
        alert = parse_alert(dead_letter.value or b"").id
    except WrongUse:
        alert = "(no alert)"
    about = dead_letter.about
    reason = f"{visible(about.error_class)}: {visible_message(about.message, lines=False)}"
    target = visible(target_of(dead_letter) or "(all)")
    return f"{dead_letter.identity}  {target}  {alert}  {reason}  {when:%Y-%m-%d %H:%M} UTC"


def _first_bytes(value: bytes | None) -> str:
    if value is None:
        return "(nothing)"
    text = repr(value[:SHOWN_BYTES])[2:-1]
    return text + ("…" if len(value) > SHOWN_BYTES else "")


def _as_json(dead_letter: DeadLetter) -> dict[str, Any]:
    def text(value: bytes | None) -> str | None:
        return None if value is None else base64.b64encode(value).decode()

    return {
        "number": dead_letter.identity,
        "timestamp": dead_letter.timestamp,
        "about": dead_letter.texts(),
        "key": text(dead_letter.key),
        "value": text(dead_letter.value),
        "headers": [[name, text(value)] for name, value in dead_letter.headers],
    }
