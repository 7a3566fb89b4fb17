"""`alerts` that is deleted and created again: every alert of the new topic reaches its targets, once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from tests.delivery.receiver import Receiver, receiver
from tests.formats.examples import raw
from tests.kafka.conftest import MakeTopic
from tests.kafka.delivery_rig import DeliveryRig, expect_all
from tests.kafka.engine_rig import wait_for


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as it:
        yield it


@pytest.fixture
def made(
    broker: str, topic_prefix: str, make_topic: MakeTopic, tmp_path: Path, hook: Receiver
) -> Iterator[DeliveryRig]:
    make_topic("alerts", partitions=1)
    make_topic("deliveries.dlq")
    rig = DeliveryRig(broker, topic_prefix, tmp_path)
    rig.target("hook", hook)
    yield rig
    rig.close()


def create_anew(rig: DeliveryRig) -> None:
    """Delete the topic, and create it again."""
    name = f"{rig.prefix}alerts"
    admin = KafkaAdminClient(bootstrap_servers=rig.broker)
    admin.delete_topics([name])
    wait_for("the deletion", lambda: name not in admin.list_topics())
    created = lambda: admin.create_topics([NewTopic(name, 1, 1)], raise_errors=False)  # noqa: E731
    wait_for("the creation", lambda: created()["topics"][0]["error_code"] == 0)
    admin.close()


def some(first: int, count: int) -> list[bytes]:
    return [raw("open", alert_id=f"{number:016x}") for number in range(first, first + count)]


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_every_alert_of_the_new_topic_is_delivered_once(
    made: DeliveryRig, hook: Receiver, running: bool
) -> None:
    old, new = some(0, 30), some(1000, 60)
    made.produce(*old)
    worker = made.worker("--set", "delivery.start=latest" if running else "delivery.start=earliest")
    wait_for("the worker", lambda: ": delivering from" in made.log.read_text())
    made.produce(*(old if running else ()))
    wait_for("the old alerts", lambda: len(hook.taken) == len(old))
    if not running:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    create_anew(made)
    made.produce(*old[:5], *new)  # Some are sent again, as `networks` does after a crash.
    if running:
        assert worker.wait(60) == 2
        assert "the topic was deleted" in made.log.read_text()
    made.worker("--set", "delivery.start=latest")
    wait_for("the new alerts", lambda: len(hook.taken) >= len(old) + len(new), 60)
    assert expect_all(hook, old + new) == 0
