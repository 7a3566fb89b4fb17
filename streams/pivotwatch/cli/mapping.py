"""``pivotwatch mapping``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.cli.options import json_option, note, print_json, with_config
from pivotwatch.config.config import Config
from pivotwatch.contracts.events import format_time
from pivotwatch.ingest.documents import messages
from pivotwatch.ingest.explain import Explained, explain, guess
from pivotwatch.ingest.mapping import TIMES, load_file, shipped
from pivotwatch.ingest.pseudonyms import pseudonym
from pivotwatch.ingest.settings import Decoders, IngestSettings, read_settings
from pivotwatch.tools.event_files import Lines


@click.group(short_help="See how traffic of others is read.")
def mapping() -> None:
    """Sources and their mappings: from a request log as it is to native events."""


@mapping.command()
@click.argument("file")
@click.option("--source", metavar="NAME", help="Which mapping; without it the one that fits best.")
@click.option("--own", metavar="FILE.toml", help="Try a mapping of your own (its name is that of the file).")
@click.option("--samples", type=click.IntRange(min=1), default=3, show_default=True)
@json_option
@with_config
def check(
    config: Config, *, file: str, source: str | None, own: str | None, samples: int, as_json: bool
) -> None:
    """Show for the first lines of FILE what each field became and what was dropped.

    Exit status 1 when one of them could not be read.
    """
    settings = read_settings(config.ingest)
    if own:
        name = Path(own).stem
        settings = settings.model_copy(update={"mappings": {**settings.mappings, name: Path(own)}})
        source = source or name
    explained: list[Explained] = []
    used, messages = _choose(settings, source, file, samples)
    for message in messages:
        explained += explain(Decoders(settings).of(used), message, samples - len(explained))
        if len(explained) >= samples:
            break
    if as_json:
        print_json({"source": used, "samples": [dataclasses.asdict(one) for one in explained]})
    else:
        for number, one in enumerate(explained, start=1):
            click.echo(f"{used}, sample {number}: {one.verdict}{one.problem and ': ' + one.problem}")
            click.echo("\n".join(_rows(one)))
    if any(one.verdict == "bad" for one in explained):
        click.get_current_context().exit(1)


def _choose(settings: IngestSettings, source: str | None, file: str, samples: int) -> tuple[str, list[bytes]]:
    decoders = Decoders(settings)
    if source and decoders.of(source).mapping.form == "otlp_proto":
        return source, [_whole(file)]
    lines = list(islice(messages(Lines([file])), samples))
    if not lines:
        raise WrongUse(f"{file}: no lines")
    if source:
        return source, lines
    names = sorted({*shipped(), *settings.mappings})
    readable = [name for name in names if load_file(name, settings.mappings).form != "otlp_proto"]
    found = guess([decoders.of(name) for name in readable], lines)
    if found is None:
        raise WrongUse(f"{file}: no source reads it; say which with --source ({', '.join(names)})")
    note(f"pivotwatch: taken for {found.mapping.name}")
    return found.mapping.name, lines


def _whole(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise OutOfReach(f"{file}: {error.strerror}") from None


def _rows(one: Explained) -> Iterator[str]:
    for field, value in (one.event or {}).items():
        place = one.places.get(field, "")
        shown = f"{value} ({format_time(value)})" if field in TIMES else str(value)
        yield f"  {field:<16} {shown:<40} {place}".rstrip()
    for place, kind in one.dropped.items():
        yield f"  dropped          {kind:<40} {place}".rstrip()


@mapping.command("list")
@json_option
@with_config
def list_(config: Config, *, as_json: bool) -> None:
    """List the sources."""
    settings = read_settings(config.ingest)
    sources: dict[str, Any] = {
        name: {"form": load_file(name, settings.mappings).form, "own": name in settings.mappings}
        for name in sorted({*shipped(), *settings.mappings})
    }
    if as_json:
        print_json(sources)
        return
    for name, about in sources.items():
        click.echo(f"{name:<16} {about['form']:<12} {'your own' if about['own'] else ''}".rstrip())


@mapping.command("pseudonym")
@click.argument("values", nargs=-1, required=True)
@with_config
def pseudonym_(config: Config, *, values: tuple[str, ...]) -> None:
    """Print the pseudonyms of VALUES under every key: to find the account that an alert names."""
    pseudonyms = Decoders(read_settings(config.ingest)).pseudonyms
    if pseudonyms is None:
        raise WrongUse("there are no pseudonyms: [ingest.pseudonyms] is not in the configuration")
    for value in values:
        click.echo(" ".join([value, *(pseudonym(key, value) for key in reversed(pseudonyms.keys))]))
