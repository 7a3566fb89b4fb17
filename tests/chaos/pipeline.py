"""A pipeline of real worker processes on its own topics."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from infra.kafka.supervisor import free_port
from pivotwatch.config.config import Config, load
from pivotwatch.config.topic_settings import Logical
from pivotwatch.engine.kafka import sync_client, topics
from tests import kills
from tests.chaos.traffic import Record

ROOT = Path(__file__).parents[2]
DEADLINE = 120.0


def wait_for(what: str, condition: Callable[[], Any], deadline: float = DEADLINE) -> Any:
    """Poll until the condition is true and return its value; fail after the deadline (seconds)."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline:.0f} s in vain for {what}")
        time.sleep(0.05)
    return value


class Worker:
    """One worker process.

    Attributes
    ----------
    role, instance
        The values of ``--role`` and ``--instance``.
    port
        Port of its web server.
    started
        Start time (`time.monotonic`).
    """

    def __init__(
        self, role: str, instance: str, port: int, process: subprocess.Popen[bytes], log: Path
    ) -> None:
        self.role = role
        self.instance = instance
        self.port = port
        self.process = process
        self.log = log
        self.started = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON body of a page of its web server; status 0 when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as answer:
            return answer.code, json.load(answer)
        except OSError:
            return 0, {}

    def wait_ready(self) -> float:
        """Wait until ``/ready`` answers 200; return the seconds since the start."""
        wait_for(f"{self.role} {self.instance} to be ready", self._is_ready)
        return time.monotonic() - self.started

    def _is_ready(self) -> bool:
        assert self.running, f"{self.role} {self.instance} ended\n{self.tail()}"
        return self.get("/ready")[0] == 200

    def kill(self) -> None:
        """Kill the process with ``kill -9``."""
        self.process.kill()
        self.process.wait()

    def terminate(self, deadline: float = 10.0) -> float:
        """Stop the process with SIGTERM; fail unless it ends in time with status 0. Return the seconds."""
        begun = time.monotonic()
        self.process.terminate()
        status = self.process.wait(deadline)
        assert status == 0, f"{self.role} {self.instance}: exit status {status}\n{self.tail()}"
        return time.monotonic() - begun

    def tail(self) -> str:
        """The last part of its log."""
        return self.log.read_text(errors="replace")[-4000:]


