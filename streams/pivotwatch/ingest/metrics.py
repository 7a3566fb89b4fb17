"""What the role ``ingest`` tells Prometheus beside what every worker does."""

from __future__ import annotations

import dataclasses

from prometheus_client import Counter, Gauge, Histogram

from pivotwatch.engine.metrics import Metrics, Worker

ANSWER_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclasses.dataclass(frozen=True, slots=True)
class SourcePartition:
    """A partition of others, as `pivotwatch.engine.metrics.Live` wants it; it has no state."""

    offset: int
    saved_at: float
    step: None = None


class IngestMetrics(Metrics):
    """The metrics of a worker of this role.

    Attributes
    ----------
    posts, answers, waiting
        Of HTTP: posts by status, seconds until their answer, bytes that the broker has not confirmed.
    held
        Partitions that wait for others.

    Examples
    --------
    >>> class Nobody:
    ...     live = {}
    >>> metrics = IngestMetrics(Nobody())
    >>> metrics.read("litellm", events=1, skipped=0)
    >>> print(*[line for line in metrics.text().decode().splitlines() if "events_total{" in line])
    pivotwatch_ingest_events_total{source="litellm"} 1.0
    """

    def __init__(self, worker: Worker) -> None:
        super().__init__("ingest", worker)
        self.events = Counter(
            "pivotwatch_ingest_events",
            "Events read from traffic of others and sent on; after a crash some are sent again.",
            ["source"],
            registry=self.registry,
        )
        self.skipped = Counter(
            "pivotwatch_ingest_skipped_documents",
            "Documents of others that are no requests to a model.",
            ["source"],
            registry=self.registry,
        )
        self.held = Gauge(
            "pivotwatch_ingest_held_partitions",
            "Partitions of others that wait for those that are behind them in event time.",
            registry=self.registry,
        )
        self.posts = Counter(
            "pivotwatch_http_posts",
            "Posts, by the status of their answer.",
            ["status"],
            registry=self.registry,
        )
        self.answers = Histogram(
            "pivotwatch_http_answer_seconds",
            "How long a post waits for its answer, with the broker's.",
            buckets=ANSWER_BUCKETS,
            registry=self.registry,
        )
        self.waiting = Gauge(
            "pivotwatch_http_waiting_bytes",
            "Bytes of bodies that the broker has not confirmed.",
            registry=self.registry,
        )

    def read(self, source: str, *, events: int, skipped: int) -> None:
        """Count what became of some messages; too slow for every single one."""
        self.events.labels(source).inc(events)
        self.skipped.labels(source).inc(skipped)
