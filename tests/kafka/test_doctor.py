"""The doctor before a real broker."""

from __future__ import annotations

import orjson
import pytest
from click.testing import CliRunner, Result
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from streams.cli import main
from streams.config import Config, load
from streams.diagnosis import Check
from streams.doctor import examine
from streams.topics import create, specs

EVENT = {"id": "r", "ts": 1_770_000_000_000, "account": "a-1", "model": "m-1", "network": "AS64500"}


@pytest.fixture
def config(broker: str, topic_prefix: str) -> Config:
    return load(brokers=broker, topic_prefix=topic_prefix, app_prefix=f"{topic_prefix}app")


def by_name(config: Config) -> dict[str, list[Check]]:
    found: dict[str, list[Check]] = {}
    for check in examine(config):
        found.setdefault(check.name, []).append(check)
    return found


def test_a_bare_broker_needs_topics(config: Config) -> None:
    found = by_name(config)
    assert [check.status for check in found["broker"]] == ["ok"]
    assert {check.next_step for check in found["topics"]} == {"pivotwatch topics create"}
    assert "events" not in found


def test_what_lies_in_the_topics_is_judged(admin: KafkaAdminClient, config: Config) -> None:
    create(admin, specs(config), config.brokers)
    requests, releases = config.topic("requests"), config.topic("releases")
    with KafkaProducer(bootstrap_servers=config.brokers, acks="all") as producer:
        for number in range(300):
            producer.send(requests, orjson.dumps({**EVENT, "id": str(number)}), key=b"a-1", partition=2)
        producer.send(requests, b"nonsense", partition=3)
        # Of a key the last value counts.
        producer.send(releases, b"nonsense", key=b"m-9")
        entry = b'{"model": "m-9", "released_at": "2026-02-05T18:00:00Z"}'
        producer.send(releases, entry, key=b"m-9")
        producer.flush()
    group = config.app_id("accounts")
    place = TopicPartition(requests, 2)
    with KafkaConsumer(
        bootstrap_servers=config.brokers, group_id=group, enable_auto_commit=False
    ) as consumer:
        consumer.assign([place])
        consumer.commit({place: OffsetAndMetadata(290, "", -1)})

    found = by_name(config)
    assert [check.status for check in found["topics"]] == ["ok"]
    assert [check.message for check in found["events"]] == ["200 of the last 201 events can be read"]
    assert [check.status for check in found["keys"]] == ["ok"]
    assert [check.message for check in found["calendar"]] == [
        "m-9 is in the calendar, but in no event of the sample; did you mean m-1?"
    ]
    lags = [check.message for check in found["lag"]]
    assert lags == [
        f"{group} is 11 records behind on {requests}, and no worker of it runs",
        f"{config.app_id('networks')} has not committed anything on {config.topic('buckets')} yet",
    ]


def run(config: Config, *arguments: str) -> Result:
    options = ["--brokers", config.brokers, "--set", f"topic_prefix={config.topic_prefix}"]
    return CliRunner().invoke(main, ["doctor", *options, *arguments], catch_exceptions=False)


def test_the_command_says_what_to_do_and_fails_until_it_is_done(
    admin: KafkaAdminClient, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIVOTWATCH_MIN_MEMBER", "9")
    before = run(config)
    assert before.exit_code == 1
    assert "→ pivotwatch topics create" in before.stdout
    assert "did you mean PIVOTWATCH_MIN_MEMBERS?" in before.stdout
    create(admin, specs(config), config.brokers)
    after = run(config, "--json")
    assert after.exit_code == 0
    assert {check["status"] for check in orjson.loads(after.stdout)} == {"ok", "warn"}


def test_delivery_is_looked_at(
    admin: KafkaAdminClient, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(admin, specs(config), config.brokers)
    with KafkaProducer(bootstrap_servers=config.brokers, acks="all") as producer:
        producer.send(config.topic("deliveries_dlq"), b"{}")
        producer.flush()
    monkeypatch.setenv("GOOD_SECRET", "routing-key-of-the-tests")
    targets = [
        {"name": "pager", "kind": "pagerduty", "secret_env": "GOOD_SECRET"},
        {"name": "chat", "kind": "slack", "secret_env": "NO_SECRET"},
        {"name": "siem", "kind": "ocsf", "topic": "not-there"},
    ]
    base = config.model_dump(include={"brokers", "topic_prefix", "app_prefix"})
    found = by_name(load(**base, delivery={"targets": targets}))["delivery"]
    assert [(check.status, check.message) for check in found] == [
        ("ok", "pager (pagerduty) is complete"),
        ("fail", "delivery target chat: the variable NO_SECRET holds no secret of at least 16 characters"),
        ("ok", "siem (ocsf) is complete"),
        ("warn", "alerts will have no links to the page and the runbook"),
        ("fail", "siem writes to the topic not-there, which is not there"),
        ("warn", "dead letters of deliveries: 1"),
    ]
    bad = by_name(load(**base, delivery={"targets": "x", "bas_url": "y"}))["delivery"]
    assert [check.status for check in bad] == ["fail", "warn"]
    assert "did you mean base_url?" in bad[0].message
    # Without any targets only the dead letters are news.
    assert [check.status for check in by_name(config)["delivery"]] == ["warn"]