class Pipeline:
    """Topics, and the workers on them.

    Parameters
    ----------
    broker
        Address of the broker for this process.
    prefix, folder
        Prefix of topic and group names; folder for logs.
    partitions
        Number of partitions of ``requests``.
    settings
        Keys of the configuration. ``brokers`` gives the workers another address, that of a proxy.
    """

    def __init__(
        self, broker: str, prefix: str, folder: Path, *, partitions: int = 4, **settings: Any
    ) -> None:
        common: dict[str, Any] = {
            "topic_prefix": prefix,
            "app_prefix": f"{prefix}pw",
            "requests_partitions": partitions,
            # The events are old: neither retention nor the idle rule, which use the clock, may apply.
            "retention": {"requests": 0},
            "idle_after": "1d",
            "checkpoint_interval": "500ms",
        }
        self.config: Config = load(**{**common, **settings, "brokers": broker})
        self.for_workers: Config = load(**{**common, "brokers": broker, **settings})
        self.folder = folder
        self.partitions = partitions
        self.workers: list[Worker] = []
        self.feeder: Feeder | None = None
        self._clients: dict[str, KafkaConsumer] = {}
        with sync_client.admin(self.config) as client:
            topics.create(client, topics.specs(self.config), broker)

    def close(self) -> None:
        """Stop everything that still runs."""
        if self.feeder is not None:
            self.feeder.stop()
        for worker in self.workers:
            if worker.running:
                kills.quietly(worker.kill)
        for client in self._clients.values():
            client.close()

    def worker(self, role: str, instance: str = "w1", *flags: str, hook: str = "", **env: str) -> Worker:
        """Start ``pivotwatch worker``, with a hook of `tests.chaos.hooks` if one is named."""
        port = free_port()
        log = self.folder / f"{role}-{instance}-{len(self.workers)}.log"
        module = ["tests.chaos.hooks", hook] if hook else ["pivotwatch"]
        command = [sys.executable, "-m", *module, "worker", "--role", role, "--instance", instance, *flags]
        environment = {**self.for_workers.environment(), "PIVOTWATCH_WEB_PORT": str(port), **env}
        with log.open("wb") as stream:
            process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=stream, stderr=stream)
        worker = Worker(role, instance, port, process, log)
        self.workers.append(worker)
        return worker

    def again(self, worker: Worker) -> Worker:
        """Start a worker with the role and instance of one that has ended."""
        return self.worker(worker.role, worker.instance)

    def release(self, releases: Iterable[dict[str, Any]], topic: Logical = "releases") -> None:
        """Send control records, releases by default."""
        items = [
            Record(0, entry.get("model", "x").encode(), json.dumps(entry).encode(), int(time.time() * 1000))
            for entry in releases
        ]
        Feeder(self.config, topic, items).run()

    def feed(self, records: Iterable[Record], rate: float | None = None) -> Feeder:
        """Send records in the background, at ``rate`` records per second."""
        self.feeder = Feeder(self.config, "requests", records, rate)
        self.feeder.start()
        return self.feeder

    def finish(self) -> None:
        """Run both roles with ``--until-end``: every bucket is closed, scored and committed."""
        for worker in [self.worker(role, "w1", "--until-end") for role in ("accounts", "networks")]:
            status = worker.process.wait(DEADLINE)
            assert status == 0, f"{worker.role}: exit status {status}\n{worker.tail()}"

    def committed(self, role: str, topic: Logical) -> tuple[list[int], list[int]]:
        """Committed offsets and end offsets of a group's topic; waits while the broker is down."""
        return wait_for("the broker", lambda: self._committed(role, topic))  # type: ignore[no-any-return]

    def _committed(self, role: str, topic: Logical) -> tuple[list[int], list[int]] | None:
        try:
            client = self._clients.get(role) or self._clients.setdefault(role, self._client(role))
            name = self.config.topic(topic)
            tps = [TopicPartition(name, p) for p in sorted(client.partitions_for_topic(name) or ())]
            ends = client.end_offsets(tps)
            return [client.committed(tp) or 0 for tp in tps], [ends[tp] for tp in tps]
        except KafkaError:
            if role in self._clients:
                self._clients.pop(role).close()
            return None

    def _client(self, role: str) -> KafkaConsumer:
        return KafkaConsumer(
            bootstrap_servers=self.config.brokers,
            group_id=self.config.app_id(role),
            enable_auto_commit=False,
            metrics_enabled=False,
        )

    def lag(self, role: str = "accounts", topic: Logical = "requests") -> int:
        """Number of records that no committed checkpoint covers."""
        committed, ends = self.committed(role, topic)
        return sum(ends) - sum(committed)


class Feeder(threading.Thread):
    """Sends records to explicit partitions, and retries while the broker is down.

    Parameters
    ----------
    config, topic, records
        The configuration, the topic, and the records to send.
    rate
        Records per second; None sends as fast as possible.
    """

    def __init__(
        self, config: Config, topic: Logical, records: Iterable[Record], rate: float | None = None
    ) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self.error: BaseException | None = None
        self._config = config
        self._topic = config.topic(topic)
        self._records = records
        self._rate = rate
        self._stopped = threading.Event()

    def to(self, topic: str) -> None:
        """Send to the topic of this name instead."""
        self._topic = topic

    def stop(self) -> None:
        """Stop sending."""
        self._stopped.set()
        self.join(60)

    def send_rest_at_once(self) -> None:
        """Send the rest as fast as possible."""
        self._rate = None

    def done(self) -> bool:
        """Whether everything has been sent; raises when sending failed."""
        if self.error is not None:
            raise self.error
        return not self.is_alive()

    def run(self) -> None:
        """Send all records."""
        try:
            asyncio.run(self._send())
        except BaseException as error:
            self.error = error

    async def _send(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._config.bootstrap,
            linger_ms=5,
            acks="all",
            enable_idempotence=True,
            # It retries until then: longer than any outage here.
            request_timeout_ms=300_000,
            max_request_size=1_500_000,
        )
        async with producer:
            begun, pending = time.monotonic(), []
            for record in self._records:
                if self._stopped.is_set():
                    break
                future = await producer.send(
                    self._topic,
                    record.value,
                    key=record.key,
                    partition=record.partition,
                    timestamp_ms=record.timestamp,
                    headers=list(record.headers),
                )
                pending.append(future)
                self.sent += 1
                if self._rate and (ahead := begun + self.sent / self._rate - time.monotonic()) > 0:
                    await asyncio.sleep(ahead)
                if len(pending) >= 2_000:
                    await asyncio.gather(*pending)
                    pending.clear()
            await asyncio.gather(*pending)
