"""Checks of the configuration, the broker and the data, with the next step for each problem.

The checks build on one another: correct the first failed check first. Without a broker the checks that
need one are omitted.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from kafka import KafkaConsumer
from kafka.admin import KafkaAdminClient

from pivotwatch.base.checks import Check
from pivotwatch.base.errors import Fault, OutOfReach
from pivotwatch.config.config import Config, keys
from pivotwatch.config.problems import unknown_in_environment
from pivotwatch.config.secret_files import is_readable_by_all, secret_files
from pivotwatch.config.topic_settings import Logical
from pivotwatch.contracts.codec import moment_of, within_calendar
from pivotwatch.delivery import checks as delivery_checks
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.topics import check, specs
from pivotwatch.ingest import checks as ingest_checks
from pivotwatch.ingest.settings import read_settings
from pivotwatch.tools.sample_checks import Sample, SampleRecord, check_calendar, check_events, check_lag
from pivotwatch.web import checks as web_checks
from pivotwatch_models.fingerprint import decision_fingerprint

SAMPLE_RECORDS = 200
"""Records per partition that the checks read."""
OLDEST_BROKER = (2, 4)
# PIVOTWATCH_CONFIG is read by the command line and is not a key of the configuration.
NOT_KEYS = {"config"}

NO_GROUP = "Dead"
"""The state that Kafka reports for a group that does not exist."""

# The topics that the roles read.
SOURCES: dict[str, Logical] = {"accounts": "requests", "networks": "buckets", "delivery": "alerts"}


def examine(config: Config) -> Iterator[Check]:
    """Run every check. The first failed check is the first one to correct."""
    yield from examine_settings(config)
    try:
        with sync_client.admin(config) as admin, sync_client.consumer(config) as consumer:
            yield from _broker(config, admin, consumer)
            yield from _topics(config, admin)
            yield from _source_topics(config, consumer)
            yield from _data(config, consumer)
            yield from _lags(config, admin, consumer)
            yield from delivery_checks.check_topics(config, consumer)
    except OutOfReach as fault:
        yield Check("broker", "fail", str(fault), "start Kafka (`make demo` starts its own), or set brokers")


def examine_settings(config: Config) -> Iterator[Check]:
    """Run the checks that need no broker: every table, and the files that it names."""
    yield from _configuration(config)
    yield from delivery_checks.check_targets(config)
    yield from ingest_checks.check_settings(config)
    yield from web_checks.check_settings(config)


def _configuration(config: Config) -> Iterator[Check]:
    yield Check(
        "configuration",
        "ok",
        f"is valid; the fingerprint of its results is {decision_fingerprint(config.settings)}",
    )
    for name, meant in unknown_in_environment(set(keys()) | NOT_KEYS):
        step = f"did you mean PIVOTWATCH_{meant.upper()}?" if meant else "unset it"
        yield Check("configuration", "warn", f"{name} is set, but no key has this name", step)
    if config.retention.requests and config.retention.requests < config.watch:
        message = "Kafka keeps requests for less time than a watch, so the state cannot be rebuilt from them"
        yield Check("configuration", "warn", message, "set retention.requests to more than watch")
    for key, path in secret_files(config):
        if is_readable_by_all(path):
            yield Check("configuration", "warn", f"{key}: every user can read {path}", f"chmod 600 {path}")


def _broker(config: Config, admin: KafkaAdminClient, consumer: KafkaConsumer) -> Iterator[Check]:
    nodes = len(admin.describe_cluster()["brokers"])
    version = tuple(consumer.config["api_version"])
    shown = ".".join(map(str, version))
    message = f"{config.brokers} answers: Kafka {shown} or newer, {nodes} broker{'s' if nodes != 1 else ''}"
    if version < OLDEST_BROKER:
        yield Check("broker", "fail", message, "pivotwatch needs Kafka 2.4 or newer")
    elif nodes > 1 and config.replication_factor == 1:
        step = "set replication_factor = 3 and min_insync_replicas = 2"
        yield Check(
            "broker", "warn", f"{message}; replication_factor is 1, so the loss of a broker loses data", step
        )
    else:
        yield Check("broker", "ok", message)


def _topics(config: Config, admin: KafkaAdminClient) -> Iterator[Check]:
    findings = check(admin, specs(config), config.brokers)
    for finding in findings:
        if not finding.ok:
            yield Check("topics", "fail", f"{finding.topic} {finding.problem}", finding.remedy)
    if all(finding.ok for finding in findings):
        yield Check("topics", "ok", f"all {len(findings)} topics exist and have the right settings")


def _source_topics(config: Config, consumer: KafkaConsumer) -> Iterator[Check]:
    """Check samples of the source topics that ``[ingest]`` names."""
    try:
        settings = read_settings(config.ingest)
        decoders = ingest_checks.used_decoders(settings)
    except Fault:
        return  # `ingest_checks.check_settings` has reported it.
    existing = consumer.topics()
    for topic in settings.topics:
        if topic.name in existing:
            values = [record.value for record in _records(consumer, topic.name, SAMPLE_RECORDS)]
            yield ingest_checks.check_sample(topic.name, decoders[topic.source], values)
        else:
            message = f"[ingest] topics names the topic {topic.name}, which does not exist"
            yield Check(ingest_checks.NAME, "fail", message, "create the topic, or let the gateway create it")


def _data(config: Config, consumer: KafkaConsumer) -> Iterator[Check]:
    existing = consumer.topics()
    now = datetime.now(UTC)
    sample = Sample([])
    if config.topic("requests") in existing:
        sample = Sample(_records(consumer, config.topic("requests"), SAMPLE_RECORDS))
        yield from check_events(sample, now)
    if config.topic("releases") in existing:
        latest: dict[bytes | None, bytes | None] = {}
        for record in _records(consumer, config.topic("releases"), None):
            latest[record.key] = record.value
        yield from check_calendar(filter(None, latest.values()), sample.models, now)


def _lags(config: Config, admin: KafkaAdminClient, consumer: KafkaConsumer) -> Iterator[Check]:
    existing = consumer.topics()
    # A broker that never had a group has no coordinator that could describe one.
    groups = {group["group_id"] for group in admin.list_groups()}
    for role, topic in _active_roles(config):
        group = config.app_id(role)
        if topic not in existing:
            continue
        ends = consumer.end_offsets(sync_client.partitions_of(consumer, topic))
        known = group in groups
        state = admin.describe_groups([group])[group]["group_state"] if known else NO_GROUP
        offsets = admin.list_group_offsets([group]).get(group, {}) if known else {}
        committed = {tp.partition: entry.offset for tp, entry in offsets.items() if tp.topic == topic}
        yield check_lag(group, topic, committed, {tp.partition: end for tp, end in ends.items()}, state)


def _active_roles(config: Config) -> Iterator[tuple[str, str]]:
    """The roles that the configuration uses, each with a topic that it reads."""
    with contextlib.suppress(Fault):  # `ingest_checks.check_settings` has reported it.
        for topic in read_settings(config.ingest).topics:
            yield "ingest", topic.name
    for role, logical in SOURCES.items():
        if role != "delivery" or config.delivery:
            yield role, config.topic(logical)


def _records(consumer: KafkaConsumer, topic: str, last: int | None) -> Iterator[SampleRecord]:
    """The last records of each partition, or all records when ``last`` is None."""
    partitions = sync_client.partitions_of(consumer, topic)
    consumer.assign(partitions)
    begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    for partition in partitions:
        start = begins[partition] if last is None else max(begins[partition], ends[partition] - last)
        consumer.seek(partition, start)
    deadline = time.monotonic() + sync_client.TIMEOUT_MS / 1000
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        if time.monotonic() > deadline:
            raise OutOfReach(
                f"topic {topic} exists but cannot be read: check that every partition has a leader"
            )
        for partition, records in consumer.poll(timeout_ms=sync_client.POLL_MS).items():
            # A long topic may take longer than the time-out, as long as records arrive.
            deadline = time.monotonic() + sync_client.TIMEOUT_MS / 1000
            for record in records:
                when = moment_of(within_calendar(record.timestamp))
                yield SampleRecord(partition.partition, record.key, record.value, when)
