"""The role delivery on a real broker, with real receivers: killed, stopped, and with targets down."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from kafka import KafkaProducer

from streams import brokers
from streams.config import Config, load
from tests.delivery.receiver import SECRET, Receiver, receiver
from tests.kafka.conftest import MakeTopic
from tests.kafka.engine_rig import ROOT, wait_for
from tests.sinks.examples import raw
from tests.sinks.ocsf_check import faults

LIFE = ("open", "updated", "updated", "resolved")


class Office:
    """Topics, and delivery workers on them."""

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
        """Add a webhook."""
        quick = {"retry_first": "5ms", "retry_most": "100ms", "timeout": "2s"}
        self.targets.append(
            {"name": name, "kind": "webhook", "url": hook.url, "secret_env": "HOOK_SECRET", **quick, **more}
        )

    def worker(self, *flags: str, instance: str = "d1", **env: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        environment = {**self.config().environment(), "HOOK_SECRET": SECRET, "NO_PROXY": "127.0.0.1", **env}
        command = [
            sys.executable,
            "-m",
            "streams.cli",
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

    def produce(self, *records: bytes) -> None:
        """Write alerts, keyed as networks does."""
        with KafkaProducer(bootstrap_servers=self.broker, acks="all") as producer:
            for record in records:
                key = orjson.loads(record)["data"]["alert_id"].encode()
                producer.send(f"{self.prefix}alerts", record, key=key)
            producer.flush()

    def read(self, topic: str) -> list[Any]:
        """Every record of a topic."""
        with brokers.consumer(self.config()) as client:
            return list(brokers.records(client, [self.prefix + topic], from_beginning=True, until_end=True))

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()


@pytest.fixture
def office(broker: str, topic_prefix: str, make_topic: MakeTopic, tmp_path: Path) -> Iterator[Office]:
    make_topic("alerts", partitions=2)
    make_topic("deliveries.dlq")
    made = Office(broker, topic_prefix, tmp_path)
    yield made
    made.close()


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def lives(count: int, *states: str) -> list[bytes]:
    """So many incidents, a revision of each in turn."""
    return [
        raw(state, alert_id=f"{number:016x}", revision=revision)
        for revision, state in enumerate(states or LIFE, start=1)
        for number in range(count)
    ]


def expect_all(hook: Receiver, records: list[bytes]) -> int:
    """Nothing lost, in order per incident, repeats equal; returns how many came twice."""
    wanted = {orjson.loads(record)["id"]: orjson.loads(record) for record in records}
    firsts = list(dict.fromkeys(hook.webhook_ids()))
    assert sorted(firsts) == sorted(wanted)
    for _, body in hook.taken:
        assert body == wanted[body["id"]]
    for alert_id in {one.partition(".")[0] for one in wanted}:
        revisions = [int(one.partition(".")[2]) for one in firsts if one.startswith(alert_id)]
        assert revisions == sorted(revisions)
    return len(hook.taken) - len(firsts)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_kill_9_at_any_moment_loses_nothing_and_doubles_nothing_after_deduplication(
    office: Office, hook: Receiver
) -> None:
    records = lives(25)
    hook.script.extend([500, 200, "cut", 200, 200, 503] * 8)
    office.target("hook", hook)
    office.produce(*records)
    repeats_allowed = 0
    for killed_at in (10, 45, 80):
        worker = office.worker()
        wait_for("deliveries", lambda at=killed_at: len(hook.taken) >= at)
        worker.kill()
        worker.wait()
        repeats_allowed += 4  # So many are under way at once.
    assert office.worker("--until-end").wait(60) == 0
    repeats = expect_all(hook, records)
    print(f"{len(records)} delivered, {repeats} of them twice")
    assert repeats <= repeats_allowed
    assert office.read("deliveries.dlq") == []
    # A further run has nothing to do, and says nothing again.
    taken = len(hook.taken)
    assert office.worker("--until-end").wait(60) == 0
    assert len(hook.taken) == taken


def test_a_target_that_is_down_slows_no_other_and_gets_everything_after_a_restart(
    office: Office, hook: Receiver
) -> None:
    records = lives(10)
    with receiver() as down:
        down.always = "hang"
        office.target("well", hook)
        office.target("down", down)
        office.produce(*records)
        worker = office.worker()
        wait_for("the target that is well", lambda: len(hook.taken) == len(records))
        assert down.taken == []
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        down.always = 503
        worker = office.worker()
        wait_for("some more tries", lambda: len([1 for _, act in down.tries if act == 503]) > 5)
        down.always = 200
        wait_for("the target that was down", lambda: len(down.taken) == len(records))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert expect_all(down, records) == 0
        # The delivery log knew what the other had: not one repeat, though the offsets were held back.
        assert expect_all(hook, records) == 0
    assert SECRET.encode() not in office.log.read_bytes()


def test_workers_that_come_and_go_lose_nothing(office: Office, hook: Receiver) -> None:
    first, second = lives(10)[:20], lives(10)[20:]
    office.target("hook", hook)
    short = ("--set", "session_timeout=3s")
    one = office.worker(*short)
    office.produce(*first)
    wait_for("the first", lambda: len(hook.taken) >= 10)
    two = office.worker(*short, instance="d2")
    office.produce(*second)
    wait_for("a partition for each", lambda: office.log.read_text().count(": delivering from") >= 4)
    one.kill()
    wait_for("everything", lambda: len(set(hook.webhook_ids())) == 40)
    expect_all(hook, first + second)
    two.send_signal(signal.SIGTERM)
    assert two.wait(30) == 0


def test_after_the_budget_dead_letters_that_are_counted(office: Office, hook: Receiver) -> None:
    records = lives(3, "open", "resolved")
    hook.always = 500
    office.target("hook", hook, retry_budget="200ms")
    office.produce(b'{"data":{"alert_id":"x"}}', *records)
    port = free_port()
    office.worker("--set", f"web_port={port}")
    wait_for("dead letters", lambda: len(office.read("deliveries.dlq")) == len(records) + 1)
    letters = office.read("deliveries.dlq")
    told = [dict(letter.headers) for letter in letters]
    assert sorted(one["pivotwatch.errors.class"] for one in told) == [b"budget"] * 6 + [b"unreadable"]
    assert {letter.value for letter in letters} >= set(records)
    text = office.log.read_text()
    assert text.count("dead letter: alert") == len(records) + 1
    assert "for target hook: budget: " in text
    assert "status 500" in text
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    assert 'pivotwatch_deliveries_total{outcome="failed",target="hook"} 6.0' in metrics
    assert 'pivotwatch_dead_letters_total{reason="budget"} 6.0' in metrics


def test_findings_and_events_go_to_topics(office: Office, make_topic: MakeTopic) -> None:
    findings, events = make_topic("findings"), make_topic("events")
    office.targets = [
        {"name": "siem", "kind": "ocsf", "topic": findings, "min_severity": "high"},
        {"name": "bus", "kind": "cloudevents", "topic": events},
    ]
    records = [*lives(2), raw("open", alert_id="f" * 16, revision=1, severity="low")]
    office.produce(*records)
    assert office.worker("--until-end").wait(60) == 0
    found = [orjson.loads(record.value) for record in office.read("findings")]
    assert len(found) == 8
    assert all(faults(one) == [] for one in found)
    bus = office.read("events")
    assert sorted(record.value for record in bus) == sorted(records)
    assert dict(bus[0].headers)["content-type"] == b"application/cloudevents+json"
    assert bus[0].key == orjson.loads(bus[0].value)["data"]["alert_id"].encode()


def test_the_command_tests_a_target_that_is_a_topic(office: Office, make_topic: MakeTopic) -> None:
    office.targets = [{"name": "siem", "kind": "ocsf", "topic": make_topic("findings")}]
    command = [sys.executable, "-m", "streams.cli", "deliver", "test", "siem"]
    environment = office.config().environment()
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "open: taken: written\nresolved: taken: written\n"
    found = [orjson.loads(record.value) for record in office.read("findings")]
    assert [one["activity_id"] for one in found] == [1, 3]
    assert all(faults(one) == [] for one in found)


def test_a_role_without_targets_says_what_to_configure(office: Office) -> None:
    assert office.worker().wait(30) == 2
    assert "configure [[delivery.targets]]" in office.log.read_text()
