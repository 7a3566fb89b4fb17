"""What the role ``delivery`` reports to Prometheus beside what every worker does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from prometheus_client import Counter, Gauge

from pivotwatch.delivery.target_sender import TargetSender
from pivotwatch.engine.metrics import Metrics, Worker

METRIC_OUTCOMES = {"delivered": "ok", "resent": "ok", "failed-attempt": "retried"}


class DeliveryMetrics(Metrics):
    """The metrics of a worker of this role.

    Parameters
    ----------
    worker
        As `Metrics` takes it.
    target_senders
        One per target.

    Attributes
    ----------
    deliveries
        Counts attempts by target and outcome.
    waiting
        How many deliveries wait, by target.
    """

    def __init__(self, worker: Worker, target_senders: Sequence[TargetSender] = ()) -> None:
        super().__init__("delivery", worker)
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
        for target_sender in target_senders:
            target_sender.observe = self._count
            for outcome in ("ok", "retried", "failed"):  # A counter must exist before its first increase.
                self.deliveries.labels(target_sender.name, outcome)
            self.waiting.labels(target_sender.name).set_function(partial(getattr, target_sender, "waiting"))

    def _count(self, target: str, outcome: str) -> None:
        name = "failed" if outcome.startswith("dead-") else METRIC_OUTCOMES.get(outcome)
        if name is not None:
            self.deliveries.labels(target, name).inc()
