"""``pivotwatch doctor`` on a real broker."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from pivotwatch.base.checks import Check
from pivotwatch.cli import main
from pivotwatch.config.config import Config, load
from pivotwatch.engine.kafka.topics import create, specs
from pivotwatch.ingest.checks import check_settings
from pivotwatch.tools.doctor import examine
from tests.ingest.samples import EMAIL, KONG
from tests.kafka.conftest import MakeTopic

EVENT = {"id": "r", "ts": 1_770_000_000_000, "account": "a-1", "model": "m-1", "network": "AS64500"}


@pytest.fixture
def config(broker: str, topic_prefix: str) -> Config:
    return load(brokers=broker, topic_prefix=topic_prefix, app_prefix=f"{topic_prefix}app")


def by_name(config: Config) -> dict[str, list[Check]]:
    found: dict[str, list[Check]] = {}
    for check in examine(config):
        found.setdefault(check.name, []).append(check)
    return found


def test_a_broker_without_topics_fails(config: Config) -> None:
    found = by_name(config)
    assert [check.status for check in found["broker"]] == ["ok"]
    assert {check.next_step for check in found["topics"]} == {"pivotwatch topics create"}
    assert "events" not in found


def test_records_in_the_topics_are_checked(admin: KafkaAdminClient, config: Config) -> None:
    create(admin, specs(config), config.brokers)
    requests, releases = config.topic("requests"), config.topic("releases")
    with KafkaProducer(bootstrap_servers=config.brokers, acks="all") as producer:
        for number in range(300):
            producer.send(requests, orjson.dumps({**EVENT, "id": str(number)}), key=b"a-1", partition=2)
        producer.send(requests, b"nonsense", partition=3)
        # In a compacted topic the last value of a key counts.
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
        f"{config.app_id('networks')} has not committed an offset of {config.topic('buckets')} yet",
    ]


def run(config: Config, *arguments: str) -> Result:
    options = ["--brokers", config.brokers, "--set", f"topic_prefix={config.topic_prefix}"]
    return CliRunner().invoke(main, ["doctor", *options, *arguments], catch_exceptions=False)


def test_the_command_fails_and_says_what_to_do_until_it_is_done(
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


def test_delivery_is_checked(
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
        ("ok", "target pager (pagerduty) is complete"),
        (
            "fail",
            (
                "delivery target chat: environment variable NO_SECRET "
                "must hold a secret of at least 16 characters"
            ),
        ),
        ("ok", "target siem (ocsf) is complete"),
        ("warn", "alerts will have no links to the page and the runbook"),
        ("fail", "target siem writes to the topic not-there, which does not exist"),
        ("warn", "dead letters of deliveries: 1"),
    ]
    bad = by_name(load(**base, delivery={"targets": "x", "bas_url": "y"}))["delivery"]
    assert [check.status for check in bad] == ["fail", "warn"]
    assert "did you mean base_url?" in bad[0].message
    # Without targets, only dead letters are reported.
    assert [check.status for check in by_name(config)["delivery"]] == ["warn"]


def test_ingest_is_checked(admin: KafkaAdminClient, config: Config, make_topic: MakeTopic) -> None:
    create(admin, specs(config), config.brokers)
    good, wrong = make_topic("kong-log", 2), make_topic("otlp")
    with KafkaProducer(bootstrap_servers=config.brokers, acks="all") as producer:
        for number in range(20):
            producer.send(good, orjson.dumps(KONG), partition=number % 2)
        producer.send(good, orjson.dumps({**KONG, "ai": {}}), partition=0)
        producer.send(
            good, orjson.dumps({**KONG, "consumer": EMAIL, "authenticated_entity": None}), partition=0
        )
        producer.send(wrong, orjson.dumps(KONG))
        producer.flush()
    topics = [
        {"name": good, "source": "kong"},
        {"name": wrong, "source": "otlp_json"},
        {"name": "nowhere", "source": "kong"},
    ]
    checks = by_name(config.model_copy(update={"ingest": {"topics": topics}}))
    settings, *samples = checks["ingest"]
    assert (settings.status, settings.message) == (
        "ok",
        "the mappings, keys and databases of kong, otlp_json can be read",
    )
    assert [check.status for check in samples] == ["warn", "fail", "fail"]
    assert samples[0].message.endswith("20 events, 1 no requests or repeats, 1 unreadable")
    assert "nothing at /consumer/id" in samples[0].next_step
    assert "not OTLP traces: no resourceSpans" in samples[1].next_step
    assert EMAIL not in repr(checks)
    assert "the topic nowhere, which does not exist" in samples[2].message
    lags = [check.message for check in checks["lag"]]
    assert f"{config.app_id('ingest')} has not committed an offset of {good} yet" in lags


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"topics": [{"name": "log", "source": "kongg"}]}, "no source kongg; did you mean kong?"),
        ({"http": {"port": 1, "token_env": "NOT_SET"}}, "environment variable NOT_SET must hold a secret"),
        ({"http": {"port": 1}}, "allow_without_token = true"),
        ({"asn_database": "/nowhere/asn.mmdb"}, "No such file"),
        ({"trusted_hops": 1}, "neither topics nor http"),
        ({"sorce": 1}, "no such key"),
    ],
)
def test_an_invalid_ingest_configuration_fails(table: dict[str, object], told: str) -> None:
    [check] = check_settings(load(ingest=table))
    assert check.status == "fail"
    assert told in check.message
    assert check.next_step


def test_an_open_port_and_classes_of_pseudonyms_cause_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A", "a secret of the tests")
    pseudonyms = {"fields": ["network"], "keys": [{"id": "k1", "secret_env": "A"}]}
    table = {"http": {"port": 1, "host": "0.0.0.0", "token_env": "A"}, "pseudonyms": pseudonyms}
    told = list(check_settings(load(ingest=table, network_classes=tmp_path / "list")))
    assert [check.status for check in told] == ["ok", "warn", "warn"]
    assert "without encryption" in told[1].message
    open_table = {"http": {"port": 1, "allow_without_token": True}}
    told = list(check_settings(load(ingest=open_table)))
    assert [check.status for check in told] == ["ok", "warn"]
    assert "allow_without_token" in told[1].message
    assert list(check_settings(load())) == []
