"""``pivotwatch replay``."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
import orjson

from pivotwatch.base.display import counted, two_digits
from pivotwatch.base.durations import format_duration
from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.cli.commands import Command
from pivotwatch.cli.options import json_option, note, print_json, with_config
from pivotwatch.cli.progress import progress
from pivotwatch.config.config import Config
from pivotwatch.contracts.alerts import parse_alert
from pivotwatch.contracts.dead_letters import about_of
from pivotwatch.contracts.records import Output
from pivotwatch.contracts.status import parse_status
from pivotwatch.tools.event_files import Lines, read_json_array

if TYPE_CHECKING:
    from pivotwatch.ingest.convert import NativeLines

APART = ("late", "failed")
MANY_LATE = 0.01
SHOWN_REASONS = 5
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
@click.option("--alerts", "out", metavar="OUT.jsonl", help="Write the alerts here, one CloudEvent a line.")
@click.option(
    "--report", metavar="OUT.html", help="Write a report with charts and evidence as one HTML file."
)
@click.option(
    "--source", metavar="NAME", help="Format of EVENTS (litellm, otlp_json, …); `mapping list` shows all."
)
@click.option("--partitions", type=click.IntRange(min=1), help="Partitions of the mirrored topic.")
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
    partitions: int | None,
    as_json: bool,
) -> None:
    """Run the detection over EVENTS: plain, .gz, .zst or .parquet files, or - for standard input.

    The result is equal to the byte to that of the workers on the same events. Without
    --alerts the alerts are printed as text (with --json: one CloudEvent per line).
    """
    from pivotwatch.base.network_classes import class_of
    from pivotwatch.detection import replay as engine

    lines = Lines(events)
    calendar = _controls("releases", releases)
    judged = _controls("decisions", decisions)
    summary = Summary(NOT_SEEN if calendar else NOT_NAMED)
    with _report(report, config) as gather, _writer(out, as_json) as write, progress(lines) as counted:
        native = _natively(config, source, counted)
        outputs = engine.replay(
            config.settings,
            native if native is not None else counted,
            partitions=partitions or config.partitions,
            releases=calendar,
            decisions=judged,
            network_class=class_of(config.network_classes),
        )
        for alert in summary.watch(gather(outputs)):
            write(alert)
    summary.events = lines.count
    if native is not None:
        summary.events, summary.skipped = native.events, native.skipped
        summary.dead_letters += native.unreadable
    if as_json and out:
        print_json(summary.as_dict())
    else:
        note(summary.as_text(out))


def _controls(topic: str, path: str | None) -> list[Any]:
    """Releases or decisions of a file; a malformed one is an error."""
    from pivotwatch.contracts.events import BadEvent
    from pivotwatch.contracts.records import Line
    from pivotwatch.detection.scoring import control_log

    entries = read_json_array(path) if path else []
    for number, entry in enumerate(entries, start=1):
        try:
            control_log.read(topic, Line(orjson.dumps(entry)))
        except BadEvent as error:
            raise WrongUse(f"{path}: entry {number}: {error}") from None
    return entries


def _natively(config: Config, source: str | None, lines: Iterable[bytes]) -> NativeLines | None:
    """The lines of a source as native events; None without a source."""
    if source is None:
        return None
    from pivotwatch.ingest.convert import NativeLines
    from pivotwatch.ingest.settings import Decoders, read_settings

    return NativeLines(lines, Decoders(read_settings(config.ingest)).of(source))


class Summary:
    """Counts the outputs of a replay.

    Parameters
    ----------
    remedy
        What to do when no release was watched.
    """

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy
        self.started = time.monotonic()
        self.events = self.skipped = 0
        self.alerts: dict[str, str] = {}
        self.dead_letters: Counter[str] = Counter()
        self.apart: Counter[str] = Counter()
        self.thin: dict[str, tuple[float, int | None]] = {}

    def watch(self, outputs: Iterable[Output]) -> Iterator[bytes]:
        """Yield the alerts and count all outputs."""
        for output in outputs:
            if output.topic == "dlq":
                self.dead_letters[about_of(output.headers).message[:80]] += 1
            elif output.topic == "status":
                status = parse_status(output.value)
                self.apart.update({"late": status.late, "failed": status.failed})
                for release in status.releases:
                    numbers = release.moves_per_bucket or 0.0, release.advised_bucket_ms
                    self.thin[release.model] = numbers
            elif output.topic == "alerts":
                data = parse_alert(output.value).data
                self.alerts[data.alert_id] = data.severity
                yield output.value

    def as_dict(self) -> dict[str, Any]:
        seconds = time.monotonic() - self.started
        return {
            "events": self.events,
            "seconds": round(seconds, 3),
            "events_per_second": round(self.events / seconds),
            "alerts": len(self.alerts),
            "alerts_by_severity": dict(sorted(Counter(self.alerts.values()).items())),
            **({"skipped": self.skipped} if self.skipped else {}),
            **{name: self.apart[name] for name in APART},
            "dead_letters": dict(sorted(self.dead_letters.items())),
            "watched": sorted(self.thin),
            "too_thin": {
                model: {"moves_per_bucket": moves, "advised_bucket_ms": width}
                for model, (moves, width) in sorted(self.thin.items())
                if width
            },
        }

    def as_text(self, out: str | None) -> str:
        figures = self.as_dict()
        by_severity = ", ".join(f"{count} {name}" for name, count in figures["alerts_by_severity"].items())
        text = (
            f"{self.events:,} events in {figures['seconds']:.1f} s ({figures['events_per_second']:,}/s); "
            f"alerts: {by_severity or 'none'}" + (f", in {out}" if out else "")
        )
        if self.skipped:
            text += f"\n{counted(self.skipped, 'record')} left out: not a request"
        if self.apart["failed"]:
            text += f"\n{counted(self.apart['failed'], 'failed request')} not counted"
        if self.apart["late"]:
            text += f"\n{counted(self.apart['late'], 'late event')} left out"
        if self.apart["late"] > MANY_LATE * self.events:
            text += (
                "\nWARNING: with this many late events the result is worthless. Sort the events by ts and "
                "check that none lies far in the future, or raise allowed_lateness."
            )
        if self.events and not self.thin:
            text += f"\nWARNING: no release was watched, so nothing could be found. {self._remedy}"
        for model, (moves, width) in sorted(self.thin.items()):
            if width:
                text += (
                    f"\nWARNING: too few data for {model}: {two_digits(moves)} first uses per bucket. "
                    f"Use wider buckets: --set bucket={format_duration(timedelta(milliseconds=width))}"
                )
        if self.dead_letters:
            reasons = self.dead_letters.most_common(SHOWN_REASONS)
            more = len(self.dead_letters) - len(reasons)
            listed = "; ".join(f"{count:,} × {reason}" for reason, count in reasons)
            unreadable = counted(self.dead_letters.total(), "unreadable record")
            text += f"\n{unreadable} left out: {listed}" + (f"; and {more} other reasons" if more else "")
        return text


@contextlib.contextmanager
def _writer(out: str | None, as_json: bool) -> Iterator[Callable[[bytes], None]]:
    if out and out != "-":
        with _whole_file(Path(out)) as file:
            yield lambda alert: _write_line(file, alert)
    elif out or as_json:
        yield lambda alert: _write_line(sys.stdout.buffer, alert)
    else:
        from pivotwatch.cli.printing import alert_printer

        show = alert_printer()
        yield lambda alert: show(parse_alert(alert))


@contextlib.contextmanager
def _report(path: str | None, config: Config) -> Iterator[Callable[[Iterable[Output]], Iterable[Output]]]:
    """Collect the outputs and write the report at the end, if there is a path for it."""
    if path is None:
        yield lambda outputs: outputs
        return
    from pivotwatch.reporting.collector import Collector
    from pivotwatch.reporting.page import render

    collector = Collector()
    yield collector.collect
    with _whole_file(Path(path)) as file:
        file.write(render(collector, config.settings).encode(errors="replace"))


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears only when it is complete, so half a result is never taken for a result."""
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
