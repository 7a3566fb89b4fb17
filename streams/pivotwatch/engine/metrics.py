"""Metrics for Prometheus, and the page that serves them.

Nothing here is called per event. What a worker has counted is read from its steps when somebody
scrapes; the rest is counted where it happens, and that is rare: a dead letter, an alert, a checkpoint.
A counter says what this process has done, so work that is done again after a crash counts again.
No label ever holds an account or a network.
"""

from __future__ import annotations

import time
from collections import Counter as Sums
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, Protocol

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.alerts import parse_alert
from pivotwatch.contracts.dead_letters import CLASS
from pivotwatch.contracts.records import Output

CHECKPOINT_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

COUNTED: Mapping[str, tuple[str, str]] = {
    "events": ("pivotwatch_events", "Events counted into buckets."),
    "late": ("pivotwatch_late_events", "Events that came after their bucket was closed; left out."),
    "failed": (
        "pivotwatch_failed_requests",
        "Events of requests that failed (status 400 and above); left out.",
    ),
    "dropped_models": (
        "pivotwatch_dropped_models",
        "Models that are not followed, since others are used by more accounts.",
    ),
    "forgotten_models": (
        "pivotwatch_forgotten_models",
        "Names of models forgotten before their time, since there were too many.",
    ),
}
"""What steps count (`pivotwatch.engine.operator.Counted`): name in a step to metric and help text."""


class Live(Protocol):
    """What is read of a live partition."""

    step: Any
    offset: int
    saved_at: float


class Worker(Protocol):
    """What is read of the shell of a role."""

    @property
    def live(self) -> Mapping[Any, Any]:
        """Its partitions, by number; by name where there are several topics."""

    def end_of(self, partition: Any, /) -> int | None:
        """The end of a partition of the input, if it is known."""


class Metrics:
    """The metrics of one worker.

    Parameters
    ----------
    role
        The role of the worker.
    worker
        Its shell.
    clock
        Seconds since the epoch.

    Attributes
    ----------
    dead_letters, alerts, deliveries
        Counters, for whoever does these things.
    waiting
        Of each target, how many deliveries wait.
    checkpoint
        How long checkpoints take.

    Examples
    --------
    >>> class Nobody:
    ...     live = {}
    >>> metrics = Metrics("accounts", Nobody())
    >>> metrics.sent([Output("dlq", None, b"", (("pivotwatch.errors.class", b"BadEvent"),))])
    >>> print(*[line for line in metrics.text().decode().splitlines() if "BadEvent" in line])
    pivotwatch_dead_letters_total{reason="BadEvent"} 1.0
    """

    def __init__(self, role: str, worker: Worker, clock: Callable[[], float] = time.time) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._past: Sums[str] = Sums()
        self.registry.register(_Partitions(worker, clock, self._past))
        self.dead_letters = Counter(
            "pivotwatch_dead_letters",
            "Records that could not be read, by the class of the error.",
            ["reason"],
            registry=self.registry,
        )
        self.alerts = Counter(
            "pivotwatch_alerts",
            "Alerts written, by severity and state (open, updated, resolved, suppressed).",
            ["severity", "state"],
            registry=self.registry,
        )
        self.deliveries = Counter(
            "pivotwatch_deliveries",
            "Attempts to deliver an alert or to tell it again, by target and outcome (ok, retried, failed).",
            ["target", "outcome"],
            registry=self.registry,
        )
        self.waiting = Gauge(
            "pivotwatch_deliveries_waiting",
            "Alerts that were read and are not yet delivered, by target.",
            ["target"],
            registry=self.registry,
        )
        self.checkpoint = Histogram(
            "pivotwatch_checkpoint_seconds",
            "How long a checkpoint takes, with everything that it waits for.",
            buckets=CHECKPOINT_BUCKETS,
            registry=self.registry,
        )
        info = Gauge(
            "pivotwatch_worker", "Always 1; says what runs.", ["role", "version"], registry=self.registry
        )
        info.labels(role, version("pivotwatch")).set(1)

    def sent(self, outputs: Iterable[Output]) -> None:
        """Count what a step returned."""
        for output in outputs:
            if output.topic == "dlq":
                self.dead_letters.labels(dict(output.headers).get(CLASS, b"unknown").decode()).inc()
            elif output.topic == "alerts":
                self.alerts.labels(*_severity_and_state(output.value)).inc()

    def dropped(self, live: Iterable[Live]) -> None:
        """Keep what partitions have counted that this worker no longer has: a counter never goes back."""
        for partition in live:
            self._past.update({name: counters(partition.step).get(name, 0) for name in COUNTED})

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

    def add_page(self, app: Any) -> None:
        """Serve them at ``/metrics`` of a Faust app's web server."""

        async def metrics(view: Any, request: Any) -> Any:
            return view.bytes(self.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

        app.page("/metrics")(metrics)

    def names(self) -> dict[str, str]:
        """Every metric as it is served, and its type; a histogram's without its endings."""
        lines = self.text().decode().splitlines()
        return dict(line.split()[2:4] for line in lines if line.startswith("# TYPE "))


class _Partitions(Collector):
    """Reads the live partitions when somebody scrapes."""

    def __init__(self, worker: Worker, clock: Callable[[], float], past: Sums[str]) -> None:
        self._worker = worker
        self._clock = clock
        self._past = past

    def collect(self) -> Iterator[Metric]:
        live = sorted(self._worker.live.items())
        seen = {partition: counters(one.step) for partition, one in live}
        for name, (metric, text) in COUNTED.items():
            total = self._past[name] + sum(of.get(name, 0) for of in seen.values())
            yield CounterMetricFamily(metric, text, value=total)
        assigned = GaugeMetricFamily("pivotwatch_assigned_partitions", "Partitions that this worker has.")
        assigned.add_metric([], len(live))
        offset = _by_partition("pivotwatch_processed_offset", "The next offset to process.")
        records = _by_partition("pivotwatch_lag_records", "Records of the partition not processed yet.")
        age = _by_partition(
            "pivotwatch_checkpoint_age_seconds",
            "Time since the last checkpoint; there is none while nothing changes.",
        )
        lag = _by_partition(
            "pivotwatch_watermark_lag_seconds", "How far event time is behind the clock, lateness included."
        )
        for partition, one in live:
            label = [str(partition)]
            offset.add_metric(label, one.offset)
            age.add_metric(label, time.monotonic() - one.saved_at)
            if (end := self._worker.end_of(partition)) is not None:
                records.add_metric(label, max(0, end - one.offset))
            if watermark := seen[partition].get("watermark_ms", 0):
                lag.add_metric(label, self._clock() - watermark / 1000)
        incidents = GaugeMetricFamily("pivotwatch_open_incidents", "Incidents that are open.")
        if any("open_incidents" in of for of in seen.values()):
            incidents.add_metric([], sum(of.get("open_incidents", 0) for of in seen.values()))
        yield from (assigned, offset, records, age, lag, incidents)

    def describe(self) -> Iterator[Metric]:
        return iter(())


def counters(step: Any) -> Mapping[str, int]:
    """What a step has counted, nothing when it does not count."""
    count: Callable[[], Mapping[str, int]] | None = getattr(step, "counters", None)
    return count() if count else {}


def _by_partition(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["partition"])


def _severity_and_state(alert: bytes) -> tuple[str, str]:
    """Of what the networks step wrote; a test's step may write less."""
    try:
        data = parse_alert(alert).data
    except WrongUse:
        return "unknown", "unknown"
    return data.severity, data.state
