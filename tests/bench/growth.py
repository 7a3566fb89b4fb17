"""Growth of the cost of an event with accounts, networks, watched models and partitions.

The first three are measured in memory, on one partition, with constant activity per account; the last with a
real worker. The figures are CPU times, because these depend less on other processes.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tests.bench.children import WORKER
from tests.bench.data import Traffic
from tests.bench.figures import Samples, column, machine, table, taken, thousands
from tests.bench.plot import Curve, Panel, draw
from tests.bench.throughput import filled, in_memory, through_kafka

PLOT = Path(__file__).with_name("growth.svg")
KINDS = ("accounts", "networks", "watched models", "partitions")

Points = dict[str, dict[int, list[dict[str, Any]]]]


def hours(scale: float) -> int:
    """Hours of a fraction of a day; the release is in the third hour."""
    return max(4, round(24 * scale))


def traffic_of(kind: str, size: int, scale: float = 1.0) -> Traffic:
    """The events of one point of the curve; ``scale`` shortens the day."""
    span = hours(scale)
    share = span / 24
    if kind == "accounts":
        events, accounts, groups = 10 * size, size, max(10, size // 40)
    elif kind == "networks":
        events, accounts, groups = 1_000_000, 200_000, size
    else:
        events, accounts, groups = 1_000_000, 24_000, 600
    one = Traffic(int(events * share), accounts, groups, hours=span, partitions=1)
    if kind == "watched models":
        return dataclasses.replace(one, watched=size)
    return dataclasses.replace(one, partitions=size) if kind == "partitions" else one


SIZES: dict[str, tuple[int, ...]] = {
    "accounts": (10_000, 100_000, 1_000_000),
    "networks": (100, 1_000, 10_000, 100_000),
    "watched models": (1, 3, 10),
    "partitions": (1, 4, 16),
}


def measure(runs: int, scale: float, sizes: Mapping[str, Sequence[int]] | None = None) -> Points:
    """Measure every point several times."""
    points: Points = {kind: {size: [] for size in of} for kind, of in (sizes or SIZES).items()}
    places = {
        size: filled(traffic_of("partitions", size, scale / 3)) for size in points.get("partitions", {})
    }
    for run in range(runs):
        for kind, of_kind in points.items():
            for size, results in of_kind.items():
                if kind == "partitions":
                    traffic = traffic_of(kind, size, scale / 3)
                    results.append(through_kafka(WORKER, places[size], traffic))
                else:
                    results.append(in_memory("steps", traffic_of(kind, size, scale)))
        click.echo(f"run {run + 1} of {runs} done", err=True)
    return points


def per_event(one: dict[str, Any]) -> float:
    """CPU microseconds per event of the counting operator (or of the worker)."""
    return float(one["cpu"] * 1e6 / one["asked"])


def networks_per_event(one: dict[str, Any]) -> float:
    """CPU microseconds per event of the scoring operator."""
    return float(one["networks_cpu"] * 1e6 / one["asked"])


def longest_accounts(one: dict[str, Any]) -> float:
    """CPU milliseconds of the longest call of the counting operator: the close of a bucket."""
    return float(one["longest_accounts"] * 1e3)


def longest_networks(one: dict[str, Any]) -> float:
    """CPU milliseconds of the longest call of the scoring operator: the scoring of a bucket."""
    return float(one["longest_networks"] * 1e3)


def stretch_accounts(one: dict[str, Any]) -> float:
    """CPU milliseconds for which the counting operator blocked the event loop at most."""
    return float(one["stretch_accounts"] * 1e3)


def stretch_networks(one: dict[str, Any]) -> float:
    """CPU milliseconds for which the scoring operator blocked the event loop at most."""
    return float(one["stretch_networks"] * 1e3)


def replay_rate(traffic: Traffic, runs: int) -> Samples:
    """Events per second of ``pivotwatch replay`` over a file, start-up included."""
    rates = []
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        for dealt in dataclasses.replace(traffic, partitions=1).slices():
            file.writelines(message.value + b"\n" for message in dealt[0])
        file.flush()
        for _ in range(runs):
            began = time.perf_counter()
            command = [sys.executable, "-m", "pivotwatch", "replay", file.name]
            subprocess.run(command, check=True, capture_output=True)
            rates.append(traffic.events / (time.perf_counter() - began))
    return Samples(rates)


def report(points: Points, replayed: Samples, replay_of: Traffic, runs: int, scale: float) -> str:
    """The report as Markdown tables."""
    rows = []
    for kind, sizes in points.items():
        for size, results in sizes.items():
            row = [f"{size:,} {kind}", column(results, per_event).text("{:.1f}".format)]
            if kind == "partitions":
                row = [f"{size:,} partitions (worker)", row[1], *[""] * 5]
            else:
                row += [
                    column(results, networks_per_event).text("{:.2f}".format),
                    column(results, longest_accounts).text("{:.0f}".format),
                    column(results, stretch_accounts).text("{:.0f}".format),
                    column(results, longest_networks).text("{:.0f}".format),
                    column(results, stretch_networks).text("{:.0f}".format),
                ]
            rows.append(row)
    heads = [
        "",
        "accounts step, CPU µs per event",
        "networks step, CPU µs per event",
        "longest close of a bucket, CPU ms",
        "loop blocked, CPU ms",
        "longest score of a bucket, CPU ms",
        "loop blocked, CPU ms",
    ]
    return (
        f"{hours(scale)} hours of events; {taken(runs)}. {machine()}.\n\n"
        + table(heads, rows)
        + f"\n\nReplay of {replay_of.events:,} events from a file, start-up included: "
        + f"{replayed.text(thousands)} events/s."
    )


def panels(points: Points) -> list[Panel]:
    """The panels of the plot."""

    def curve(name: str, kind: str, figure: Any) -> Curve:
        return Curve(name, [(size, column(r, figure).median) for size, r in points[kind].items()])

    costs = [
        Panel(
            f"CPU µs per event, by {kind}",
            [curve("accounts step", kind, per_event), curve("networks step", kind, networks_per_event)],
        )
        for kind in KINDS[:3]
    ]
    closes = [
        Panel(
            f"longest call, CPU ms, by {kind}",
            [
                curve("close", kind, longest_accounts),
                curve("score", kind, longest_networks),
                curve("close, loop blocked", kind, stretch_accounts),
                curve("score, loop blocked", kind, stretch_networks),
            ],
        )
        for kind in KINDS[:2]
    ]
    worker = Panel("CPU µs per event, by partitions", [curve("worker", "partitions", per_event)])
    return [*costs, *closes, worker]


def plot(points: Points) -> None:
    """Draw the plot."""
    PLOT.write_text(draw(panels(points), "Cost of an event, and the longest call, as things grow"))
