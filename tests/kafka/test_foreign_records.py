"""Foreign records on all topics that networks reads: the worker continues, and the alerts stay the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kafka import KafkaProducer

from pivotwatch.config.config import Config, load
from pivotwatch.contracts.dead_letters import WHOLE_BYTES
from pivotwatch.engine.kafka import sync_client
from pivotwatch.tools.redrive import read_dead_letters
from tests.detection.test_foreign_buckets import FOREIGN

SCENARIO = ["simulate", "c1", "--scale", "0.1", "--days", "1"]
CONTROLS = [
    b"{oops",
    b"7",
    b"{}",
    b'{"alert_id":"a","verdict":"benign","by":%s}' % (b"[" * 1000 + b"]" * 1000),
]
HEADERS = [("trace", b"1")]


def test_networks_continues_after_foreign_records(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    config = load(
        brokers=broker,
        topic_prefix=topic_prefix,
        app_prefix=topic_prefix + "app",
        requests_partitions=1,
        retention={"requests": 0},
    )
    behind = config.model_copy(
        update={"topics": config.topics.model_copy(update={"buckets": "mixed", "alerts": "found"})}
    )

    def pivotwatch(config: Config, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "pivotwatch", *arguments]
        done = subprocess.run(
            command, env=config.environment(), cwd=tmp_path, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done

    def alerts(config: Config) -> bytes:
        tail = ("alerts", "tail", "--from-beginning", "--until-end", "--format", "json")
        return pivotwatch(config, *tail).stdout

    for each in (config, behind):
        pivotwatch(each, "topics", "create")
    to_kafka = ["--topic", config.topic("requests"), "--releases-topic", config.topic("releases")]
    pivotwatch(config, *SCENARIO, "--kafka", broker, *to_kafka, "--speed", "0", "--batch", "100")
    pivotwatch(config, "worker", "--role", "accounts", "--role", "networks", "--until-end")

    # The same bucket records again, with a foreign record before each.
    # (In this stream, the record that skips buckets is a repeat.)
    foreign = [value for name, value in FOREIGN.items() if name != "a bucket that leaves some out"]
    with sync_client.consumer(config) as client:
        topic = config.topic("buckets")
        own = list(sync_client.records(client, [topic], from_beginning=True, until_end=True))
    producer = KafkaProducer(bootstrap_servers=config.bootstrap, max_request_size=2_000_000)
    for value in CONTROLS:
        for topic in ("releases", "decisions"):
            producer.send(behind.topic(topic), value=value, key=b"x", headers=HEADERS)  # type: ignore[arg-type]
    for number, record in enumerate(own):
        if number < len(foreign):
            value = foreign[number]
            producer.send(behind.topic("buckets"), value=value, key=b"x", headers=HEADERS, partition=0)
        producer.send(behind.topic("buckets"), value=record.value, key=record.key, partition=0)
    producer.close()
    assert len(own) > len(foreign)
    pivotwatch(
        behind.model_copy(update={"app_prefix": topic_prefix + "behind"}),
        "worker",
        "--role",
        "networks",
        "--until-end",
    )

    assert alerts(behind) == alerts(config) != b""
    dead = list(read_dead_letters(behind))
    assert all(letter.headers == tuple(HEADERS) and letter.key == b"x" for letter in dead)
    assert all(letter.about.message for letter in dead)
    found = [letter.value for letter in dead if letter.about.topic == "buckets"]
    assert len(found) == len(foreign)
    for kept, value in zip(found, foreign, strict=True):
        assert kept == value or (len(kept) > WHOLE_BYTES and value.startswith(kept))
    for topic in ("releases", "decisions"):
        told = [letter.value for letter in dead if letter.about.topic == topic]
        assert set(told) >= set(CONTROLS[:3])
