"""The same events without Kafka: counted in two dictionaries (the ceiling), or by both operators.

The arguments are a `Traffic` and the name of the job. Generating the events is not timed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from pivotwatch.contracts.events import format_time
from pivotwatch.contracts.records import Line, Output
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch.engine import gc_tuning
from pivotwatch_models.settings import HOUR_MS, Settings
from tests.bench.data import BEGIN, RELEASE_HOUR, Message, Traffic
from tests.bench.probe import Count, Sent, Span, Waits, counted, measured, tell

CHUNK = 5_000


class Pipeline:
    """Accounts steps and the networks step behind them, timed apart.

    Attributes
    ----------
    accounts, networks
        Time of each.
    longest
        CPU seconds of the longest call of each.
    waits
        How long another thread waits meanwhile, as an event loop would.
    """

    def __init__(self, traffic: Traffic) -> None:
        settings = Settings()
        self.accounts, self.networks = Span(), Span()
        self.longest = {"accounts": 0.0, "networks": 0.0}
        self.waits = Waits()
        self.steps = [CountingOperator(settings, p, traffic.partitions) for p in range(traffic.partitions)]
        self.judge = ScoringOperator(settings, traffic.partitions)
        self.sent = Sent()
        released = format_time(BEGIN + RELEASE_HOUR * HOUR_MS)
        for number in range(traffic.watched):
            entry = {"model": f"m-{2 + number}", "released_at": released}
            self.judge.control("releases", Line(json.dumps(entry).encode(), offset=number))

    def take(self, partition: int, chunk: list[Message]) -> None:
        """Records of a partition."""
        self._pass_on(self._timed("accounts", lambda: self.steps[partition].process(chunk)))

    def final(self) -> None:
        """Close what is open."""
        for step in self.steps:
            self._pass_on(self._timed("accounts", step.final))

    def _pass_on(self, outputs: list[Output]) -> None:
        self.sent.add(outputs)
        lines = [Line(output.value) for output in outputs if output.topic == "buckets"]
        if lines:
            self._timed("networks", lambda: self.judge.process(lines))

    def _timed(self, name: str, act: Callable[[], list[Output]]) -> list[Output]:
        span: Span = getattr(self, name)
        before = span.cpu
        with self.waits.of(name), span:
            outputs = act()
        self.longest[name] = max(self.longest[name], span.cpu - before)
        return outputs

    def found(self) -> dict[str, Any]:
        """Everything that was measured."""
        return {
            **counted(self.steps, self.sent),
            **measured(self.accounts),
            "networks_seconds": self.networks.seconds,
            "networks_cpu": self.networks.cpu,
            "longest_accounts": self.longest["accounts"],
            "longest_networks": self.longest["networks"],
            "stretch_accounts": self.waits.longest["accounts"],
            "stretch_networks": self.waits.longest["networks"],
        }


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
