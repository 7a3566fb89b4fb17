"""Measures speed and memory: ``python -m tests.bench``; see the README in this folder."""

from __future__ import annotations

import json
import subprocess
import sys

import click

from tests.bench import check, checkpoints, growth, latency, scale, throughput
from tests.bench.data import SIZES
from tests.bench.figures import machine, show, table

RUNS = click.option("--runs", default=3, show_default=True, help="How often each way is taken.")
WRITE = click.option("--write", is_flag=True, help="Put the figures into the README of tests/bench.")
SIZE = click.option("--size", type=click.Choice(list(SIZES)), default="small", show_default=True)


@click.group()
def main() -> None:
    """Measure pivotwatch."""


@main.command()
@SIZE
@RUNS
@WRITE
@click.option("--only", help="Comma-separated: throughput, latency, checkpoints.")
def run(size: str, runs: int, write: bool, only: str | None) -> None:
    """Throughput and latency of every engine, and the cost of checkpoints."""
    wanted = only.split(",") if only else ["throughput", "latency", "checkpoints"]
    if "throughput" in wanted:
        found = throughput.measure(SIZES[size], runs)
        show(f"throughput {size}", throughput.report(found, SIZES[size], runs), write=write)
    if "latency" in wanted:
        seen = latency.measure(runs)
        show("latency", latency.report(seen, runs), write=write)
        latency.note(seen)
    if "checkpoints" in wanted:
        # In a shorter run the default interval would save only at the end.
        traffic = SIZES["1m"] if size == "small" else SIZES[size]
        saved = checkpoints.measure(traffic, runs)
        show("checkpoints", checkpoints.report(saved, traffic, runs), write=write)


@main.command(name="growth")
@RUNS
@WRITE
@click.option("--day", default=1.0, show_default=True, help="Share of a day that the events span.")
def growth_command(runs: int, write: bool, day: float) -> None:
    """Cost by accounts, networks, watched models and partitions, with a plot; speed of replay."""
    points = growth.measure(runs, day)
    replayed = growth.replay_rate(SIZES["1m"], runs)
    show("growth", growth.report(points, replayed, SIZES["1m"], runs, day), write=write)
    if write:
        growth.plot(points)


@main.command()
@WRITE
def memory(write: bool) -> None:
    """Resident bytes per account, with 100,000 and 1,000,000 accounts."""
    rows = []
    for accounts in (100_000, 1_000_000):
        command = [sys.executable, "-m", "tests.memory.accounts", str(accounts)]
        found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        rows.append(
            [f"{accounts:,}", *(f"{found[state]:,.0f}" for state in ("settled", "fullest", "stored"))]
        )
    heads = ["accounts", "settled", "fullest (a bucket open)", "in the changelog"]
    show("memory", f"Bytes per account. {machine()}.\n\n" + table(heads, rows), write=write)


@main.command(name="scale")
@click.option("--accounts", default=3_000, show_default=True, help="Honest accounts.")
@click.option("--days", default=2.0, show_default=True, help="After the release.")
@click.option("--workers", multiple=True, type=int, default=scale.WORKERS, show_default=True)
@click.option("--partitions", multiple=True, type=int, default=scale.PARTITIONS, show_default=True)
def scale_command(accounts: int, days: float, workers: tuple[int, ...], partitions: tuple[int, ...]) -> None:
    """One campaign over several numbers of workers and partitions; exit status 1 when alerts differ."""
    simulation = scale.story(accounts, days)
    expected = scale.replayed(simulation)
    events, results = scale.measure(simulation, workers, partitions)
    print(scale.report(events, results, expected))
    if scale.differ(results, expected):
        sys.exit(1)


@main.command(name="check")
@RUNS
@click.option("--write", is_flag=True, help="Store the ratios of this run.")
def check_command(runs: int, write: bool) -> None:
    """Compare ratios of costs with the stored ones; exit status 1 when something became slower."""
    sys.exit(check.check(runs, write=write))


if __name__ == "__main__":
    main()
