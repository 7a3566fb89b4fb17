"""Topics and worker processes for tests of the engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from pivotwatch.config.config import Config, load
from pivotwatch.engine.kafka import sync_client
from tests import kills

DEADLINE = 60.0
ROOT = Path(__file__).parents[2]
KILL_AT = "ENGINE_TEST_KILL_AT"
LOGICAL = ("buckets", "alerts", "status", "dlq", "releases", "decisions")


def wait_for(what: str, condition: Callable[[], Any], deadline: float = DEADLINE) -> Any:
    """Poll until the condition is true, and return its value; fail after the deadline (seconds)."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {deadline} s in vain for {what}"
        time.sleep(0.05)
    return value


class Worker:
    """A worker process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def wait(self, deadline: float = DEADLINE) -> int:
        """Wait for the end of the process; return its exit status."""
        return self.process.wait(deadline)

    def text(self) -> str:
        """The content of its log."""
        return self.log.read_text()

    def kill(self) -> None:
        """Kill the process with ``kill -9``."""
        self.process.kill()
        self.process.wait()


class Rig:
    """Topics, and workers on them."""

    def __init__(self, broker: str, prefix: str, folder: Path, partitions: int = 2, **settings: Any) -> None:
        self.config: Config = load(
            brokers=broker,
            topic_prefix=prefix,
            app_prefix=f"{prefix}pw",
            **{"checkpoint_interval": "300ms", **settings},
        )
        self.folder = folder
        self.partitions = partitions
        self.workers: list[Worker] = []
        replicas = self.config.replication_factor
        admin = KafkaAdminClient(bootstrap_servers=broker)
        admin.create_topics(
            [
                NewTopic(self.config.topic("requests"), partitions, replicas),
                *(NewTopic(self.config.topic(name), 1, replicas) for name in LOGICAL),  # type: ignore[arg-type]
            ]
        )
        admin.close()

    def close(self) -> None:
        """Kill every worker that still runs."""
        for worker in self.workers:
            if worker.process.poll() is None:
                kills.quietly(worker.kill)

    def worker(self, role: str, *flags: str, instance: str = "w1", **env: str) -> Worker:
        """Start a worker. One that is configured to kill itself counts as a kill."""
        if KILL_AT in env:
            kills.BUDGET.count()
        log = self.folder / f"{self.config.topic_prefix}{role}-{len(self.workers)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.kafka.engine_steps", role, instance, *flags],
                env={**self.config.environment(), **env},
                cwd=ROOT,
                stderr=stream,
                stdout=stream,
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        return worker

    def run(self, role: str, *flags: str, status: int = 0, **env: str) -> Worker:
        """Run a worker with ``--until-end``, and check its exit status."""
        worker = self.worker(role, "--until-end", *flags, **env)
        ended = worker.wait()
        assert ended == status, f"exit status {ended}\n{worker.text()[-4000:]}"
        return worker

    def produce(self, events: Iterable[Mapping[str, Any]], topic: str = "requests") -> None:
        """Produce events, keyed by account."""
        records = [(str(event.get("a", "")).encode(), orjson.dumps(event)) for event in events]
        self.produce_raw(records, topic)

    def produce_raw(
        self, records: Iterable[tuple[bytes, bytes]], topic: str = "requests", commit: bool | None = None
    ) -> None:
        """Produce keys and values. With ``commit``, use a transaction, and commit or abort it."""

        async def send() -> None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self.config.brokers,
                linger_ms=5,
                transactional_id=None if commit is None else f"{self.config.topic_prefix}tx",
            )
            async with producer:
                if commit is not None:
                    await producer.begin_transaction()
                for key, value in records:
                    await producer.send(self.config.topic(topic), value, key=key)  # type: ignore[arg-type]
                await producer.flush()
                if commit is not None:
                    await (producer.commit_transaction() if commit else producer.abort_transaction())

        asyncio.run(send())

    def read(self, topic: str) -> list[tuple[bytes, bytes]]:
        """Keys and values of a topic, in order."""
        name = self.config.topic(topic)  # type: ignore[arg-type]
        return self.read_topic(name)

    def read_topic(self, name: str) -> list[tuple[bytes, bytes]]:
        """Keys and values of a topic, by its full name."""
        with sync_client.consumer(self.config) as client:
            tps = sync_client.partitions_of(client, name)
            client.assign(tps)
            client.seek_to_beginning(*tps)
            ends = client.end_offsets(tps)
            found = []
            while any(client.position(tp) < ends[tp] for tp in tps):
                for records in client.poll(timeout_ms=200).values():
                    found += [(record.key, record.value) for record in records]
            return found

    def distinct(self, topic: str) -> dict[bytes, bytes]:
        """The records of a topic without repeats, which must be equal byte for byte."""
        found: dict[bytes, bytes] = {}
        for key, value in self.read(topic):
            assert found.setdefault(key, value) == value, f"{key!r} came twice, and not the same"
        return found

    def size(self, topic: str) -> int:
        """Number of records of a topic, transaction markers included."""
        with sync_client.consumer(self.config) as client:
            return sum(client.end_offsets(sync_client.partitions_of(client, topic)).values())

    def changelog(self, role: str) -> str:
        """Name of the changelog topic of a role."""
        return f"{self.config.app_id(role)}-state-changelog"

    def committed(self, role: str = "accounts", topic: str = "requests") -> tuple[list[int], list[int]]:
        """Committed offsets of the group, and end offsets of the topic, per partition."""
        client = KafkaConsumer(
            bootstrap_servers=self.config.brokers, group_id=self.config.app_id(role), enable_auto_commit=False
        )
        name = self.config.topic(topic)  # type: ignore[arg-type]
        tps = [TopicPartition(name, p) for p in sorted(client.partitions_for_topic(name))]
        ends = client.end_offsets(tps)
        committed = [client.committed(tp) or 0 for tp in tps]
        client.close()
        return committed, [ends[tp] for tp in tps]


@contextlib.contextmanager
def rig(broker: str, prefix: str, folder: Path, **settings: Any) -> Iterator[Rig]:
    """Yield a rig, and kill its workers afterwards."""
    made = Rig(broker, prefix, folder, **settings)
    try:
        yield made
    finally:
        made.close()


def events(count: int, accounts: int = 97, per_second: int = 20) -> list[dict[str, Any]]:
    """A simple stream of events."""
    return [{"a": f"a{index % accounts}", "t": index // per_second} for index in range(count)]


def poison_file(folder: Path) -> str:
    """Create a file; while it exists, the poisoned event makes the operator raise."""
    path = folder / "poison"
    path.touch()
    return os.fspath(path)
