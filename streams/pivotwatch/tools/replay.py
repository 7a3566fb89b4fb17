"""Replay: runs the detection over stored events, and yields typed alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pivotwatch.base.errors import WrongUse
from pivotwatch.base.network_classes import class_of
from pivotwatch.contracts.alerts import Alert, parse_alert
from pivotwatch.contracts.controls import Release
from pivotwatch.contracts.events import BadEvent, Event
from pivotwatch.detection.event_lines import event_lines
from pivotwatch.detection.pipeline import DetectionPipeline, control_lines
from pivotwatch.detection.rejections import Rejected, Rejections
from pivotwatch.ingest.convert import Conversion, NativeLines
from pivotwatch.ingest.settings import Decoders, read_settings
from pivotwatch.reporting.collector import Collector
from pivotwatch.tools.alert_table import to_dataframe
from pivotwatch.tools.event_files import read_json_array
from pivotwatch.tools.event_merge import EventFiles
from pivotwatch.tools.event_tables import Table, is_table, table_lines
from pivotwatch.tools.object_stores import expanded
from pivotwatch_models.settings import Settings

if TYPE_CHECKING:
    from pandas import DataFrame

Events = str | Path | Sequence[str] | Sequence[Path] | Iterable[Event | Mapping[str, Any]] | Table
Entries = str | Path | Iterable[Release | Mapping[str, Any]]
Place = Callable[[int], str]
"""A function from the number of an event (from 0) to its place."""


def replay(
    events: Events,
    releases: Entries = (),
    *,
    settings: Settings | None = None,
    source: str | None = None,
    partitions: int = 1,
    decisions: Entries = (),
    network_classes: str | Path | None = None,
    sort: bool = False,
    strict: bool = False,
) -> Replay:
    """Run the detection over events. The alerts have the same bytes as those of a run through Kafka.

    Parameters
    ----------
    events
        A file or a list of files (JSON lines, plain or as ``.gz`` or ``.zst``, or ``.parquet``; also
        ``s3://bucket/key`` and ``gs://bucket/key``), which are merged by time; a DataFrame of pandas or
        polars, or a table of pyarrow; or an iterable of mappings or of `Event`. The events must be roughly in
        the order of their times; those of files can be sorted. A time is epoch milliseconds, RFC 3339 text,
        or a datetime.
    releases
        Release calendar: `Release` objects, mappings, or a JSON file. Without one, releases are inferred.
    settings
        Parameters of the method; the defaults when left out.
    source
        The source that wrote the events, such as ``litellm`` or ``otlp_json``; None for native events.
        ``pivotwatch mapping list`` lists every source.
    partitions
        Number of partitions of the topic that a run through Kafka would read. Alerts about single accounts
        depend on it.
    decisions
        Decisions of people that apply before the first event: mappings, or a JSON file.
    network_classes
        File that lists hosting and proxy networks, one per line (``AS64500 hosting``).
    sort
        Whether to sort the events of files by their times, in bounded memory with a temporary file.
    strict
        Whether a bad event raises an error. By default it is counted in `Replay.rejected`.

    Returns
    -------
    Replay
        An iterable of the alerts, which computes them during the iteration.

    Raises
    ------
    OutOfReach
        When a file is missing or damaged.
    WrongUse
        When the source does not exist, or a package that reads the events is missing.
    ValueError
        When a release or a decision cannot be read; or, when ``strict``, on a bad event.

    Examples
    --------
    >>> event = {"id": "r", "ts": "2026-02-05T19:00Z", "account": "a", "model": "m-2", "ip": "203.0.113.7"}
    >>> result = replay([event, {"id": "r"}], releases=[Release("m-2", "2026-02-05T18:00Z")])
    >>> list(result), result.events, result.watched
    ([], 1, ['m-2'])
    >>> [(bad.count, bad.reason, bad.place) for bad in result.rejected]
    [(1, 'ts: required, but missing', 'event 2')]
    """
    rejections = Rejections(strict=strict)
    conversion = None if source is None else Conversion(Decoders(read_settings({})).of(source), rejections)
    lines, place = _opened(events, conversion, sort=sort)
    pipeline = DetectionPipeline(
        settings or Settings(),
        partitions=partitions,
        releases=read_entries("releases", releases),
        decisions=read_entries("decisions", decisions),
        network_class=class_of(Path(network_classes) if network_classes else None),
    )
    return Replay(lines, pipeline, place, rejections, conversion)


class Replay:
    """The alerts of a replay. They are computed during the first iteration, and kept for later ones.

    Parameters
    ----------
    lines
        Native events, one per line.
    pipeline
        A new pipeline.
    place
        Returns the place of a line.
    rejections
        Counts the events that cannot be read.
    conversion
        Converted the lines from those of a source; None when they were native events.

    Attributes
    ----------
    collector
        Totals, adoption curves and alerts for the report.
    settings
        Parameters of the method.
    """

    def __init__(
        self,
        lines: Iterable[bytes],
        pipeline: DetectionPipeline,
        place: Place,
        rejections: Rejections,
        conversion: Conversion | None = None,
    ) -> None:
        self.settings = pipeline.settings
        self.collector = Collector()
        self._pipeline = pipeline
        self._place = place
        self._rejections = rejections
        self._native = conversion
        self._lines = lines
        self._alerts: list[bytes] = []
        self._pending = self._new_alerts()
        self._failure: Exception | None = None

    def __iter__(self) -> Iterator[Alert]:
        return map(parse_alert, self.encoded())

    def encoded(self) -> Iterator[bytes]:
        """The alerts as encoded records of the topic ``alerts``."""
        number = 0
        while number < len(self._alerts) or self._advance():
            yield self._alerts[number]
            number += 1

    def run(self) -> Replay:
        """Read all events, so that every count is complete."""
        while self._advance():
            pass
        return self

    @property
    def events(self) -> int:
        """Number of events read so far, without those that could not be read."""
        if self._native is not None:
            return self._native.events
        return max(self._pipeline.taken - self._rejections.total, 0)

    @property
    def skipped(self) -> int:
        """Number of documents of the source so far that give no event although they can be read."""
        return 0 if self._native is None else self._native.skipped

    @property
    def no_requests(self) -> dict[str, int]:
        """Number of documents of the source so far that are not requests, by reason."""
        return {} if self._native is None else dict(self._native.no_requests)

    @property
    def repeats(self) -> int:
        """Number of documents of the source so far that report a request again."""
        return 0 if self._native is None else self._native.repeats

    @property
    def group_accounts(self) -> int:
        """Number of documents of the source so far whose account is a team or an organisation."""
        return 0 if self._native is None else self._native.group_accounts

    @property
    def failed(self) -> int:
        """Number of failed requests so far; detection does not count them."""
        return self.collector.totals["failed"]

    @property
    def late(self) -> int:
        """Number of late events so far. Those at most one day late are counted with their bucket."""
        return self.collector.totals["late"]

    @property
    def rejected(self) -> list[Rejected]:
        """The events so far that could not be read, by reason, the most frequent reason first."""
        return list(self._rejections)

    @property
    def has_nothing(self) -> bool:
        """Whether records were read, but not one of them is an event."""
        return not self.events and not self._alerts and bool(self.rejected or self.skipped)

    @property
    def watched(self) -> list[str]:
        """The models whose release was watched so far. Without one the detection finds nothing."""
        return sorted({adoption.model for adoption in self.collector.releases.values()})

    def to_dataframe(self) -> DataFrame:
        """A DataFrame of the alerts; see `pivotwatch.tools.alert_table.to_dataframe`."""
        return to_dataframe(alert.data for alert in self)

    def _advance(self) -> bool:
        """Compute the next alert; returns whether there is one."""
        if self._failure is not None:
            raise self._failure
        try:
            alert = next(self._pending, None)
        except BaseException as error:
            # A second iteration must not present some of the alerts as all of them.
            stopped = RuntimeError("the replay was interrupted: start a new one")
            self._failure = error if isinstance(error, Exception) else stopped
            raise
        if alert is None:
            return False
        self._alerts.append(alert)
        return True

    def _new_alerts(self) -> Iterator[bytes]:
        for output in self._pipeline.run(self._lines):
            if output.topic == "dlq":
                self._rejections.take(output, self._place)
                continue
            self.collector.take(output)
            if output.topic == "alerts":
                yield output.value


class _Counted:
    """Lines, with the number of lines that were read."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = lines
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            self.taken += 1
            yield line


def read_entries(topic: str, entries: Entries) -> list[Any]:
    """Read releases or decisions, from objects or from a JSON file.

    Raises
    ------
    WrongUse
        When an entry cannot be read; the message names the file and the entry.
    """
    if not isinstance(entries, str | Path):
        return list(entries)
    read = read_json_array(str(entries))
    try:
        control_lines(topic, read)
    except BadEvent as error:
        raise WrongUse(f"{entries}: {error}") from None
    return read


def _opened(events: Any, conversion: Conversion | None, *, sort: bool) -> tuple[Iterable[bytes], Place]:
    """The events as native lines, and the function that names their places."""
    paths = _paths(events)
    if paths:
        files = EventFiles(paths, conversion, sort=sort)
        return files, files.place
    if sort:
        raise WrongUse("sort: only the events of files can be sorted; sort these before")
    lines, place = _listed(events)
    if conversion is None:
        return lines, place
    counted = _Counted(lines)
    return NativeLines(counted, conversion, lambda: place(counted.taken - 1)), _event_place


def _listed(events: Any) -> tuple[Iterable[bytes], Place]:
    if is_table(events):
        return table_lines(events), _row_place
    if isinstance(events, Mapping) or not isinstance(events, Iterable):
        raise TypeError(
            f"events: expected files, a DataFrame, or an iterable of events, got {type(events).__name__}"
        )
    return event_lines(events), _event_place


def _paths(events: Any) -> list[str]:
    """The paths of ``events``, or nothing when it holds no files."""
    if isinstance(events, str | Path):
        return expanded([str(events)])
    if isinstance(events, list | tuple) and all(isinstance(each, str | Path) for each in events):
        return expanded([str(each) for each in events])
    return []


def _event_place(number: int) -> str:
    return f"event {number + 1}"


def _row_place(number: int) -> str:
    return f"row {number + 1}"
