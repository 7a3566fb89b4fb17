"""The role delivery on a real broker with real receivers: kills, stops, and targets that are down."""

from __future__ import annotations

import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from tests.delivery.receiver import SECRET, Receiver, receiver
from tests.formats.examples import raw
from tests.formats.ocsf_check import faults
from tests.kafka.conftest import MakeTopic
from tests.kafka.delivery_rig import DeliveryRig, expect_all, incident_histories
from tests.kafka.engine_rig import wait_for
from tests.kills import LONG


@pytest.fixture
def rig(broker: str, topic_prefix: str, make_topic: MakeTopic, tmp_path: Path) -> Iterator[DeliveryRig]:
    make_topic("alerts", partitions=2)
    make_topic("deliveries.dlq")
    made = DeliveryRig(broker, topic_prefix, tmp_path)
    yield made
    made.close()


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.mark.chaos
def test_kill_9_loses_nothing_and_repeats_only_known_ids(rig: DeliveryRig, hook: Receiver) -> None:
    records = incident_histories(25)
    hook.script.extend([500, 200, "cut", 200, 200, 503] * 8)
    rig.target("hook", hook)
    rig.produce(*records)
    repeats_allowed = 0
    for killed_at in (10, 45, 80) if LONG else (45,):
        worker = rig.worker()
        wait_for("deliveries", lambda at=killed_at: len(hook.taken) >= at)
        worker.kill()
        worker.wait()
        repeats_allowed += 4  # This many deliveries run concurrently.
    assert rig.worker("--until-end").wait(60) == 0
    repeats = expect_all(hook, records)
    print(f"{len(records)} delivered, {repeats} of them twice")
    assert repeats <= repeats_allowed
    assert rig.read("deliveries.dlq") == []
    # A further run has nothing to deliver.
    taken = len(hook.taken)
    assert rig.worker("--until-end").wait(60) == 0
    assert len(hook.taken) == taken


def test_a_target_that_is_down_delays_no_other_and_gets_everything_after_a_restart(
    rig: DeliveryRig, hook: Receiver
) -> None:
    records = incident_histories(10)
    with receiver() as down:
        down.always = "hang"
        rig.target("well", hook)
        rig.target("down", down)
        rig.produce(*records)
        worker = rig.worker()
        wait_for("the target that is well", lambda: len(hook.taken) == len(records))
        assert down.taken == []
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        down.always = 503
        worker = rig.worker()
        wait_for("some more tries", lambda: len([1 for _, act in down.tries if act == 503]) > 5)
        down.always = 200
        wait_for("the target that was down", lambda: len(down.taken) == len(records))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        assert expect_all(down, records) == 0
        # The notification log prevents repeats to the other target, although the offsets were not committed.
        assert expect_all(hook, records) == 0
    assert SECRET.encode() not in rig.log.read_bytes()


@pytest.mark.chaos
def test_workers_that_come_and_go_lose_nothing(rig: DeliveryRig, hook: Receiver) -> None:
    first, second = incident_histories(10)[:20], incident_histories(10)[20:]
    rig.target("hook", hook)
    short = ("--set", "session_timeout=3s")
    one = rig.worker(*short)
    rig.produce(*first)
    wait_for("the first", lambda: len(hook.taken) >= 10)
    two = rig.worker(*short, instance="d2")
    rig.produce(*second)
    wait_for("a partition for each", lambda: rig.log.read_text().count(": delivering from") >= 4)
    one.send_signal(signal.SIGKILL if LONG else signal.SIGTERM)
    wait_for("everything", lambda: len(set(hook.webhook_ids())) == 40)
    expect_all(hook, first + second)
    two.send_signal(signal.SIGTERM)
    assert two.wait(30) == 0


def test_deliveries_beyond_the_retry_budget_become_counted_dead_letters(
    rig: DeliveryRig, hook: Receiver
) -> None:
    records = incident_histories(3, "open", "resolved")
    hook.always = 500
    rig.target("hook", hook, retry_budget="200ms")
    rig.produce(b'{"data":{"alert_id":"x"}}', *records)
    port = free_port()
    rig.worker("--set", f"web_port={port}")
    wait_for("dead letters", lambda: len(rig.read("deliveries.dlq")) == len(records) + 1)
    letters = rig.read("deliveries.dlq")
    told = [dict(letter.headers) for letter in letters]
    assert sorted(one["pivotwatch.errors.class"] for one in told) == [b"budget"] * 6 + [b"unreadable"]
    assert {letter.value for letter in letters} >= set(records)
    text = rig.log.read_text()
    assert text.count("dead letter: alert") == len(records) + 1
    assert "for target hook: budget: " in text
    assert "status 500" in text
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    assert 'pivotwatch_deliveries_total{outcome="failed",target="hook"} 6.0' in metrics
    assert 'pivotwatch_dead_letters_total{reason="budget"} 6.0' in metrics


