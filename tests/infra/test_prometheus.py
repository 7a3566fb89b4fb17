"""Rules and scrape configuration, checked by promtool; a real Prometheus that scrapes a real worker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from aiokafka import AIOKafkaProducer

from infra.kafka.supervisor import free_port
from pivotwatch.config.config import load
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.topics import create, specs
from tests import kills
from tests.infra.files import INFRA, ROOT, RULES, needs, recorded, served, used

PROMETHEUS = INFRA / "prometheus"


def tool(*arguments: str) -> None:
    needs("promtool")
    done = subprocess.run(["promtool", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_configuration_and_rules():
    tool("check", "config", "infra/prometheus/prometheus.yml")
    tool("check", "rules", "infra/prometheus/rules/pivotwatch.yml")


def test_rules_fire_when_they_should():
    tool("test", "rules", "tests/infra/prometheus_rules.yml")


def test_every_rule_uses_served_metrics_and_has_a_test():
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    for rule in rules:
        assert used(rule["expr"]) <= served() | recorded(), rule
    tests = (ROOT / "tests" / "infra" / "prometheus_rules.yml").read_text()
    for rule in rules:
        if "alert" in rule:
            assert f"alertname: {rule['alert']}\n" in tests, f"{rule['alert']} fires in no test"
            assert set(rule["annotations"]) == {"summary", "description"}


def get(url: str) -> Any:
    """The JSON answer, or None while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError):
        return None


def wait_for(what: str, condition: Callable[[], Any], process: subprocess.Popen[bytes], log: Path) -> Any:
    end = time.monotonic() + 40
    while not (value := condition()):
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, f"waited in vain for {what}\n{log.read_text()[-3000:]}"
        time.sleep(0.1)
    return value


async def produce(address: str, topic: str, values: list[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        for value in values:
            await producer.send(topic, value, key=b"a")


@pytest.mark.kafka
def test_a_real_prometheus_scrapes_a_real_worker(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    import asyncio

    needs("prometheus")
    config = load(
        brokers=broker,
        topic_prefix=topic_prefix,
        app_prefix=topic_prefix + "pw",
        requests_partitions=2,
        checkpoint_interval="300ms",
        web_port=free_port(),
    )
    with sync_client.admin(config) as client:
        assert all(found.ok for found in create(client, specs(config), config.brokers))
    now = int(time.time() * 1000)
    events = [
        orjson.dumps({"id": str(i), "ts": now, "account": f"a{i}", "network": f"AS{i % 5}", "model": "m"})
        for i in range(50)
    ]
    array = b"[" + b",".join(events[:5]) + b"]"
    asyncio.run(produce(broker, config.topic("requests"), [*events, array, b"{}"]))

    port = free_port()
    shutil.copytree(PROMETHEUS / "rules", tmp_path / "rules")
    (tmp_path / "targets").mkdir()
    target = [{"targets": [f"127.0.0.1:{config.web_port}"], "labels": {"role": "accounts"}}]
    (tmp_path / "targets" / "here.yml").write_text(yaml.safe_dump(target))
    settings = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    settings["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    del settings["alerting"]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
    server_command = [
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    worker_command = [
        sys.executable,
        "-m",
        "pivotwatch",
        "worker",
        "--role",
        "accounts",
        "--instance",
        "w1",
    ]
    logs = [tmp_path / "worker.log", tmp_path / "prometheus.log"]
    with logs[0].open("wb") as one, logs[1].open("wb") as other:
        worker = subprocess.Popen(worker_command, env=config.environment(), cwd=ROOT, stderr=one, stdout=one)
        server = subprocess.Popen(server_command, stderr=other, stdout=other, env=dict(os.environ))
    try:

        def query(expression: str) -> float | None:
            answer = get(
                f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
            )
            found = answer["data"]["result"] if answer else []
            return float(found[0]["value"][1]) if found else None

        wait_for("the web server", lambda: query("up") is not None, server, logs[1])
        # The array counts as five events; {} becomes a dead letter.
        wait_for("events", lambda: query("sum(pivotwatch_events_total)") == 55, worker, logs[0])
        wait_for("checkpoints", lambda: query("pivotwatch_checkpoint_seconds_count"), worker, logs[0])
        assert query('up{job="pivotwatch", role="accounts"}') == 1
        assert query('pivotwatch_dead_letters_total{reason="BadEvent"}') == 1
        assert query("pivotwatch_assigned_partitions") == 2
        assert query("sum(pivotwatch_processed_offset)") == 52
        assert 300 <= (query("max(pivotwatch_watermark_lag_seconds)") or 0) < 400
        assert (query("process_resident_memory_bytes") or 0) > 1e7
        wait_for("lag", lambda: query("sum(pivotwatch_lag_records)") == 0, worker, logs[0])
        wait_for("rules", lambda: query("pivotwatch:lag_records:sum") == 0, server, logs[1])
        rules = get(f"http://127.0.0.1:{port}/api/v1/rules")["data"]["groups"]
        assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}

        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
        wait_for("the end of the worker", lambda: query("up") == 0, server, logs[1])
    finally:
        for process in (worker, server):
            kills.quietly(process.kill)
            process.wait()
