"""The same events without Kafka: counted in two dictionaries (the ceiling), or by both operators.

The arguments are a `Traffic` and the name of the job. Generating the events is not timed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from pivotwatch.base.work import Work
from pivotwatch.contracts.events import format_time
from pivotwatch.contracts.records import Line, Output
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch.engine import gc_tuning
from pivotwatch.engine.partition_task import SLICE_SECONDS
from pivotwatch_models.settings import HOUR_MS, Settings
from tests.bench.data import BEGIN, RELEASE_HOUR, Message, Traffic
from tests.bench.probe import Count, Sent, Span, counted, measured, tell

CHUNK = 5_000


class Pipeline:
    """Accounts steps and the networks step behind them, timed apart.

    Attributes
    ----------
    accounts, networks
        Time of each.
    longest, stretch
        CPU seconds of the longest call of each, and of its longest stretch: for so long an event loop does
        nothing else (`pivotwatch.engine.partition_task` lets others run at the first chance after 20 ms).
    """

    def __init__(self, traffic: Traffic) -> None:
        settings = Settings()
        self.accounts, self.networks = Span(), Span()
        self.longest = {"accounts": 0.0, "networks": 0.0}
        self.stretch = {"accounts": 0.0, "networks": 0.0}
        self.steps = [CountingOperator(settings, p, traffic.partitions) for p in range(traffic.partitions)]
        self.judge = ScoringOperator(settings, traffic.partitions)
        self.sent = Sent()
        released = format_time(BEGIN + RELEASE_HOUR * HOUR_MS)
        for number in range(traffic.watched):
            entry = {"model": f"m-{2 + number}", "released_at": released}
            self.judge.control("releases", Line(json.dumps(entry).encode(), offset=number))

    def take(self, partition: int, chunk: list[Message]) -> None:
        """Records of a partition."""
        self._pass_on(self._timed("accounts", self.steps[partition].processing(chunk)))

    def final(self) -> None:
        """Close what is open."""
        for step in self.steps:
            self._pass_on(self._timed("accounts", step.ending()))

    def _pass_on(self, outputs: list[Output]) -> None:
        self.sent.add(outputs)
        lines = [Line(output.value) for output in outputs if output.topic == "buckets"]
        if lines:
            self._timed("networks", self.judge.processing(lines))

    def _timed(self, name: str, work: Work[list[Output]]) -> list[Output]:
        span: Span = getattr(self, name)
        before = span.cpu
        with span:
            outputs = watched(work, lambda seconds: self._stretched(name, seconds))
        self.longest[name] = max(self.longest[name], span.cpu - before)
        return outputs

    def _stretched(self, name: str, seconds: float) -> None:
        self.stretch[name] = max(self.stretch[name], seconds)

    def found(self) -> dict[str, Any]:
        """Everything that was measured."""
        return {
            **counted(self.steps, self.sent),
            **measured(self.accounts),
            "networks_seconds": self.networks.seconds,
            "networks_cpu": self.networks.cpu,
            "longest_accounts": self.longest["accounts"],
            "longest_networks": self.longest["networks"],
            "stretch_accounts": self.stretch["accounts"],
            "stretch_networks": self.stretch["networks"],
        }


def watched(work: Work[list[Output]], stretched: Callable[[float], None]) -> list[Output]:
    """Do work; tells of every stretch for which an event loop would have waited."""
    begun = time.process_time()
    while True:
        try:
            next(work)
        except StopIteration as end:
            stretched(time.process_time() - begun)
            return end.value  # type: ignore[no-any-return]  # of the generator's type
        now = time.process_time()
        if now - begun >= SLICE_SECONDS:
            stretched(now - begun)
            begun = now


def ceiling(traffic: Traffic) -> dict[str, Any]:
    """Decode and count in two dictionaries."""
    count, span = Count(), Span()
    for dealt in traffic.slices():
        values = [message.value for messages in dealt for message in messages]
        with span:
            count.take(values)
    return count.found() | measured(span)


def steps(traffic: Traffic) -> dict[str, Any]:
    """Both steps, the garbage collector set as in a worker."""
    gc_tuning.settle()
    pipeline = Pipeline(traffic)
    for dealt in traffic.slices():
        for partition, messages in enumerate(dealt):
            for start in range(0, len(messages), CHUNK):
                pipeline.take(partition, messages[start : start + CHUNK])
    pipeline.final()
    return pipeline.found()


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    way = {"ceiling": ceiling, "steps": steps}[asked.pop("way")]
    tell(way(Traffic(**asked)))
