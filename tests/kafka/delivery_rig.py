"""Topics and workers of the role delivery for tests, and a check of what receivers got."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaProducer

from pivotwatch.config.config import Config, load
from pivotwatch.engine.kafka import sync_client
from tests import kills
from tests.delivery.receiver import SECRET, Receiver
from tests.formats.examples import raw
from tests.kafka.engine_rig import ROOT

LIFE = ("open", "updated", "updated", "resolved")


class DeliveryRig:
    """Topics, and workers of the role delivery on them."""

    def __init__(self, broker: str, prefix: str, folder: Path) -> None:
        self.broker, self.prefix, self.folder = broker, prefix, folder
        self.targets: list[dict[str, Any]] = []
        self.workers: list[subprocess.Popen[bytes]] = []

    def config(self) -> Config:
        return load(
            brokers=self.broker,
            topic_prefix=self.prefix,
            app_prefix=f"{self.prefix}pw",
            delivery={"targets": self.targets},
        )

    def target(self, name: str, hook: Receiver, **more: Any) -> None:
        """Add a webhook target."""
        quick = {"retry_first": "5ms", "retry_most": "100ms", "timeout": "2s"}
        self.targets.append(
            {"name": name, "kind": "webhook", "url": hook.url, "secret_env": "HOOK_SECRET", **quick, **more}
        )

    def worker(self, *flags: str, instance: str = "d1", **env: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        environment = {**self.environment(), **env}
        command = [
            sys.executable,
            "-m",
            "pivotwatch",
            "worker",
            "--role",
            "delivery",
            "--instance",
            instance,
            *flags,
        ]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        self.workers.append(process)
        return process

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    def produce(self, *records: bytes, pause: float = 0.0) -> None:
        """Write alerts in order, with the keys that the role networks uses."""
        with KafkaProducer(bootstrap_servers=self.broker, acks="all", enable_idempotence=True) as producer:
            for record in records:
                key = orjson.loads(record)["data"]["alert_id"].encode()
                producer.send(f"{self.prefix}alerts", record, key=key)
                time.sleep(pause)
            producer.flush()

    def read(self, topic: str) -> list[Any]:
        """Every record of a topic."""
        with sync_client.consumer(self.config()) as client:
            return list(
                sync_client.records(client, [self.prefix + topic], from_beginning=True, until_end=True)
            )

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a pivotwatch command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "pivotwatch", *command],
            env=self.environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=check,
        )

    def environment(self) -> dict[str, str]:
        """Environment of workers and commands."""
        return {**self.config().environment(), "HOOK_SECRET": SECRET, "NO_PROXY": "127.0.0.1"}

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                kills.quietly(worker.kill)
                worker.wait()


def incident_histories(count: int, *states: str) -> list[bytes]:
    """Alerts of ``count`` incidents: first revision 1 of each, then revision 2 of each, and so on."""
    return [
        raw(state, alert_id=f"{number:016x}", revision=revision)
        for revision, state in enumerate(states or LIFE, start=1)
        for number in range(count)
    ]


def expect_all(hook: Receiver, records: list[bytes]) -> int:
    """Check that nothing is lost, incidents are in order and repeats equal; return the number of repeats."""
    wanted = {orjson.loads(record)["id"]: orjson.loads(record) for record in records}
    firsts = list(dict.fromkeys(hook.webhook_ids()))
    assert sorted(firsts) == sorted(wanted)
    for _, body in hook.taken:
        assert body == wanted[body["id"]]
    for alert_id in {one.partition(".")[0] for one in wanted}:
        revisions = [int(one.partition(".")[2]) for one in firsts if one.startswith(alert_id)]
        assert revisions == sorted(revisions)
    return len(hook.taken) - len(firsts)
