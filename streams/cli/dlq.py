"""``pivotwatch dlq``."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
import orjson

from streams.cli.options import json_option, note, with_brokers
from streams.config import Config
from streams.errors import WrongUse

if TYPE_CHECKING:
    from streams.dead_letters import DeadLetter

SHOWN = 60


@click.group(short_help="List dead letters, send them again.")
def dlq() -> None:
    """Records that could not be read, kept with the reason."""


_matching = click.option("--matching", metavar="TEXT", help="Only those whose reason has this text.")


@dlq.command("list")
@_matching
@json_option
@with_brokers
def list_letters(config: Config, matching: str | None, as_json: bool) -> None:
    """Print every dead letter: its number, where it came from, what is wrong, how it begins.

    With --json one object a line, the content in base64.
    """
    reasons: Counter[str] = Counter()
    for letter in _chosen(config, (), matching):
        reasons[letter.about.get("class", "?")] += 1
        if as_json:
            click.echo(orjson.dumps(_as_json(letter)))
        else:
            click.echo(f"{letter.identity}  {letter.origin}  {letter.about.get('message', '?')}")
            click.echo(f"    {_shown(letter.value)}")
    note(f"{reasons.total()} dead letters")


@dlq.command()
@click.argument("numbers", nargs=-1, metavar="[PARTITION:OFFSET]…")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@_matching
@with_brokers
def redrive(config: Config, numbers: tuple[str, ...], everything: bool, matching: str | None) -> None:
    """Send dead letters to the topic that they came from, with the key, value and headers they had.

    Name them as `dlq list` does, or choose by --matching, or --all. They stay in the topic of
    dead letters; what still cannot be read comes there again. An event of a bucket that is
    closed by now counts as late.
    """
    from streams import dead_letters

    if not numbers and not matching and not everything:
        raise click.UsageError("name dead letters, or give --matching or --all")
    chosen = list(_chosen(config, numbers, matching))
    missing = set(numbers) - {letter.identity for letter in chosen}
    if missing:
        raise WrongUse(f"there is no dead letter {', '.join(sorted(missing))}")
    for letter in chosen:
        if letter.obstacle:
            note(f"{letter.identity} stays where it is: {letter.obstacle}")
    sent = dead_letters.redrive(config, [letter for letter in chosen if not letter.obstacle])
    note(f"{sent} sent again")


def _chosen(config: Config, numbers: tuple[str, ...], matching: str | None) -> Iterator[DeadLetter]:
    from streams import dead_letters

    for letter in dead_letters.letters(config):
        if numbers and letter.identity not in numbers:
            continue
        if matching is None or matching in letter.about.get("message", ""):
            yield letter


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
        "about": dict(letter.about),
        "key": text(letter.key),
        "value": text(letter.value),
        "headers": [[name, text(value)] for name, value in letter.headers],
    }