def test_ocsf_findings_and_cloudevents_go_to_topics(rig: DeliveryRig, make_topic: MakeTopic) -> None:
    findings, events = make_topic("findings"), make_topic("events")
    rig.targets = [
        {"name": "siem", "kind": "ocsf", "topic": findings, "min_severity": "high"},
        {"name": "bus", "kind": "cloudevents", "topic": events},
    ]
    records = [*incident_histories(2), raw("open", alert_id="f" * 16, revision=1, severity="low")]
    rig.produce(*records)
    assert rig.worker("--until-end").wait(60) == 0
    found = [orjson.loads(record.value) for record in rig.read("findings")]
    assert len(found) == 8
    assert all(faults(one) == [] for one in found)
    bus = rig.read("events")
    assert sorted(record.value for record in bus) == sorted(records)
    assert dict(bus[0].headers)["content-type"] == b"application/cloudevents+json"
    assert bus[0].key == orjson.loads(bus[0].value)["data"]["alert_id"].encode()


def test_deliver_test_sends_to_a_topic(rig: DeliveryRig, make_topic: MakeTopic) -> None:
    rig.targets = [{"name": "siem", "kind": "ocsf", "topic": make_topic("findings")}]
    done = rig.run("deliver", "test", "siem")
    assert done.stdout == "open: accepted: written\nresolved: accepted: written\n"
    found = [orjson.loads(record.value) for record in rig.read("findings")]
    assert [one["activity_id"] for one in found] == [1, 3]
    assert all(faults(one) == [] for one in found)


def test_a_role_without_targets_says_what_to_configure(rig: DeliveryRig) -> None:
    assert rig.worker().wait(30) == 2
    assert "configure [[delivery.targets]]" in rig.log.read_text()


def test_a_target_without_its_topic_delays_no_other(
    rig: DeliveryRig, hook: Receiver, make_topic: MakeTopic
) -> None:
    records = incident_histories(3)
    rig.target("hook", hook)
    rig.targets.append({"name": "bus", "kind": "cloudevents", "topic": f"{rig.prefix}events"})
    rig.produce(*records)
    worker = rig.worker()
    wait_for("the target that is well", lambda: len(hook.taken) == len(records))
    assert worker.poll() is None
    make_topic("events")
    wait_for("the other", lambda: len(rig.read("events")) == len(records))
    assert expect_all(hook, records) == 0
    assert rig.read("deliveries.dlq") == []


def test_dead_letters_are_listed_and_delivered_again(
    rig: DeliveryRig, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = incident_histories(2, "open", "resolved")
    with receiver() as chat:
        monkeypatch.setenv("CHAT_SECRET", chat.url)
        rig.target("hook", hook)
        rig.targets.append({"name": "chat", "kind": "slack", "secret_env": "CHAT_SECRET", "interval": "1ms"})
        hook.always = chat.always = 400
        rig.produce(b'{"data":{"alert_id":"x"}}', *records)
        assert rig.worker("--until-end").wait(60) == 0

        listed = rig.run("dlq", "list", "--deliveries")
        assert listed.stdout.count("refused: status 400") == 8
        assert "(all)  (no alert)  unreadable: not an alert" in listed.stdout
        assert "9 dead letters: 8 refused, 1 unreadable" in listed.stderr
        mine = rig.run("dlq", "list", "--deliveries", "--target", "hook").stdout
        assert sorted(line.split()[2] for line in mine.splitlines()) == sorted(
            orjson.loads(record)["id"] for record in records
        )

        chat.always = 410
        hook.always = 200
        again = rig.run("dlq", "redrive", "--deliveries", "--all", check=False)
        assert again.returncode == 1
        assert again.stderr.count("NOT sent: status 410") == 1
        assert again.stderr.count("NOT sent: disabled after status 410") == 1
        assert again.stderr.count("NOT sent: is not an alert") == 1
        assert expect_all(hook, records) == 0

        chat.always = 200
        rest = rig.run("dlq", "redrive", "--deliveries", "--target", "chat")
        # Alerts of incidents that have ended are not sent again as if they had just begun.
        assert rest.stderr.count("is outdated: the target already got revision 2") == 2
        assert "4 done, 0 not sent" in rest.stderr
        assert [body["blocks"][0]["text"]["text"].split()[0] for body in chat.bodies()] == ["✅", "✅"]
    assert rig.run("dlq", "redrive", "--deliveries", check=False).returncode == 2
    assert "--target needs --deliveries" in rig.run("dlq", "list", "--target", "x", check=False).stderr


def test_alerts_created_anew_are_read_from_their_beginning(
    rig: DeliveryRig, hook: Receiver, admin: KafkaAdminClient
) -> None:
    """Kafka forgets the committed offsets of a deleted topic."""
    rig.target("hook", hook)
    rig.produce(*incident_histories(10))
    worker = rig.worker()
    wait_for("deliveries", lambda: len(hook.taken) >= 10)
    worker.terminate()
    assert worker.wait(60) == 0
    topic = rig.config().topic("alerts")
    admin.delete_topics([topic])
    wait_for("the deletion", lambda: topic not in admin.list_topics())
    wait_for("the creation", lambda: _created(admin, topic))
    records = incident_histories(30)
    rig.produce(*records)
    assert rig.worker("--until-end").wait(60) == 0
    expect_all(hook, records)


def _created(admin: KafkaAdminClient, topic: str) -> bool:
    answer = admin.create_topics([NewTopic(topic, 2, 1)], raise_errors=False)
    return bool(answer["topics"][0]["error_code"] == 0)
