"""The topics that pivotwatch needs: missing ones are created, existing ones are checked.

Changelogs are among them: a worker creates its own when it first starts, with the same settings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from pivotwatch.config.config import Config, Role
from pivotwatch.config.topic_settings import Logical
from pivotwatch_models.durations import millis

COMPACT, DELETE = "compact", "delete"
FOR_EVER = -1
NEVER_COMPACTED = 2**63 - 1
"""The longest ``min.compaction.lag.ms`` that Kafka knows."""
CHECKED = ("cleanup.policy", "retention.ms", "min.insync.replicas", "min.compaction.lag.ms")
TOPIC_ALREADY_EXISTS = 36
CHANGELOGS: Mapping[Role, Logical] = {"accounts": "requests", "networks": "buckets", "delivery": "alerts"}
"""Roles with a changelog, and the input that has as many partitions."""
SHORT_LOG: Mapping[str, str] = {
    # Only the last checkpoint is needed, and every assignment reads the whole log: keep it short.
    "segment.bytes": str(64 * 2**20),
    "segment.ms": str(10 * 60_000),
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": str(30 * 60_000),
    "delete.retention.ms": str(10 * 60_000),
}
"""Further settings with which a changelog is created; they may be others."""


@dataclasses.dataclass(frozen=True, slots=True)
class TopicSpec:
    """The required form of a topic.

    Attributes
    ----------
    like
        Name of the topic whose number of partitions counts, once it exists, at the creation.
    further
        Settings at the creation that are not checked.
    optional
        Whether it may be missing: a worker creates it.
    exact
        Whether the number of partitions must be this one, because the pipeline depends on it.
    """

    logical: Logical | Role
    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]
    exact: bool = True
    like: str = ""
    further: Mapping[str, str] = dataclasses.field(default_factory=dict)
    optional: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class TopicState:
    """The actual form of a topic."""

    partitions: int
    replication_factor: int
    configs: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check of one topic: ``problem`` is empty when the topic is right."""

    topic: str
    problem: str = ""
    remedy: str = ""
    created: bool = False

    @property
    def ok(self) -> bool:
        """Whether the topic is right."""
        return not self.problem


def specs(config: Config) -> list[TopicSpec]:
    """Every topic of a configuration.

    Examples
    --------
    >>> from pivotwatch.config.config import load
    >>> [(spec.name, spec.partitions, spec.configs["cleanup.policy"]) for spec in specs(load())][:3]
    [('requests', 8, 'delete'), ('requests.dlq', 1, 'delete'), ('buckets', 1, 'delete')]
    """

    def spec(logical: Logical, partitions: int, policy: str, exact: bool = True) -> TopicSpec:
        configs = {"cleanup.policy": policy, "min.insync.replicas": str(config.min_insync_replicas)}
        if policy == DELETE:
            retention = millis(getattr(config.retention, logical))
            configs["retention.ms"] = str(retention or FOR_EVER)
        elif logical == "decisions":  # Compaction would remove who decided before, and who took it back.
            history = millis(config.retention.decisions)
            configs["min.compaction.lag.ms"] = str(history or NEVER_COMPACTED)
        return TopicSpec(
            logical, config.topic(logical), partitions, config.replication_factor, configs, exact
        )

    return [
        spec("requests", config.requests_partitions, DELETE),
        spec("dlq", 1, DELETE, exact=False),
        spec("buckets", 1, DELETE),
        spec("status", 1, COMPACT),
        spec("alerts", 1, DELETE, exact=False),
        spec("deliveries_dlq", 1, DELETE, exact=False),
        spec("releases", 1, COMPACT),
        spec("decisions", 1, COMPACT),
        spec("sessions", 1, DELETE),
        *(changelog(config, role) for role in CHANGELOGS),
    ]


def changelog_name(config: Config, role: Role) -> str:
    """The name of the changelog of a role, as Faust forms it."""
    return f"{config.app_id(role)}-state-changelog"


def changelog_settings(config: Config) -> dict[str, str]:
    """The settings that a changelog must have."""
    return {"cleanup.policy": COMPACT, "min.insync.replicas": str(config.min_insync_replicas)}


def changelog(config: Config, role: Role) -> TopicSpec:
    """The changelog of a role.

    Examples
    --------
    >>> from pivotwatch.config.config import load
    >>> spec = changelog(load(replication_factor=3, min_insync_replicas=2), "accounts")
    >>> spec.name, spec.replication_factor, spec.configs["min.insync.replicas"]
    ('pivotwatch-accounts-state-changelog', 3, '2')
    """
    source = CHANGELOGS[role]
    return TopicSpec(
        role,
        changelog_name(config, role),
        config.requests_partitions if source == "requests" else 1,
        config.replication_factor,
        changelog_settings(config),
        exact=False,
        like=config.topic(source),
        further=SHORT_LOG,
        optional=True,
    )


