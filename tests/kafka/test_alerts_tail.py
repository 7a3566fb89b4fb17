"""``pivotwatch alerts tail`` on a real broker."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

import orjson
import pytest
from click.testing import CliRunner, Result
from kafka import KafkaProducer

from pivotwatch.cli import main
from tests.contracts.examples import alert_bytes
from tests.formats.ocsf_check import faults
from tests.interrupt import interruptible
from tests.kafka.conftest import MakeTopic

Send = Callable[..., None]


@pytest.fixture
def send(broker: str, make_topic: MakeTopic) -> Send:
    topic = make_topic("alerts", partitions=2)

    def send(*values: bytes | None) -> None:
        with KafkaProducer(bootstrap_servers=broker, acks="all") as producer:
            for number, value in enumerate(values):
                producer.send(topic, value, key=b"k", partition=number % 2).get(30)

    return send


@pytest.fixture
def options(broker: str, topic_prefix: str) -> list[str]:
    return ["--brokers", broker, "--set", f"topic_prefix={topic_prefix}"]


def tail(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["alerts", "tail", *arguments], catch_exceptions=False)


def test_json_prints_the_records_unchanged(send: Send, options: list[str]) -> None:
    values = [alert_bytes(revision=number) for number in range(1, 4)]
    send(*values, None)
    result = tail("--format", "json", "--from-beginning", "--until-end", *options)
    assert result.exit_code == 0
    assert sorted(result.stdout_bytes.splitlines()) == sorted(values)


def test_ocsf_prints_one_finding_per_line(send: Send, options: list[str]) -> None:
    send(alert_bytes(revision=1, state="open"), b"{}", alert_bytes(revision=2))
    result = tail("--format", "ocsf", "--from-beginning", "--until-end", *options)
    assert result.exit_code == 0
    findings = [orjson.loads(line) for line in result.stdout_bytes.splitlines()]
    assert sorted(finding["type_uid"] for finding in findings) == [200401, 200402]
    assert all(faults(finding) == [] for finding in findings)
    assert result.stderr.count("skipped a record: not an alert") == 1


def test_cloudevents_is_the_same_as_json(send: Send, options: list[str]) -> None:
    send(alert_bytes())
    result = tail("--format", "cloudevents", "--from-beginning", "--until-end", *options)
    assert result.stdout_bytes == alert_bytes() + b"\n"


def test_text_is_readable_and_foreign_records_are_skipped(send: Send, options: list[str]) -> None:
    send(b"{}", b"x", alert_bytes())
    result = tail("--from-beginning", "--until-end", *options)
    assert result.exit_code == 0
    assert result.stdout.count("412 accounts on AS64500 switched to m-2 together") == 1
    assert result.stderr.count("skipped a record: not an alert") == 2


def test_without_from_beginning_only_new_alerts_are_printed(send: Send, options: list[str]) -> None:
    send(alert_bytes())
    assert tail("--until-end", *options).stdout == ""


def test_it_prints_each_alert_at_once_and_ends_at_ctrl_c(send: Send, options: list[str]) -> None:
    command = [
        sys.executable,
        "-m",
        "pivotwatch",
        "alerts",
        "tail",
        "--format",
        "json",
        "--from-beginning",
    ]
    follower = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=interruptible
    )
    assert follower.stdout is not None
    with follower:
        for number in (1, 2):
            send(alert_bytes(revision=number))
            assert follower.stdout.readline() == alert_bytes(revision=number) + b"\n"
        follower.send_signal(signal.SIGINT)
        _, err = follower.communicate(timeout=30)
    assert follower.returncode == 130
    assert b"Traceback" not in err


def test_a_missing_topic_says_how_to_create_it(options: list[str]) -> None:
    result = tail(*options)
    assert result.exit_code == 3
    assert "alerts: create it with `pivotwatch topics create`" in result.stderr
