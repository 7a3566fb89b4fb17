"""A pipeline under faults: who is struck, how it recovers, and what is counted."""

from __future__ import annotations

import dataclasses
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from infra.kafka.local import LocalKafka
from pivotwatch.config.config import Logical
from tests.chaos.pipeline import Pipeline, Worker, wait_for
from tests.chaos.proxy import Proxy

SOURCES: dict[str, Logical] = {"accounts": "requests", "networks": "buckets"}


@dataclasses.dataclass
class Siege:
    """What faults need.

    Attributes
    ----------
    outage, stall
        Seconds that a stopped broker stays away, and that the network stands still.
    longest_wait
        Seconds within which a random moment lies.
    injected
        How many faults of each kind.
    recoveries
        Seconds from a kill -9, with the restart at once, until the worker was ready again.
    stops
        Seconds that orderly ends took.
    timed
        Other times.
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

    def begin(self) -> None:
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

    def pick(self) -> Worker:
        """A random worker."""
        return self.rng.choice(self.workers)

    def count(self, kind: str, number: int = 1) -> None:
        """A fault is injected."""
        self.injected[kind] += number

    def kill(self, worker: Worker) -> None:
        """Kill -9."""
        self.count("kill -9 of a worker")
        worker.kill()

    def replace(self, worker: Worker) -> Worker:
        """Kill a worker and start it again, as a supervisor does."""
        self.kill(worker)
        self.workers.remove(worker)
        again = self.start(worker.role, worker.instance)
        self.recoveries.append(again.wait_ready())
        return again

    def leave(self, worker: Worker) -> float:
        """End a worker by SIGTERM, in time; how long that took."""
        self.workers.remove(worker)
        return worker.terminate()

    def revive(self) -> None:
        """Start again whoever has ended by itself: better dead than wrong, a supervisor is there."""
        for worker in list(self.workers):
            if not worker.running:
                self.count("worker ended by itself")
                self.workers.remove(worker)
                self.start(worker.role, worker.instance)
        for worker in self.workers:
            worker.wait_ready()

    def random_wait(self) -> None:
        """Wait until a random moment: the fault strikes anywhere in the work."""
        time.sleep(self.rng.uniform(0.0, self.longest_wait))

    def progress(self, role: str) -> float:
        """Wait until the group has committed more than now; seconds that took."""
        begun = time.monotonic()
        before = self._committed(role)

        def moved() -> bool:
            self.revive_dead()
            committed = self._committed(role)
            return committed > before or self.pipeline.lag(role, SOURCES[role]) == 0

        wait_for(f"{role} to go on", moved)
        return time.monotonic() - begun

    def revive_dead(self) -> None:
        """As `revive`, without waiting for anybody."""
        if any(not worker.running for worker in self.workers):
            self.revive()

    def end(self) -> None:
        """Everything that was sent is processed; every worker ends in an orderly way."""
        assert self.pipeline.feeder is not None
        self.pipeline.feeder.hurry()
        wait_for("the feeder", self.pipeline.feeder.done)
        wait_for("no lag", self._no_lag)
        for worker in list(self.workers):
            self.stops.append(self.leave(worker))
        self.pipeline.finish()

    def wait_for(self, what: str, condition: Callable[[], Any]) -> Any:
        """Poll, with a deadline."""
        return wait_for(what, condition)

    def figures(self) -> dict[str, Any]:
        """What is reported."""
        return {
            "injected": dict(sorted(self.injected.items())),
            "recovery_s": _summary(self.recoveries),
            "orderly_stop_s": _summary(self.stops),
            "timed_s": {name: round(value, 2) for name, value in self.timed.items()},
        }

    def _no_lag(self) -> bool:
        self.revive_dead()
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
