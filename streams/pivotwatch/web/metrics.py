"""The Prometheus metrics of the role ``web``, in addition to those of every worker."""

from __future__ import annotations

from prometheus_client import Counter

from pivotwatch.engine.metrics import Metrics, Worker


class WebMetrics(Metrics):
    """The metrics of a worker of this role.

    Attributes
    ----------
    logins
        Number of log-ins, by method and outcome.
    """

    def __init__(self, worker: Worker) -> None:
        super().__init__("web", worker)
        self.logins = Counter(
            "pivotwatch_web_logins",
            "Log-ins by method (token, bearer, proxy, oidc) and outcome (accepted, refused).",
            ["method", "outcome"],
            registry=self.registry,
        )

    def login(self, method: str, outcome: str) -> None:
        """Count a log-in."""
        self.logins.labels(method, outcome).inc()
