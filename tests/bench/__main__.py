"""Throughput of the accounts role against its ceiling, interleaved: ``make bench``.

Three ways through the same events, one JSON object each, in turn, several times; medians and ranges:

* ``ceiling``: orjson and two dictionaries in memory, no Kafka, no models;
* ``step``: the accounts step in memory, the full job of decode, buckets, models, records;
* ``worker``: a real worker on a real topic until its end, less the same worker on an empty topic.

Times depend on the machine; the ratios of one run do not, much.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import click
import orjson
from kafka import KafkaProducer

from models.settings import HOUR_MS, Settings
from streams.config import Config
from streams.simulate import generate
from streams.steps.accounts import AccountsStep
from streams.steps.contract import Line


def ceiling(lines: list[bytes]) -> float:
    """Seconds for decoding and counting in two dictionaries."""
    began = time.perf_counter()
    accounts: dict[tuple[str, str, int], int] = {}
    networks: dict[tuple[str, str, int], int] = {}
    for line in lines:
        event = orjson.loads(line)
        hour = event["ts"] // HOUR_MS
        key = (event["account"], event["model"], hour)
        accounts[key] = accounts.get(key, 0) + 1
        key = (event["network"], event["model"], hour)
        networks[key] = networks.get(key, 0) + 1
    return time.perf_counter() - began


def step(lines: list[bytes]) -> float:
    """Seconds for the accounts step."""
    records = [Line(line) for line in lines]
    began = time.perf_counter()
    accounts = AccountsStep(Settings(), 0, 1)
    for start in range(0, len(records), 5_000):
        accounts.process(records[start : start + 5_000])
    accounts.final()
    return time.perf_counter() - began


def publish(brokers: str, prefix: str, lines: list[bytes]) -> None:
    """Create the topics and fill ``requests``, one event a message."""
    one = ("requests_partitions=1", "replication_factor=1", "min_insync_replicas=1")
    options = [part for setting in one for part in ("--set", setting)]
    subprocess.run([*PIVOTWATCH, "topics", "create", *options], env=environment(prefix), check=True)
    producer = KafkaProducer(bootstrap_servers=brokers, linger_ms=50, compression_type="gzip")
    for line in lines:
        event = orjson.loads(line)
        producer.send(
            f"{prefix}.requests", key=event["account"].encode(), value=line, timestamp_ms=event["ts"]
        )
    producer.flush()
    producer.close()


PIVOTWATCH = [sys.executable, "-m", "streams.cli"]


def environment(prefix: str) -> dict[str, str]:
    """The environment of a command of one run."""
    return {**os.environ, "PIVOTWATCH_TOPIC_PREFIX": f"{prefix}.", "PIVOTWATCH_APP_PREFIX": prefix}


def worker(prefix: str) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MB of a worker from its start to the end of its topic."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [*PIVOTWATCH, "worker", "--role", "accounts", "--until-end", "--log-level", "warning"]
    subprocess.run(command, env=environment(prefix), check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, after.ru_maxrss / 1024


@click.command()
@click.option("--events", default=300_000, show_default=True, help="How many events.")
@click.option("--runs", default=3, show_default=True, help="How often each way is taken.")
def main(events: int, runs: int) -> None:
    """Measure and print a table."""
    brokers = Config().brokers
    simulation = generate("null", seed=1, scale=4.0)
    lines: list[bytes] = []
    for part in simulation.slices():
        lines += part.lines
        if len(lines) >= events:
            break
    lines = lines[:events]
    accounts = len({orjson.loads(line)["account"] for line in lines})
    click.echo(f"{len(lines):,} events of {accounts:,} accounts", err=True)
    seconds: dict[str, list[float]] = {"ceiling": [], "step": [], "worker": []}
    cpu, peak = [], 0.0
    ways: dict[str, Callable[[list[bytes]], float]] = {"ceiling": ceiling, "step": step}
    for run in range(runs):
        for name, way in ways.items():
            seconds[name].append(way(lines))
        publish(brokers, f"bench-{os.getpid()}-{run}-empty", [])
        publish(brokers, f"bench-{os.getpid()}-{run}", lines)
        idle_wall, idle_cpu, _ = worker(f"bench-{os.getpid()}-{run}-empty")
        wall, used, peak = worker(f"bench-{os.getpid()}-{run}")
        seconds["worker"].append(wall - idle_wall)
        cpu.append((used - idle_cpu) / len(lines) * 1e6)
    best = statistics.median(seconds["ceiling"])
    click.echo("way       events/s (median, least … most)      of the ceiling")
    for name, taken in seconds.items():
        rates = sorted(len(lines) / each for each in taken)
        middle = statistics.median(taken)
        click.echo(
            f"{name:<9} {len(lines) / middle:>9,.0f} ({rates[0]:,.0f} … {rates[-1]:,.0f})"
            f"{best / middle:>12.0%}"
        )
    click.echo(f"worker: {statistics.median(cpu):.1f} CPU seconds per million events, peak {peak:.0f} MB")


if __name__ == "__main__":
    main()
