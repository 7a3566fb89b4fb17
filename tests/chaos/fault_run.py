"""A pipeline into which faults are injected: it starts, kills and restarts workers, and records times."""

from __future__ import annotations

import dataclasses
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from infra.kafka.local import LocalKafka
from pivotwatch.config.topic_settings import Logical
from tests.chaos.pipeline import Pipeline, Worker, wait_for
from tests.chaos.proxy import Proxy

SOURCES: dict[str, Logical] = {"accounts": "requests", "networks": "buckets"}


@dataclasses.dataclass
class FaultRun:
    """The pipeline, the broker and the proxy that faults act on, with counts and times.

    Attributes
    ----------
    outage, stall
        Seconds for which the broker is stopped, and for which the network passes nothing.
    longest_wait
        Upper limit of a random wait, in seconds.
    injected
        Number of injected faults of each kind.
    recoveries
        Seconds from a kill -9 with immediate restart until the worker is ready again.
    stops
        Seconds that orderly stops took.
    timed
        Other times, by name.
    """

    pipeline: Pipeline
    kafka: LocalKafka
    seed: int
    proxy: Proxy | None = None
    outage: float = 5.0
    stall: float = 5.0
    longest_wait: float = 2.0
    workers: list[Worker] = dataclasses.field(default_factory=list)
    injected: Counter[str] = dataclasses.field(default_factory=Counter)
    recoveries: list[float] = dataclasses.field(default_factory=list)
    stops: list[float] = dataclasses.field(default_factory=list)
    timed: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def start_all(self) -> None:
        """Start one worker of each role."""
        for role in SOURCES:
            self.start(role, "w1")
        for worker in self.workers:
            worker.wait_ready()

    def start(self, role: str, instance: str, **how: Any) -> Worker:
        """Start a worker."""
        worker = self.pipeline.worker(role, instance, **how)
        self.workers.append(worker)
        return worker

    def random_worker(self) -> Worker:
        """Choose a worker at random."""
        return self.rng.choice(self.workers)

    def count_fault(self, kind: str, number: int = 1) -> None:
        """Record an injected fault."""
        self.injected[kind] += number

    def kill(self, worker: Worker) -> None:
        """Kill a worker with ``kill -9``."""
        self.count_fault("kill -9 of a worker")
        worker.kill()

    def kill_and_restart(self, worker: Worker) -> Worker:
        """Kill a worker and start it again, as a supervisor does."""
        self.kill(worker)
        self.workers.remove(worker)
        again = self.start(worker.role, worker.instance)
        self.recoveries.append(again.wait_ready())
        return again

    def stop(self, worker: Worker) -> float:
        """Stop a worker with SIGTERM; return the seconds that took."""
        self.workers.remove(worker)
        return worker.terminate()

    def restart_ended(self) -> None:
        """Restart every worker that ended by itself, as a supervisor does; wait until all are ready."""
        for worker in list(self.workers):
            if not worker.running:
                self.count_fault("worker ended by itself")
                self.workers.remove(worker)
                self.start(worker.role, worker.instance)
        for worker in self.workers:
            worker.wait_ready()

    def random_wait(self) -> None:
        """Wait for a random time, so that the next fault hits any point of the work."""
        time.sleep(self.rng.uniform(0.0, self.longest_wait))

    def wait_for_progress(self, role: str) -> float:
        """Wait until the group of the role commits a higher offset; return the seconds that took."""
        begun = time.monotonic()
        before = self._committed(role)

        def moved() -> bool:
            self._restart_if_ended()
            committed = self._committed(role)
            return committed > before or self.pipeline.lag(role, SOURCES[role]) == 0

        wait_for(f"{role} to go on", moved)
        return time.monotonic() - begun

    def _restart_if_ended(self) -> None:
        if any(not worker.running for worker in self.workers):
            self.restart_ended()

    def drain_and_stop(self) -> None:
        """Wait until everything sent is processed, stop all workers, and close every bucket."""
        assert self.pipeline.feeder is not None
        self.pipeline.feeder.send_rest_at_once()
        wait_for("the feeder", self.pipeline.feeder.done)
        wait_for("no lag", self._no_lag)
        for worker in list(self.workers):
            self.stops.append(self.stop(worker))
        self.pipeline.finish()

    def wait_for(self, what: str, condition: Callable[[], Any]) -> Any:
        """Poll a condition until it holds or the deadline passes."""
        return wait_for(what, condition)

    def figures(self) -> dict[str, Any]:
        """Counts and times for the report."""
        return {
            "injected": dict(sorted(self.injected.items())),
            "recovery_s": _summary(self.recoveries),
            "orderly_stop_s": _summary(self.stops),
            "timed_s": {name: round(value, 2) for name, value in self.timed.items()},
        }

    def _no_lag(self) -> bool:
        self._restart_if_ended()
        return all(self.pipeline.lag(role, topic) == 0 for role, topic in SOURCES.items())

    def _committed(self, role: str) -> int:
        return sum(self.pipeline.committed(role, SOURCES[role])[0])


def _summary(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    return {
        "number": len(values),
        "median": round(statistics.median(values), 2),
        "worst": round(max(values), 2),
    }