def create(client: KafkaAdminClient, wanted: Sequence[TopicSpec], brokers: str) -> list[Finding]:
    """Create missing topics, and check all."""
    there = dict(zip([spec.name for spec in wanted], states(client, wanted), strict=True))
    missing = [_sized(spec, there.get(spec.like)) for spec in wanted if there[spec.name] is None]
    refused: dict[str, str] = {}
    if missing:
        request = {
            spec.name: {
                "num_partitions": spec.partitions,
                "replication_factor": spec.replication_factor,
                "configs": {**spec.configs, **spec.further},
            }
            for spec in missing
        }
        # A refused topic must not hide the results of the others.
        for topic in client.create_topics(request, raise_errors=False)["topics"]:
            if topic["error_code"] not in (0, TOPIC_ALREADY_EXISTS):
                refused[topic["name"]] = topic["error_message"] or f"error {topic['error_code']}"
        client.wait_for_topics([spec.name for spec in missing if spec.name not in refused])
    created = {spec.name for spec in missing} - set(refused)
    return [
        Finding(found.topic, f"could not be created: {refused[found.topic]}", "see the broker's log")
        if found.topic in refused
        else dataclasses.replace(found, created=found.topic in created)
        for found in check(client, wanted, brokers)
    ]


def _sized(spec: TopicSpec, like: TopicState | None) -> TopicSpec:
    return spec if like is None else dataclasses.replace(spec, partitions=like.partitions)


def check(client: KafkaAdminClient, wanted: Sequence[TopicSpec], brokers: str) -> list[Finding]:
    """Compare every topic with its required form; each finding says what to change."""
    findings = []
    for spec, state in zip(wanted, states(client, wanted), strict=True):
        problems = differences(spec, state, brokers)
        findings += [Finding(spec.name, problem, remedy) for problem, remedy in problems]
        if not problems:
            findings.append(Finding(spec.name))
    return findings


def states(client: KafkaAdminClient, wanted: Sequence[TopicSpec]) -> list[TopicState | None]:
    """The actual form of each topic; None where it does not exist."""
    described = {topic["name"]: topic for topic in client.describe_topics([spec.name for spec in wanted])}
    there = [spec.name for spec in wanted if described[spec.name]["error_code"] == 0]
    configs = _configs(client, there)
    return [
        _state(described[spec.name], configs[spec.name]) if spec.name in configs else None for spec in wanted
    ]


def differences(spec: TopicSpec, state: TopicState | None, brokers: str) -> list[tuple[str, str]]:
    """Problem and remedy for each difference between a topic and its required form."""
    if state is None:
        return [] if spec.optional else [("does not exist", "pivotwatch topics create")]
    return [*_partition_differences(spec, state, brokers), *_config_differences(spec, state, brokers)]


def _partition_differences(spec: TopicSpec, state: TopicState, brokers: str) -> list[tuple[str, str]]:
    if not spec.exact or state.partitions == spec.partitions:
        return []
    problem = f"has {state.partitions} partitions, expected {spec.partitions}"
    if spec.logical == "requests":
        # More partitions would move accounts to other partitions, away from their counts.
        return [(problem, f"set requests_partitions = {state.partitions} in the configuration")]
    delete = f"kafka-topics.sh --bootstrap-server {brokers} --delete --topic {spec.name}"
    return [(problem, f"stop the workers; {delete}; pivotwatch topics create")]


def _config_differences(spec: TopicSpec, state: TopicState, brokers: str) -> list[tuple[str, str]]:
    found = []
    for key, expected in spec.configs.items():
        actual = state.configs.get(key, "")
        if not _fulfils(key, actual, expected):
            found.append(
                (f"has {key}={actual}, expected {expected}", _alter(spec.name, key, expected, brokers))
            )
    if state.replication_factor < spec.replication_factor:
        problem = f"has {state.replication_factor} replicas, expected {spec.replication_factor}"
        found.append((problem, _more_replicas(spec, brokers)))
    in_sync = int(state.configs.get("min.insync.replicas", "1"))
    if in_sync > state.replication_factor:
        problem = (
            f"has min.insync.replicas={in_sync} but {state.replication_factor} replicas: no write succeeds"
        )
        remedy = _alter(spec.name, "min.insync.replicas", str(state.replication_factor), brokers)
        found.append((problem, remedy))
    return found


def _fulfils(key: str, actual: str, expected: str) -> bool:
    """Whether a setting is right: longer retention and more replicas are, too."""
    if key == "retention.ms":
        return int(actual) == FOR_EVER or FOR_EVER != int(expected) <= int(actual)
    if key in ("min.insync.replicas", "min.compaction.lag.ms"):
        return int(actual or 0) >= int(expected)
    return actual == expected


def _more_replicas(spec: TopicSpec, brokers: str) -> str:
    return (
        f"name {spec.replication_factor} brokers for each partition of {spec.name} in a file, and run "
        f"kafka-reassign-partitions.sh --bootstrap-server {brokers} --reassignment-json-file FILE --execute; "
        f"or set replication_factor to what it has"
    )


def _alter(topic: str, key: str, value: str, brokers: str) -> str:
    return (
        f"kafka-configs.sh --bootstrap-server {brokers} --alter --entity-type topics "
        f"--entity-name {topic} --add-config {key}={value}"
    )


def _configs(client: KafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, list(CHECKED)) for name in names]
    described = client.describe_configs(resources, config_filter="all")["topic"]
    return {name: {key: entry["value"] for key, entry in described[name].items()} for name in names}


def _state(described: Mapping[str, Any], configs: Mapping[str, str]) -> TopicState:
    partitions = described["partitions"]
    return TopicState(len(partitions), min(len(entry["replica_nodes"]) for entry in partitions), configs)
