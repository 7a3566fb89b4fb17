"""``pivotwatch replay``."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from pivotwatch.base.display import counted, two_digits
from pivotwatch.base.errors import OutOfReach
from pivotwatch.cli.commands import Command
from pivotwatch.cli.options import echo_json, json_option, note, print_json, with_config
from pivotwatch.cli.progress import progress
from pivotwatch.config.config import Config
from pivotwatch.contracts.alerts import parse_alert
from pivotwatch_models.durations import format_duration

if TYPE_CHECKING:
    from pivotwatch.tools.replay import Replay

MANY_LATE = 0.01
SHOWN_REASONS, SHOWN_OF_REASON = 5, 80
NOT_SEEN = "No event has a model of --releases within its watch (setting `watch`)."
NOT_NAMED = (
    "Name releases with --releases. Without it a release is inferred when a model is first seen after three "
    "days of the stream and 20 accounts of 5 networks use it within a day."
)


@click.command(
    cls=Command,
    example="pivotwatch replay events.jsonl.gz --releases releases.json --alerts alerts.jsonl",
    short_help="Find campaigns in event files, without Kafka.",
)
@click.argument("events", nargs=-1, required=True, metavar="EVENTS…")
@click.option(
    "--releases", metavar="FILE", help="Release calendar (JSON array); without it releases are inferred."
)
@click.option("--decisions", metavar="FILE", help="Decisions (JSON array), applied before the first event.")
@click.option(
    "--alerts", "out", metavar="OUT.jsonl", help="Write the alerts to a file, one CloudEvent per line."
)
@click.option(
    "--report", metavar="OUT.html", help="Write a report with charts and evidence as one HTML file."
)
@click.option(
    "--source", metavar="NAME", help="Format of EVENTS (litellm, otlp_json, …); `mapping list` shows all."
)
@click.option("--sort", is_flag=True, help="Sort the events by time first, for files that are out of order.")
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    help="Number of partitions of the topic that the workers would read.",
)
@json_option
@with_config
def replay(
    config: Config,
    *,
    events: tuple[str, ...],
    releases: str | None,
    decisions: str | None,
    out: str | None,
    report: str | None,
    source: str | None,
    sort: bool,
    partitions: int | None,
    as_json: bool,
) -> None:
    """Run the detection over EVENTS: plain, .gz, .bz2, .zst, .csv or .parquet files, also s3://bucket/key and
    gs://bucket/key, or - for standard input.

    Several files, such as one for each gateway, are merged by time. --sort puts all events in order, in
    bounded memory with a temporary file in TMPDIR.

    Without --source the source of files is recognised by their first records. Exit status: 1 when not one
    record is an event.

    The alerts have the same bytes as those of the workers for the same events. Without --alerts the
    command prints the alerts as text, or with --json as one CloudEvent per line.
    """
    from pivotwatch.base.network_classes import class_of
    from pivotwatch.cli.replay_problems import unseen, why_nothing
    from pivotwatch.detection.pipeline import DetectionPipeline
    from pivotwatch.detection.rejections import Rejections
    from pivotwatch.ingest.convert import Conversion
    from pivotwatch.ingest.settings import Decoders, read_settings
    from pivotwatch.tools.event_files import StandardInput
    from pivotwatch.tools.event_merge import EventFiles
    from pivotwatch.tools.file_sources import NATIVE, models_of, recognised
    from pivotwatch.tools.object_stores import expanded
    from pivotwatch.tools.replay import Replay, read_entries

    started = time.monotonic()
    events = tuple(expanded(list(events)))
    calendar = read_entries("releases", releases or ())
    pipeline = DetectionPipeline(
        config.settings,
        partitions=partitions or config.partitions,
        releases=calendar,
        decisions=read_entries("decisions", decisions or ()),
        network_class=class_of(config.network_classes),
        remembered=config.dedup_requests,
    )
    ingest = read_settings(config.ingest)
    standard_input = StandardInput()
    decoder = recognised(events, ingest, standard_input) if source is None else Decoders(ingest).of(source)
    if decoder is not None and source is None:
        name = decoder.mapping.name
        other = "" if name == NATIVE else "; --source native reads it as native events"
        note(f"pivotwatch: read as source {name}{other}")
    rejections = Rejections()
    conversion = None if decoder is None else Conversion(decoder, rejections)
    files = EventFiles(events, conversion, sort=sort, standard_input=standard_input)
    with _writer(out, as_json) as write, progress(files):
        result = Replay(files, pipeline, files.place, rejections, conversion)
        for alert in result.encoded():
            write(alert)
    if report:
        with _whole_file(Path(report)) as page:
            page.write(_rendered(result))
    remedy = NOT_NAMED
    if calendar:
        remedy = NOT_SEEN
        if result.events and not result.watched:
            remedy += unseen(_names(calendar), models_of(events, decoder, ingest, standard_input))
    summary = Summary(result, time.monotonic() - started, remedy)
    if as_json and out:
        print_json(summary.as_dict())
    else:
        note(summary.as_text(out))
    if result.has_nothing:
        note(f"pivotwatch: no event in {', '.join(events)}\n{why_nothing(result)}")
        click.get_current_context().exit(1)


def _names(calendar: list[Any]) -> list[str]:
    return [entry["model"] if isinstance(entry, dict) else entry.model for entry in calendar]


def _rendered(result: Replay) -> bytes:
    from pivotwatch.reporting.page import render

    return render(result.collector, result.settings).encode(errors="replace")


class Summary:
    """The figures of a finished replay.

    Parameters
    ----------
    result
        The replay.
    seconds
        Duration in seconds.
    remedy
        What to do when no release was watched.
    """

    def __init__(self, result: Replay, seconds: float, remedy: str) -> None:
        self._remedy = remedy
        self._result = result
        self._seconds = seconds
        self._adoptions = {adoption.model: adoption for adoption in result.collector.releases.values()}
        self._dead_letters = Counter[str]()
        for rejected in result.rejected:
            self._dead_letters[rejected.reason[:SHOWN_OF_REASON]] += rejected.count

    def as_dict(self) -> dict[str, Any]:
        result = self._result
        newest = [revisions[-1] for revisions in result.collector.revisions.values()]
        return {
            "events": result.events,
            "seconds": round(self._seconds, 3),
            "events_per_second": round(result.events / self._seconds),
            "alerts": len(newest),
            "alerts_by_severity": dict(sorted(Counter(severity for _, _, severity in newest).items())),
            **({"skipped": result.skipped} if result.skipped else {}),
            **({"no_requests": result.no_requests} if result.no_requests else {}),
            **({"repeats": result.repeats} if result.repeats else {}),
            "late": result.late,
            "failed": result.failed,
            "dead_letters": dict(sorted(self._dead_letters.items())),
            "watched": result.watched,
            "too_thin": {
                model: {
                    "moves_per_bucket": adoption.moves_per_bucket,
                    "advised_bucket_ms": adoption.advised_bucket_ms,
                }
                for model, adoption in sorted(self._adoptions.items())
                if adoption.advised_bucket_ms
            },
        }

    def as_text(self, out: str | None) -> str:
        figures = self.as_dict()
        by_severity = ", ".join(f"{count} {name}" for name, count in figures["alerts_by_severity"].items())
        result = self._result
        text = f"{result.events:,} events in {figures['seconds']:.1f} s "
        text += f"({figures['events_per_second']:,}/s); alerts: {by_severity or 'none'}"
        text += f", in {out}" if out else ""
        if result.no_requests:
            text += f"\n{counted(sum(result.no_requests.values()), 'record')} left out: not a request "
            text += f"({'; '.join(f'{count:,} × {reason}' for reason, count in result.no_requests.items())})"
        if result.repeats:
            text += f"\n{counted(result.repeats, 'record')} left out: it reports a request again"
        if result.group_accounts:
            text += f"\nWARNING: {counted(result.group_accounts, 'record')} without a user: the account is a "
            text += "team or an organisation. Log a user or a key, or set `account` in your own mapping."
        if result.failed:
            text += f"\n{counted(result.failed, 'failed request')} not counted"
        if result.late:
            text += f"\n{counted(result.late, 'late event')}; what came over a day late is left out"
        if result.late > MANY_LATE * result.events:
            text += (
                "\nWARNING: so many late events delay the scores of their groups, and those over a day late "
                "are lost. Use --sort, check that no event lies far in the future, or raise "
                "allowed_lateness."
            )
        if result.events and not self._adoptions:
            text += f"\nWARNING: no release was watched, so nothing could be found. {self._remedy}"
        for model, sparse in figures["too_thin"].items():
            width = format_duration(timedelta(milliseconds=sparse["advised_bucket_ms"]))
            text += (
                f"\nWARNING: too few data for {model}: {two_digits(sparse['moves_per_bucket'])} first uses "
                f"per bucket. Use wider buckets: --set bucket={width}"
            )
        if self._dead_letters:
            reasons = self._dead_letters.most_common(SHOWN_REASONS)
            more = len(self._dead_letters) - len(reasons)
            listed = "; ".join(f"{count:,} × {reason}" for reason, count in reasons)
            text += f"\n{counted(self._dead_letters.total(), 'unreadable record')} left out: {listed}"
            text += f"; and {more} other reasons" if more else ""
        return text


@contextlib.contextmanager
def _writer(out: str | None, as_json: bool) -> Iterator[Callable[[bytes], None]]:
    if out and out != "-":
        with _whole_file(Path(out)) as file:
            yield lambda alert: _write_line(file, alert)
    elif out or as_json:
        yield echo_json
    else:
        from pivotwatch.cli.printing import alert_printer

        show = alert_printer()
        yield lambda alert: show(parse_alert(alert))


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears only when it is complete, so that nobody reads an incomplete result."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        os.replace(part, path)
    except OSError as error:
        raise OutOfReach(f"{error.filename or path}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _write_line(file: IO[bytes], line: bytes) -> None:
    file.write(line + b"\n")
