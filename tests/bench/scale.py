"""Scale-out: one simulated campaign over several numbers of workers and partitions.

Two cores cannot show that more workers are faster. They show that the alerts of groups stay the same, and
the CPU time of an event. Findings of single accounts depend on the partitions by design; they and their
number in the evidence of a group are left out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click
import orjson

from pivotwatch.config.config import Config, load
from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.topics import create, specs
from pivotwatch.simulation import Simulation, generate
from pivotwatch.simulation.kafka import Player
from tests.bench.children import ROOT
from tests.bench.figures import machine, table

WORKERS, PARTITIONS = (1, 2, 4), (4, 8, 16)
LONGEST = 900.0


@dataclasses.dataclass(frozen=True)
class Result:
    """One run.

    Attributes
    ----------
    alerts, digest
        Number of alerts of groups, and a digest of them.
    accounts, networks
        CPU seconds of all processes of the role, without those of the same processes over empty topics.
    """

    partitions: int
    workers: int
    alerts: int
    digest: str
    accounts: float
    networks: float


def story(accounts: int, days: float) -> Simulation:
    """The simulated campaign of all runs."""
    return generate("c1", seed=1, accounts=accounts, days=days, warmup_days=1.0)


class Field:
    """A topic ``requests`` with or without events, and separate other topics for every run over it."""

    def __init__(self, address: str, partitions: int, simulation: Simulation | None = None) -> None:
        self.address, self.partitions = address, partitions
        self.prefix = f"scale-{uuid.uuid4().hex[:8]}."
        self.requests = f"{self.prefix}requests"
        self._create(self.config("events"))
        self.records, self.releases = 0, simulation.releases if simulation else []
        if simulation:
            with Player(address) as player:
                self.records = player.play(simulation.slices(), self.requests)

    def config(self, run: str) -> Config:
        """The configuration of a run: only ``requests`` is shared."""
        topics = {
            name: f"{self.prefix}{run}.{name}"
            for name in ("dlq", "buckets", "status", "alerts", "deliveries_dlq", "releases", "decisions")
        }
        return load(
            brokers=self.address,
            app_prefix=f"{self.prefix}{run}",
            topics={"requests": self.requests, **topics},
            requests_partitions=self.partitions,
            retention={"requests": 0},  # The events are old.
        )

    @staticmethod
    def _create(config: Config) -> None:
        with sync_client.admin(config) as client:
            assert all(found.ok for found in create(client, specs(config), config.brokers))

    def run(self, workers: int) -> Result:
        """Process the events with this many workers."""
        config = self.config(f"w{workers}-{uuid.uuid4().hex[:4]}")
        self._create(config)
        with Player(self.address) as player:
            player.send_releases(self.releases, config.topic("releases"))
        accounts = cpu_of(config, "accounts", [f"accounts-{n}" for n in range(workers)])
        networks = cpu_of(config, "networks", ["networks-0"])
        with sync_client.consumer(config) as client:
            told = [
                record.value
                for record in sync_client.records(
                    client, [config.topic("alerts")], from_beginning=True, until_end=True
                )
            ]
        count, digest = summary(told)
        return Result(self.partitions, workers, count, digest, accounts, networks)


def cpu_of(config: Config, role: str, instances: Sequence[str]) -> float:
    """CPU seconds of concurrent workers of a role until the end of their input."""
    command = [sys.executable, "-m", "pivotwatch", "worker", "--role", role, "--log-level", "error"]
    environment = config.environment()
    children = [
        subprocess.Popen([*command, "--until-end", "--instance", name], env=environment, cwd=ROOT)
        for name in instances
    ]
    spent = 0.0
    try:
        for child in children:
            # The usage of this child process alone.
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise RuntimeError(f"a worker of {role} ended with {child.returncode}")
            spent += usage.ru_utime + usage.ru_stime
    finally:
        for child in children:
            if child.returncode is None:
                child.kill()
                child.wait()
    return spent


def summary(records: Iterable[bytes]) -> tuple[int, str]:
    """Number of alerts of groups, and a digest of them in their order."""
    digest, count = hashlib.sha256(), 0
    for alert in distinct_groups(records):
        digest.update(orjson.dumps(alert, option=orjson.OPT_SORT_KEYS))
        count += 1
    return count, digest.hexdigest()[:12]


def distinct_groups(records: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    """Alerts of groups without repeats and without fields that depend on the partitions."""
    seen: set[str] = set()
    for record in records:
        alert = orjson.loads(record)
        if alert["id"] in seen or alert["data"]["entity"]["kind"] == "account":
            continue
        seen.add(alert["id"])
        alert["data"]["evidence"].pop("findings")
        yield alert


def replayed(simulation: Simulation, partitions: int = 1) -> tuple[int, str]:
    """The alerts of a replay over one partition."""
    config = Config()
    lines = (line for part in simulation.slices() for line in part.lines)
    outputs = DetectionPipeline(config.settings, releases=simulation.releases, partitions=partitions).run(
        lines
    )
    return summary(output.value for output in outputs if output.topic == "alerts")


def measure(
    simulation: Simulation, workers: Sequence[int] = WORKERS, partitions: Sequence[int] = PARTITIONS
) -> tuple[int, list[Result]]:
    """The number of events, and the results of all runs."""
    address, results, events = Config().brokers, [], 0
    for number in partitions:
        empty, field = Field(address, number), Field(address, number, simulation)
        events = field.records
        for count in workers:
            idle, busy = empty.run(count), field.run(count)
            spent = busy.accounts - idle.accounts, busy.networks - idle.networks
            results.append(dataclasses.replace(busy, accounts=spent[0], networks=spent[1]))
            click.echo(f"{results[-1]}", err=True)
    return events, results


def report(events: int, results: Sequence[Result], expected: tuple[int, str]) -> str:
    """The report as a Markdown table."""
    rows = [
        [
            f"{one.partitions}",
            f"{one.workers}",
            f"{one.alerts}",
            "the same" if (one.alerts, one.digest) == expected else f"OTHERS: {one.digest}",
            f"{one.accounts:.1f}",
            f"{one.accounts / events * 1e6:.1f}",
            f"{one.networks:.1f}",
            f"{one.networks / events * 1e6:.1f}",
        ]
        for one in results
    ]
    heads = [
        "partitions",
        "workers of `accounts`",
        "alerts of groups",
        "as a replay of one partition",
        "`accounts`, CPU s",
        "per million events",
        "`networks`, CPU s",
        "per million events",
    ]
    return f"{events:,} events, one a record; CPU without start-up and end. {machine()}.\n\n" + table(
        heads, rows
    )


def differ(results: Sequence[Result], expected: tuple[int, str]) -> bool:
    """Whether the alerts of any run differ from those of a replay."""
    return any((one.alerts, one.digest) != expected for one in results)
