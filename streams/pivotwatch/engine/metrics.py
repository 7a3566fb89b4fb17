"""Metrics for Prometheus, and the page that serves them.

Nothing here runs per event. A scrape reads the counters of the partitions. Rare things (dead letters, alerts,
checkpoints) are counted where they happen. Counters count the work of this process, so work that is repeated
after a crash counts again. No label ever holds an account or a network.
"""

from __future__ import annotations

import time
from collections import Counter as Sums
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Protocol

from aiohttp import web
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

from pivotwatch.contracts.dead_letters import CLASS
from pivotwatch.contracts.records import Output
from pivotwatch.engine.http.server import HttpServer
from pivotwatch.engine.types import TP

Named = Mapping[str, tuple[str, str]]
"""Name of a counter to the name and the help text of its metric."""
CHECKPOINT_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Partition(Protocol):
    """A live partition, as metrics read it."""

    @property
    def offset(self) -> int: ...
    @property
    def saved_at(self) -> float: ...
    @property
    def counters(self) -> Mapping[str, int]:
        """The counters of its operator (`pivotwatch.engine.operator.Counted`)."""


class Worker(Protocol):
    """The shell of a role, as metrics read it."""

    @property
    def live(self) -> Mapping[TP, Partition]:
        """Its partitions."""

    def label(self, tp: TP, /) -> str:
        """The name of a partition."""

    def end_of(self, tp: TP, /) -> int | None:
        """The end of a partition of the input; None when it is not known."""


class Metrics:
    """The metrics of one worker.

    Parameters
    ----------
    role
        The role of the worker.
    worker
        Its shell.
    counters, gauges
        Entries of `Partition.counters` to serve as sums over partitions.
    clock
        Seconds since the epoch.

    Attributes
    ----------
    registry
        Holds the metrics; a role adds its own here.
    dead_letters
        Counts dead letters by the class of the error.
    checkpoint
        Measures the duration of checkpoints.
    servers
        The HTTP servers of the worker, by the key of the configuration that has the port.

    Examples
    --------
    >>> class Nobody:
    ...     live = {}
    >>> metrics = Metrics("accounts", Nobody())
    >>> metrics.sent([Output("dlq", None, b"", (("pivotwatch.errors.class", b"BadEvent"),))])
    >>> print(*[line for line in metrics.text().decode().splitlines() if "BadEvent" in line])
    pivotwatch_dead_letters_total{reason="BadEvent"} 1.0
    """

    def __init__(
        self,
        role: str,
        worker: Worker,
        *,
        counters: Named | None = None,
        gauges: Named | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._partitions = _Partitions(worker, counters or {}, gauges or {}, clock)
        self.registry.register(self._partitions)
        self.servers: dict[str, HttpServer] = {}
        self.registry.register(_Connections(self.servers))
        self.dead_letters = Counter(
            "pivotwatch_dead_letters",
            "Records that could not be read, by the class of the error.",
            ["reason"],
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

    def sent(self, outputs: Sequence[Output]) -> None:
        """Count outputs of an operator."""
        for output in outputs:
            if output.topic == "dlq":
                self.dead_letters.labels((dict(output.headers).get(CLASS) or b"unknown").decode()).inc()

    def dropped(self, live: Iterable[Partition]) -> None:
        """Keep the counters of partitions that this worker loses, so that no sum decreases."""
        for partition in live:
            self._partitions.keep(partition)

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

    def add_page(self, app: web.Application) -> None:
        """Serve them at ``/metrics``."""

        async def metrics(_: web.Request) -> web.Response:
            return web.Response(body=self.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

        app.router.add_get("/metrics", metrics)

    def names(self) -> dict[str, str]:
        """The name and type of every metric; of a histogram, the name without suffixes."""
        lines = self.text().decode().splitlines()
        return dict(line.split()[2:4] for line in lines if line.startswith("# TYPE "))


class _Connections(Collector):
    """Reads the HTTP servers at each scrape."""

    def __init__(self, servers: Mapping[str, HttpServer]) -> None:
        self._servers = servers

    def collect(self) -> Iterator[Metric]:
        open_now = GaugeMetricFamily(
            "pivotwatch_http_connections", "Open HTTP connections.", labels=["server"]
        )
        closed = CounterMetricFamily(
            "pivotwatch_http_connections_closed",
            "HTTP connections that a limit closed: displaced by a new one, refused, or past a deadline.",
            labels=["server", "reason"],
        )
        for name, server in self._servers.items():
            open_now.add_metric([name], server.connections)
            for reason, number in server.closed().items():
                closed.add_metric([name, reason], number)
        yield from (open_now, closed)

    def describe(self) -> Iterator[Metric]:
        return iter(())


class _Partitions(Collector):
    """Reads the live partitions at each scrape."""

    def __init__(self, worker: Worker, counters: Named, gauges: Named, clock: Callable[[], float]) -> None:
        self._worker = worker
        self._counters = counters
        self._gauges = gauges
        self._clock = clock
        self._past: Sums[str] = Sums()

    def keep(self, partition: Partition) -> None:
        """Add the counters of a lost partition to those of earlier ones."""
        counted = partition.counters
        self._past.update({name: counted.get(name, 0) for name in self._counters})

    def collect(self) -> Iterator[Metric]:
        live = sorted(self._worker.live.items())
        seen = {tp: one.counters for tp, one in live}
        for name, (metric, text) in self._counters.items():
            total = self._past[name] + sum(counted.get(name, 0) for counted in seen.values())
            yield CounterMetricFamily(metric, text, value=total)
        for name, (metric, text) in self._gauges.items():
            gauge = GaugeMetricFamily(metric, text)
            if any(name in counted for counted in seen.values()):
                gauge.add_metric([], sum(counted.get(name, 0) for counted in seen.values()))
            yield gauge
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
        for tp, one in live:
            label = [self._worker.label(tp)]
            offset.add_metric(label, one.offset)
            age.add_metric(label, time.monotonic() - one.saved_at)
            if (end := self._worker.end_of(tp)) is not None:
                records.add_metric(label, max(0, end - one.offset))
            if watermark := seen[tp].get("watermark_ms", 0):
                lag.add_metric(label, self._clock() - watermark / 1000)
        yield from (assigned, offset, records, age, lag)

    def describe(self) -> Iterator[Metric]:
        return iter(())


def _by_partition(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["partition"])
