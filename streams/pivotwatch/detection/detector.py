"""The detector of the public interface: events in, typed alerts out, in one process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from pivotwatch.base.network_classes import NetworkClass
from pivotwatch.contracts.alerts import Alert, parse_alert
from pivotwatch.contracts.controls import Release
from pivotwatch.contracts.events import Event
from pivotwatch.contracts.records import Output
from pivotwatch.detection.event_lines import event_lines
from pivotwatch.detection.pipeline import DetectionPipeline, no_class
from pivotwatch.detection.rejections import Rejected, Rejections
from pivotwatch_models.settings import Settings


class Detector:
    """Finds campaigns in a stream of events that the caller feeds. It starts no thread and opens no file.

    The alerts depend on the events and their order alone, not on how they are cut into calls of `feed`, nor
    on snapshots in between.

    Parameters
    ----------
    settings
        Parameters of the method; the defaults when left out.
    releases
        Release calendar. A release that is not in it is inferred from the stream.
    decisions
        Decisions of people, such as ``{"entity": {"kind": "network", "id": "AS64500"}, "verdict":
        "verified"}``.
    partitions
        Number of partitions of the topic that a run through Kafka would read. Alerts about single accounts
        depend on it.
    network_class
        Looks up the class of a network (``hosting``, ``proxy``, …), None when it is unknown.
    strict
        Whether a bad event raises an error. By default it is counted in `rejected`.

    Raises
    ------
    ValueError
        When a release or a decision cannot be read.

    Examples
    --------
    >>> detector = Detector(Settings(bucket="1d"), releases=[Release("m-2", "2026-02-05T18:00Z")])
    >>> event = {"id": "r", "ts": "2026-02-05T19:00Z", "account": "a", "model": "m-2", "ip": "203.0.113.7"}
    >>> detector.feed([event, {"id": "r"}])
    []
    >>> [(bad.reason, bad.place) for bad in detector.rejected]
    [('ts: required, but missing', 'event 2')]
    >>> detector = Detector.restore(detector.snapshot())
    >>> detector.finish()
    []
    """

    def __init__(
        self,
        settings: Settings | None = None,
        releases: Iterable[Release | Mapping[str, Any]] = (),
        *,
        decisions: Iterable[Mapping[str, Any]] = (),
        partitions: int = 1,
        network_class: NetworkClass = no_class,
        strict: bool = False,
    ) -> None:
        self._pipeline = DetectionPipeline(
            settings or Settings(),
            partitions=partitions,
            releases=releases,
            decisions=decisions,
            network_class=network_class,
        )
        self._rejections = Rejections(strict=strict)

    @property
    def settings(self) -> Settings:
        """Parameters of the method."""
        return self._pipeline.settings

    @property
    def rejected(self) -> list[Rejected]:
        """Events that could not be read since this object was made, by reason, the most frequent first."""
        return list(self._rejections)

    def feed(self, events: Iterable[Event | Mapping[str, Any]]) -> list[Alert]:
        """Take events, in about the order of their times; return the alerts that they complete.

        A bucket closes when the time on which several accounts and networks agree, minus
        ``allowed_lateness``, passes its end. An event that comes later is late: it is counted with its bucket
        when it is at most one day late.

        Raises
        ------
        ValueError
            After `finish`; or, when ``strict``, on a bad event.
        """
        return list(self._alerts(self._pipeline.process(event_lines(events))))

    def finish(self) -> list[Alert]:
        """Close every open bucket; return the alerts of that. Afterwards no more events are taken."""
        return list(self._alerts(self._pipeline.finish()))

    def snapshot(self) -> bytes:
        """The whole state, settings and releases included; without `rejected` and ``network_class``."""
        return self._pipeline.snapshot()

    @classmethod
    def restore(cls, state: bytes, *, network_class: NetworkClass = no_class, strict: bool = False) -> Self:
        """A detector that continues exactly where `snapshot` was taken.

        Parameters
        ----------
        state
            What `snapshot` returned.
        network_class, strict
            As for a new detector; give the same look-up for the same alerts.

        Raises
        ------
        ValueError
            When the state is damaged, or another version of the method wrote it.
        """
        detector = cls(strict=strict)
        detector._pipeline = DetectionPipeline.restore(state, network_class)
        return detector

    def _alerts(self, outputs: Iterable[Output]) -> Iterator[Alert]:
        for output in outputs:
            if output.topic == "alerts":
                yield parse_alert(output.value)
            elif output.topic == "dlq":
                self._rejections.take(output, _place)


def _place(offset: int) -> str:
    return f"event {offset + 1}"
