"""The commands together: workers on Kafka and a replay give the same alerts, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pivotwatch.config.config import load

SCENARIO = ["simulate", "c1", "--scale", "0.1", "--days", "1"]


def test_workers_and_replay_give_the_same_alerts(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    config = load(
        brokers=broker,
        topic_prefix=topic_prefix,
        app_prefix=topic_prefix + "app",
        requests_partitions=3,
        # The events are old: Kafka must not delete them by age.
        retention={"requests": 0},
    )

    def pivotwatch(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "pivotwatch", *arguments]
        done = subprocess.run(
            command, env=config.environment(), cwd=tmp_path, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done

    pivotwatch("topics", "create")
    to_kafka = ["--topic", config.topic("requests"), "--releases-topic", config.topic("releases")]
    pivotwatch(*SCENARIO, "--kafka", broker, *to_kafka, "--speed", "0", "--batch", "100")
    pivotwatch("worker", "--role", "accounts", "--role", "networks", "--until-end")
    found = pivotwatch("alerts", "tail", "--from-beginning", "--until-end", "--format", "json").stdout
    (tmp_path / "live.jsonl").write_bytes(found)
    assert found.count(b"\n") > 0

    pivotwatch(*SCENARIO, "--out", "events.zst", "--releases", "releases.json")
    replay = ["replay", "events.zst", "--releases", "releases.json", "--partitions", "3"]
    pivotwatch(*replay, "--alerts", "replayed.jsonl")
    pivotwatch("alerts", "compare", "live.jsonl", "replayed.jsonl", "--in-order")
