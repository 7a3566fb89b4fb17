"""The same events without Kafka: the ceiling (two dictionaries), or both steps.

The argument is a `Traffic`, and which of the two. Making the events is not timed.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from models.settings import HOUR_MS, Settings
from streams.events import format_time
from streams.steps.accounts import AccountsStep
from streams.steps.contract import Line, Output
from streams.steps.networks import NetworksStep
from tests.bench.data import BEGIN, RELEASE_HOUR, Message, Traffic
from tests.bench.probe import Count, Span, counted, measured, tell

CHUNK = 5_000


class Pipeline:
    """Accounts steps and the networks step behind them, timed apart.

    Attributes
    ----------
    accounts, networks
        Time of each.
    longest
        CPU seconds of the longest call of each: for so long an event loop would do nothing else.
    """

    def __init__(self, traffic: Traffic) -> None:
        settings = Settings()
        self.accounts, self.networks = Span(), Span()
        self.longest = {"accounts": 0.0, "networks": 0.0}
        self.steps = [AccountsStep(settings, p, traffic.partitions) for p in range(traffic.partitions)]
        self.judge = NetworksStep(settings, traffic.partitions)
        self.outputs: list[Output] = []
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
        self.outputs += outputs
        lines = [Line(output.value) for output in outputs if output.topic == "buckets"]
        if lines:
            self._timed("networks", lambda: self.judge.process(lines))

    def _timed(self, name: str, act: Any) -> list[Output]:
        span: Span = getattr(self, name)
        before = span.cpu
        with span:
            outputs: list[Output] = act()
        self.longest[name] = max(self.longest[name], span.cpu - before)
        return outputs

    def found(self) -> dict[str, Any]:
        """Everything that was measured."""
        return {
            **counted(self.steps, self.outputs),
            **measured(self.accounts),
            "networks_seconds": self.networks.seconds,
            "networks_cpu": self.networks.cpu,
            "longest_accounts": self.longest["accounts"],
            "longest_networks": self.longest["networks"],
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
    """Both steps."""
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
