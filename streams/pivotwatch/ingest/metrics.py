"""The Prometheus metrics of the role ``ingest``, in addition to those of every worker."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

from pivotwatch.engine.metrics import Metrics, Worker
from pivotwatch.ingest.decoded import REPEATED

logger = logging.getLogger(__name__)

GROUP_ACCOUNTS = (
    "records without a user: their account is a team or an organisation, which joins all of its users. Log a "
    "user or a key, or set `account` in your own mapping"
)
ANSWER_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class IngestMetrics(Metrics):
    """The metrics of a worker of this role.

    Attributes
    ----------
    events, skipped
        Number of events by source, and of documents that give no event, by source and reason.
    bad
        Number of documents that could not be read, by source, reason and outcome: each became a
        ``dead_letter``, or was ``refused`` with its HTTP body.
    group_accounts
        Number of events by source whose account is a team, because they name no user.
    posts, answers, waiting
        HTTP requests by status, their durations in seconds, and bytes that Kafka has not acknowledged.
    held
        Number of partitions that wait for others.

    Examples
    --------
    >>> class Nobody:
    ...     live = {}
    >>> metrics = IngestMetrics(Nobody())
    >>> metrics.read(
    ...     "litellm",
    ...     events=1,
    ...     no_requests={"no request by /call_type": 2},
    ...     repeats=0,
    ...     bad={},
    ...     group_accounts=0,
    ... )
    >>> print(*[line for line in metrics.text().decode().splitlines() if "events_total{" in line])
    pivotwatch_ingest_events_total{source="litellm"} 1.0
    """

    def __init__(self, worker: Worker) -> None:
        super().__init__("ingest", worker)
        self._warned = set[str]()
        self.events = Counter(
            "pivotwatch_ingest_events",
            "Events read from sources and sent to Kafka; after a crash some are sent again.",
            ["source"],
            registry=self.registry,
        )
        self.skipped = Counter(
            "pivotwatch_ingest_skipped_documents",
            "Documents of sources that are not requests to a model, or report a request again.",
            ["source", "reason"],
            registry=self.registry,
        )
        self.bad = Counter(
            "pivotwatch_ingest_bad_documents",
            "Documents that could not be read, by field or other reason; dead_letter, or refused over HTTP.",
            ["source", "reason", "outcome"],
            registry=self.registry,
        )
        self.group_accounts = Counter(
            "pivotwatch_ingest_group_accounts",
            "Events without a user, whose account is a team or an organisation.",
            ["source"],
            registry=self.registry,
        )
        self.held = Gauge(
            "pivotwatch_ingest_held_partitions",
            "Source partitions that wait for partitions that are behind them in event time.",
            registry=self.registry,
        )
        self.posts = Counter(
            "pivotwatch_http_posts",
            "HTTP requests by status of their answer.",
            ["status"],
            registry=self.registry,
        )
        self.answers = Histogram(
            "pivotwatch_http_answer_seconds",
            "Seconds from an HTTP request to its answer, including the acknowledgement by Kafka.",
            buckets=ANSWER_BUCKETS,
            registry=self.registry,
        )
        self.waiting = Gauge(
            "pivotwatch_http_waiting_bytes",
            "Bytes of HTTP bodies that Kafka has not acknowledged.",
            registry=self.registry,
        )

    def read(
        self,
        source: str,
        *,
        events: int,
        no_requests: Mapping[str, int],
        repeats: int,
        bad: Mapping[str, int],
        group_accounts: int,
    ) -> None:
        """Count the events of a batch, its documents that give none, and those without a user."""
        self.count_bad(source, bad, "dead_letter")
        if group_accounts:
            self.group_accounts.labels(source).inc(group_accounts)
            if source not in self._warned:
                self._warned.add(source)
                logger.warning("%s: %s", source, GROUP_ACCOUNTS)
        self.events.labels(source).inc(events)
        for reason, count in no_requests.items():
            self.skipped.labels(source, reason).inc(count)
        if repeats:
            self.skipped.labels(source, REPEATED).inc(repeats)

    def count_bad(
        self, source: str, reasons: Mapping[str, int], outcome: Literal["dead_letter", "refused"]
    ) -> None:
        """Count documents that could not be read."""
        for reason, count in reasons.items():
            self.bad.labels(source, reason, outcome).inc(count)
