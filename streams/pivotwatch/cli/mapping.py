"""``pivotwatch mapping``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.base.outside_text import visible
from pivotwatch.cli.commands import Group
from pivotwatch.cli.options import echo, json_option, note, print_json, with_config
from pivotwatch.config.config import Config
from pivotwatch.contracts.events import format_time
from pivotwatch.ingest.documents import messages
from pivotwatch.ingest.explain import Explanation, explain, guess, why_none
from pivotwatch.ingest.mapping import TIMES, load_file, shipped
from pivotwatch.ingest.metrics import GROUP_ACCOUNTS
from pivotwatch.ingest.pointers import to_pointer
from pivotwatch.ingest.pseudonyms import pseudonym
from pivotwatch.ingest.request_identity import SeenRequests
from pivotwatch.ingest.settings import Decoders, IngestSettings, read_settings
from pivotwatch.tools.event_files import Lines
from pivotwatch.tools.file_sources import SAMPLE_LINES, line_decoders


@click.group(
    cls=Group,
    short_help="Show how records of a source become events.",
    example="pivotwatch mapping check requests.log --source litellm",
)
def mapping() -> None:
    """Show how the records of a source become native events."""


@mapping.command(
    short_help="Show what the first records of a file become.",
    example="pivotwatch mapping check requests.log --own acme.toml",
)
@click.argument("file")
@click.option("--source", metavar="NAME", help="Source that wrote FILE; by default the one that fits best.")
@click.option(
    "--own", metavar="FILE.toml", help="Use your own mapping; the file name is the name of the source."
)
@click.option(
    "--samples", type=click.IntRange(min=1), default=3, show_default=True, help="Number of records to show."
)
@json_option
@with_config
def check(
    config: Config, *, file: str, source: str | None, own: str | None, samples: int, as_json: bool
) -> None:
    """Show, for the first records of FILE, what each field becomes and what is dropped.

    Exit status: 1 when a record cannot be read, or when none of the records is a request, else 0.
    """
    settings = read_settings(config.ingest)
    if own:
        name = Path(own).stem
        settings = settings.model_copy(update={"mappings": {**settings.mappings, name: Path(own)}})
        source = source or name
    explanations: list[Explanation] = []
    used, found = _read(settings, source, file, samples)
    decoder, seen = Decoders(settings).of(used), SeenRequests[bool]()
    for message in found:
        explanations += explain(decoder, message, samples - len(explanations), seen)
        if len(explanations) >= samples:
            break
    if as_json:
        print_json({"source": used, "samples": [dataclasses.asdict(one) for one in explanations]})
    else:
        for number, one in enumerate(explanations, start=1):
            echo(f"{used}, sample {number}: {one.verdict}{one.problem and ': ' + one.problem}")
            echo("\n".join(_rows(one)))
    verdicts = {one.verdict for one in explanations}
    groups = {to_pointer(path) for reader in decoder.mapping.readers for path in reader.groups}
    if any(one.places.get("account") in groups for one in explanations):
        note(f"WARNING: {GROUP_ACCOUNTS}")
    if "bad" in verdicts or verdicts == {"skipped"}:
        click.get_current_context().exit(1)


def _read(settings: IngestSettings, source: str | None, file: str, samples: int) -> tuple[str, list[bytes]]:
    """The source of a file, and its first messages."""
    decoders = Decoders(settings)
    if source and decoders.of(source).mapping.form == "otlp_proto":
        return source, [_content(file)]
    lines = list(islice(messages(Lines([file])), max(samples, SAMPLE_LINES)))
    if not lines:
        raise WrongUse(f"{file}: the file is empty")
    if source:
        return source, lines
    readable = line_decoders(settings)
    found = guess(readable, lines)
    if found is None:
        reasons = "\n  ".join(why_none(readable, lines))
        raise WrongUse(f"{file}: no source fits; name one with --source\n  {reasons}")
    note(f"pivotwatch: the source that fits best is {found.mapping.name}")
    return found.mapping.name, lines


def _content(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise OutOfReach(f"{file}: {error.strerror}") from None


def _rows(one: Explanation) -> Iterator[str]:
    for field, value in (one.event or {}).items():
        pointer = visible(one.places.get(field, ""))
        shown = f"{value} ({format_time(value)})" if field in TIMES else visible(str(value))
        yield f"  {field:<16} {shown:<40} {pointer}".rstrip()
    for pointer, kind in one.dropped.items():
        yield f"  dropped          {kind:<40} {visible(pointer)}".rstrip()


@mapping.command("list", short_help="List the sources.", example="pivotwatch mapping list")
@json_option
@with_config
def list_(config: Config, *, as_json: bool) -> None:
    """List the sources: name, form, and whether the mapping is your own."""
    settings = read_settings(config.ingest)
    sources: dict[str, Any] = {
        name: {"form": load_file(name, settings.mappings).form, "own": name in settings.mappings}
        for name in sorted({*shipped(), *settings.mappings})
    }
    if as_json:
        print_json(sources)
        return
    for name, about in sources.items():
        echo(f"{name:<16} {about['form']:<12} {'your own' if about['own'] else ''}".rstrip())


@mapping.command(
    "pseudonym",
    short_help="Print the pseudonyms of values.",
    example="pivotwatch mapping pseudonym acct-9 --config pivotwatch.toml",
)
@click.argument("values", nargs=-1, required=True)
@with_config
def pseudonym_(config: Config, *, values: tuple[str, ...]) -> None:
    """Print the pseudonyms of VALUES under every key, to find the account that an alert names."""
    pseudonyms = Decoders(read_settings(config.ingest)).pseudonyms
    if pseudonyms is None:
        raise WrongUse("there are no pseudonyms: the configuration has no [ingest.pseudonyms]")
    for value in values:
        echo(" ".join([visible(value), *(pseudonym(key, value) for key in reversed(pseudonyms.keys))]))
