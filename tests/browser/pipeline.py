"""A running pipeline: broker, workers, the page, and a simulated launch with a campaign."""

from __future__ import annotations

import contextlib
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from kafka.consumer.fetcher import ConsumerRecord

from pivotwatch.base.child_processes import Processes, worker_command
from pivotwatch.config.config import Config, Role, load
from pivotwatch.config.topic_settings import Logical
from pivotwatch.contracts.events import parse_time
from pivotwatch.demo import ROLES, isolated
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.topics import create, specs
from pivotwatch.simulation import generate
from pivotwatch.simulation.encode import Slice
from pivotwatch.simulation.kafka import Player
from tests.kafka.engine_rig import wait_for
from tests.kills import LONG

DEADLINE = 120.0
SCENARIO, SCALE = "c1", 0.1
KIM, LEE = "the token of kim, operator", "the token of lee, viewer"
PEOPLE = [
    {"name": "kim", "role": "operator", "token_env": "KIM_TOKEN"},
    {"name": "lee", "role": "viewer", "token_env": "LEE_TOKEN"},
]


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Pipeline:
    """Topics, and workers on them.

    Attributes
    ----------
    url
        Address of the page.
    """

    def __init__(
        self, config: Config, processes: Processes, scenario: str = SCENARIO, scale: float = SCALE
    ) -> None:
        self.config, self.processes = config, processes
        self.url = f"http://127.0.0.1:{config.web_ports['web']}"
        self._simulation = generate(scenario, seed=1, scale=scale)
        self._slices = iter(self._simulation.slices())
        self._played = 0.0
        self.released_at = parse_time(self._simulation.releases[0]["released_at"])

    def start(self, role: Role) -> None:
        """Start a worker."""
        environment = self.config.for_role(role).environment() | {"KIM_TOKEN": KIM, "LEE_TOKEN": LEE}
        self.processes.start(role, worker_command(role, "--instance", f"{role}-0"), environment)

    def end(self, name: str) -> None:
        """Stop a worker; in ``make chaos``, kill it with ``kill -9``."""
        number = signal.SIGKILL if LONG else signal.SIGTERM
        self.processes._running[name].send_signal(number)
        assert self.processes.next_end(timeout=30) == (name, 128 + number if LONG else 0)

    def log(self, name: str) -> str:
        """The log of a worker."""
        assert self.processes.logs is not None
        return (self.processes.logs / f"{name}.log").read_text(errors="replace")

    def start_all(self) -> None:
        """Start all workers, and wait for the page."""
        for role in ROLES:
            self.start(role)
        self.wait_for_page()

    def wait_for_page(self) -> None:
        """Wait until the page answers and has read its topics."""

        def answers() -> bool:
            with contextlib.suppress(urllib.error.URLError, OSError):
                return bool(urllib.request.urlopen(self.url + "/ready", timeout=5).status == 200)
            return False

        wait_for("the page", answers, DEADLINE)

    def play(self, hours: float) -> None:
        """Send the simulated events up to ``hours`` after the release, as fast as possible."""
        until = self.released_at + hours * 3_600_000

        def part() -> Iterator[Slice]:
            while self._played < until and (one := next(self._slices, None)) is not None:
                self._played = one.end
                yield one

        with Player(self.config.brokers, sync_client.security(self.config)) as player:
            player.send_releases(self._simulation.releases, self.config.topic("releases"))
            player.play(part(), self.config.topic("requests"), batch=50)

    def records(self, logical: Logical) -> list[ConsumerRecord]:
        """All records of a topic."""
        with sync_client.consumer(self.config) as client:
            topics = [self.config.topic(logical)]
            return list(sync_client.records(client, topics, from_beginning=True, until_end=True))

    def scored_at(self) -> float:
        """Start of the last scored bucket, in epoch milliseconds."""
        found = self.records("status")
        return parse_time(orjson.loads(found[-1].value)["bucket"]) if found else 0.0


@contextlib.contextmanager
def pipeline(
    broker: str,
    prefix: str,
    logs: Path,
    *,
    scenario: str = SCENARIO,
    scale: float = SCALE,
    **settings: Any,
) -> Iterator[Pipeline]:
    """Yield a pipeline, and stop its workers afterwards."""
    changes = {"web_ports": {"web": free_port()}, "web": {"people": PEOPLE}} | settings
    config = isolated(load(brokers=broker)).model_copy(
        update={"topic_prefix": prefix, "app_prefix": prefix + "pw"} | changes
    )
    with sync_client.admin(config) as client:
        assert all(finding.ok for finding in create(client, specs(config), config.brokers))
    with Processes(logs=logs) as processes:
        yield Pipeline(config, processes, scenario, scale)
