"""Cost of checkpoints: the same worker without them, with the default interval, and ten times as often."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.bench.children import WORKER
from tests.bench.data import Traffic
from tests.bench.figures import Samples, column, machine, table, taken, thousands
from tests.bench.throughput import filled, rate, through_kafka

NEVER = {"checkpoint_interval": "1d", "checkpoint_events": "1000000000000"}
WAYS: dict[str, dict[str, str]] = {
    "off": NEVER,
    "default (10 s)": {},
    "every second": {"checkpoint_interval": "1s"},
}


def measure(traffic: Traffic, runs: int) -> dict[str, list[dict[str, Any]]]:
    """Measure every variant in turn, several times."""
    place = filled(traffic)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _ in range(runs):
        for name, settings in WAYS.items():
            found[name].append(through_kafka(WORKER, place, traffic, **settings))
    return found


def costs(found: dict[str, list[dict[str, Any]]], name: str, figure: str = "seconds") -> Samples:
    """Additional cost of a variant as a fraction, per run."""
    pairs = zip(found[name], found["off"], strict=True)
    return Samples([one[figure] / off[figure] - 1 for one, off in pairs])


def report(found: dict[str, list[dict[str, Any]]], traffic: Traffic, runs: int) -> str:
    """The report as a Markdown table."""
    rows = [
        [
            name,
            column(results, rate).text(thousands),
            "" if name == "off" else costs(found, name).text("{:+.1%}".format),
            "" if name == "off" else costs(found, name, "cpu").text("{:+.1%}".format),
        ]
        for name, results in found.items()
    ]
    return (
        f"{traffic.events:,} events of {traffic.accounts:,} accounts; {taken(runs)}. {machine()}.\n\n"
        + table(["checkpoints", "events/s", "time", "CPU"], rows)
    )
