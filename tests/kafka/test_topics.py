"""``pivotwatch topics`` on a real broker: create, check, and follow the advice."""

from __future__ import annotations

import orjson
import pytest
from click.testing import CliRunner, Result
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from pivotwatch.cli import main
from pivotwatch.config.config import Config, load
from pivotwatch.engine.kafka.topics import (
    CHANGELOGS,
    Finding,
    TopicSpec,
    TopicState,
    changelog_name,
    check,
    create,
    differences,
    specs,
)
from tests.kafka.conftest import MakeTopic


@pytest.fixture
def config(broker: str, topic_prefix: str) -> Config:
    return load(
        brokers=broker, topic_prefix=topic_prefix, app_prefix=topic_prefix + "pw", requests_partitions=3
    )


def problems(findings: list[Finding], config: Config) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for finding in findings:
        if not finding.ok:
            name = finding.topic.removeprefix(config.topic_prefix)
            found.setdefault(name, []).append((finding.problem, finding.remedy))
    return found


def test_created_topics_pass_the_check(admin: KafkaAdminClient, config: Config) -> None:
    wanted = specs(config)
    missing = problems(check(admin, wanted, config.brokers), config)
    assert set(missing) == {
        "requests",
        "requests.dlq",
        "buckets",
        "status",
        "alerts",
        "deliveries.dlq",
        "releases",
        "decisions",
        "sessions",
    }
    assert missing["alerts"] == [("does not exist", "pivotwatch topics create")]
    first = create(admin, wanted, config.brokers)
    assert all(finding.ok and finding.created for finding in first)
    again = create(admin, wanted, config.brokers)
    assert all(finding.ok and not finding.created for finding in again)
    described = admin.describe_topics([config.topic("requests"), config.topic("buckets")])
    assert sorted(len(topic["partitions"]) for topic in described) == [1, 3]


def test_changelogs_are_created_with_the_configured_safety_and_checked(
    admin: KafkaAdminClient, config: Config
) -> None:
    (name, *_) = [changelog_name(config, role) for role in CHANGELOGS]
    assert [found.ok for found in check(admin, specs(config), config.brokers) if found.topic == name] == [
        True
    ]
    create(admin, specs(config), config.brokers)
    (described,) = admin.describe_topics([name])
    assert len(described["partitions"]) == 3
    safer = config.model_copy(update={"replication_factor": 3, "min_insync_replicas": 2})
    found = [one for one in check(admin, specs(safer), safer.brokers) if one.topic == name]
    assert [one.problem for one in found] == [
        "has min.insync.replicas=1, expected 2",
        "has 1 replicas, expected 3",
    ]
    assert f"--entity-name {name} --add-config min.insync.replicas=2" in found[0].remedy
    assert "kafka-reassign-partitions.sh" in found[1].remedy


def test_every_mismatch_says_what_to_change(
    admin: KafkaAdminClient, config: Config, make_topic: MakeTopic
) -> None:
    make_topic("requests", partitions=2, retention_ms="1000")
    make_topic("status", cleanup_policy="delete")
    make_topic("buckets", partitions=2)
    create(admin, specs(config), config.brokers)
    found = problems(check(admin, specs(config), config.brokers), config)
    start = (
        f"kafka-configs.sh --bootstrap-server {config.brokers} --alter --entity-type topics --entity-name "
    )
    prefix = config.topic_prefix
    assert found["requests"] == [
        ("has 2 partitions, expected 3", "set requests_partitions = 2 in the configuration"),
        (
            "has retention.ms=1000, expected 6048000000",
            f"{start}{prefix}requests --add-config retention.ms=6048000000",
        ),
    ]
    assert found["status"] == [
        (
            "has cleanup.policy=delete, expected compact",
            f"{start}{prefix}status --add-config cleanup.policy=compact",
        )
    ]
    [(problem, remedy)] = found["buckets"]
    assert problem == "has 2 partitions, expected 1"
    assert f"--delete --topic {prefix}buckets; pivotwatch topics create" in remedy

    # After the advice is followed, no problem remains.
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, prefix + "requests", {"retention.ms": "6048000000"}),
        ConfigResource(ConfigResourceType.TOPIC, prefix + "status", {"cleanup.policy": "compact"}),
    ]
    admin.alter_configs(resources)
    told = load(brokers=config.brokers, topic_prefix=prefix, requests_partitions=2)
    left = problems(check(admin, specs(told), told.brokers), told)
    assert set(left) == {"buckets"}


def test_a_topic_that_cannot_be_created_does_not_stop_the_others(
    admin: KafkaAdminClient, config: Config
) -> None:
    wanted = specs(load(**config.model_dump(exclude={"replication_factor"}), replication_factor=9))
    mixed = [*wanted[:1], *specs(config)[1:]]
    found = create(admin, mixed, config.brokers)
    assert "could not be created" in found[0].problem
    assert all(finding.created for finding in found[1:])


@pytest.mark.parametrize(
    ("configs", "replicas", "expected"),
    [
        ({"retention.ms": "-1"}, 1, []),
        ({"retention.ms": "999"}, 1, ["has retention.ms=999, expected 1000"]),
        ({"min.insync.replicas": "3"}, 3, []),
        ({"min.insync.replicas": "3"}, 2, ["has min.insync.replicas=3 but 2 replicas: no write succeeds"]),
        ({"min.insync.replicas": "1"}, 3, ["has min.insync.replicas=1, expected 2"]),
        ({"cleanup.policy": "compact,delete"}, 3, ["has cleanup.policy=compact,delete, expected delete"]),
    ],
)
def test_a_topic_may_be_safer_than_required(
    configs: dict[str, str], replicas: int, expected: list[str]
) -> None:
    wanted = {"cleanup.policy": "delete", "retention.ms": "1000", "min.insync.replicas": "2"}
    spec = TopicSpec("alerts", "alerts", 1, 1, {key: wanted[key] for key in configs})
    actual = {"cleanup.policy": "delete", "retention.ms": "1000", "min.insync.replicas": "1", **configs}
    found = differences(spec, TopicState(4, replicas, actual), "b:1")
    assert [problem for problem, _ in found if "partitions" not in problem] == expected


def run(config: Config, *arguments: str) -> Result:
    options = ["--brokers", config.brokers, "--set", f"topic_prefix={config.topic_prefix}"]
    options += ["--set", f"app_prefix={config.app_prefix}"]
    return CliRunner().invoke(main, [*arguments, *options], catch_exceptions=False)


def test_the_command(config: Config) -> None:
    before = run(config, "topics", "check")
    assert (before.exit_code, before.stdout.count("→ pivotwatch topics create")) == (1, 9)
    created = run(config, "topics", "create")
    assert (created.exit_code, created.stdout.count(": created")) == (0, 12)
    after = run(config, "topics", "check", "--json")
    assert after.exit_code == 0
    assert all(entry["ok"] for entry in orjson.loads(after.stdout))
