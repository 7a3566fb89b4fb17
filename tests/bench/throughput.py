"""Throughput: events per second of every engine over the same events, in interleaved runs."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import click

from tests.bench.broker import Place
from tests.bench.children import (
    BYTEWAX,
    FAUST_COUNT,
    FAUST_STEPS,
    MEMORY,
    QUIX,
    RUNNERS,
    WORKER,
    Runner,
    Stalled,
)
from tests.bench.data import Traffic
from tests.bench.figures import Samples, column, machine, table, taken, thousands

ARRAY = 100
TRIES = 3
CEILING = "orjson and two dictionaries in memory (ceiling)"
STEP = "the accounts step in memory"
NETWORKS = "the networks step behind it, in memory"
ARRAYS = f", arrays of {ARRAY}"

Found = dict[str, list[dict[str, Any]]]


def slow_part(traffic: Traffic) -> Traffic:
    """Number of events for the naive loop: fewer, because it takes ten times as long."""
    share = min(1.0, 50_000 / traffic.events)
    hours = max(1, round(traffic.hours * share))
    return dataclasses.replace(traffic, events=traffic.events * hours // traffic.hours, hours=hours)


def in_memory(way: str, traffic: Traffic) -> dict[str, Any]:
    """Run an engine without Kafka."""
    with MEMORY.started(json.dumps({"way": way, **dataclasses.asdict(traffic)})) as told:
        return told.next("seconds") | {"asked": traffic.events}


def through_kafka(runner: Runner, place: Place, traffic: Traffic, **settings: str) -> dict[str, Any]:
    """Run an engine through Kafka; report lost records and try once more."""
    for _ in range(TRIES):
        task = place.task(runner.job, place.messages)
        try:
            found = runner.run(task, place.environment(task.group, **settings))
        except Stalled as stalled:
            click.echo(f"{stalled}; once more", err=True)
        else:
            return found | {"asked": traffic.events}
    raise click.ClickException(f"{runner.name} lost records {TRIES} times")


def measure(traffic: Traffic, runs: int, runners: Sequence[Runner] = RUNNERS) -> Found:
    """Measure every engine in turn, several times."""
    arrays = dataclasses.replace(traffic, array=ARRAY)
    part = slow_part(traffic)
    places = {t: filled(t) for t in (traffic, arrays, part)}
    found: Found = defaultdict(list)
    for run in range(runs):
        for series, suffix in ((traffic, ""), (arrays, ARRAYS)):
            found[CEILING + suffix].append(in_memory("ceiling", series))
            found[STEP + suffix].append(in_memory("steps", series))
        for runner in runners:
            if runner.there:
                own = part if runner.slow else traffic
                found[runner.name].append(through_kafka(runner, places[own], own))
        if WORKER in runners:
            found[WORKER.name + ARRAYS].append(through_kafka(WORKER, places[arrays], arrays))
        click.echo(f"run {run + 1} of {runs} done", err=True)
    check_same(found, [r.name for r in runners if r.job == "steps" and not r.slow])
    return found


def filled(traffic: Traffic) -> Place:
    """Create a topic and fill it with the events."""
    place = Place(traffic.partitions)
    place.fill(traffic)
    return place


def check_same(found: Found, names: Sequence[str]) -> None:
    """Check that all engines sent the same bucket records, byte for byte."""
    digests = {one["digest"] for name in (STEP, *names) for one in found.get(name, [])}
    if len(digests) > 1:
        raise click.ClickException("the engines did not count the same")


def rate(one: dict[str, Any], figure: str = "seconds") -> float:
    """Events per second, or per CPU second."""
    return float(one["asked"] / one[figure])


def report(found: Found, traffic: Traffic, runs: int) -> str:
    """The report as a Markdown table."""
    ceiling = column(found[CEILING], rate).median
    rows = []
    order = sorted(found, key=lambda name: -column(found[name], rate).median)
    for name in order:
        results = found[name]
        rows.append(
            [
                f"**{name}**" if name == WORKER.name else name,
                column(results, rate).text(thousands),
                f"{column(results, rate).median / ceiling:.1%}",
                column(results, lambda one: one["cpu"] * 1e6 / one["asked"]).text("{:.1f}".format),
                column(results, lambda one: one["peak_mb"]).text("{:.0f}".format),
            ]
        )
    steps = found[STEP]
    rows.append(
        [
            NETWORKS,
            "",
            "",
            column(steps, lambda one: one["networks_cpu"] * 1e6 / one["asked"]).text("{:.1f}".format),
            "",
        ]
    )
    heads = ["way", "events/s", "of the ceiling", "CPU s per million events", "peak MB"]
    missing = [r.name for r in RUNNERS if r.peer and not r.there]
    note = f" Not installed here: {', '.join(missing)}." if missing else ""
    return (
        f"{traffic.events:,} events of {traffic.accounts:,} accounts in {traffic.groups:,} networks, "
        f"{traffic.partitions} partitions; {taken(runs)}. "
        f"{machine()}.{note}\n\n{table(heads, rows)}\n\n"
        + table(
            ["the worker against", "events/s, ratio", "events per CPU second, ratio", "target"],
            targets(found),
        )
    )


def targets(found: Found) -> list[list[str]]:
    """Ratios of the worker to other engines in the same run, with their targets."""
    wanted = {
        CEILING: 0.35,
        FAUST_COUNT.name: 15.0,
        FAUST_STEPS.name: 15.0,
        QUIX.name: 1.0,
        BYTEWAX.name: 1.0,
    }
    pairs = [(WORKER.name, other, least) for other, least in wanted.items()]
    pairs.append((WORKER.name + ARRAYS, WORKER.name, 1.0))
    rows = []
    for own, other, least in pairs:
        if own in found and other in found:
            runs = list(zip(found[own], found[other], strict=True))
            ratios = Samples([rate(a) / rate(b) for a, b in runs])
            cpu = Samples([rate(a, "cpu") / rate(b, "cpu") for a, b in runs])
            verdict = "" if ratios.median >= least else ", missed"
            name = "its own single events, with arrays" if other == WORKER.name else other
            rows.append(
                [
                    name,
                    ratios.text("{:.2f}".format),
                    cpu.text("{:.2f}".format),
                    f"at least {least:g}{verdict}",
                ]
            )
    return rows
