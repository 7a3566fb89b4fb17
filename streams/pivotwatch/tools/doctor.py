"""Looks at configuration, broker and data, and says what is wrong and what to do.

The checks build on one another: what needs a broker is left out when none answers, and the
first failed check is the one to mend first.
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
from pivotwatch.config.config import Config, Logical, keys
from pivotwatch.config.problems import unknown_in_environment
from pivotwatch.delivery import checks as delivery_checks
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.topics import check, specs
from pivotwatch.ingest import checks as traffic
from pivotwatch.ingest.settings import read_settings
from pivotwatch.tools.sample_checks import Sample, SampleRecord, judge_calendar, judge_events, judge_lag
from pivotwatch_models.fingerprint import decision_fingerprint

SAMPLE = 200
OLDEST_BROKER = (2, 4)
# Set for the command line itself; no key of the configuration.
NOT_KEYS = {"config"}

NO_GROUP = "Dead"  # what Kafka calls one that is not there

# The topics whose lag shows that a role does its work.
READS: dict[str, Logical] = {"accounts": "requests", "networks": "buckets", "delivery": "alerts"}


def examine(config: Config) -> Iterator[Check]:
    """Every check, in an order in which the first failure is the one to mend."""
    yield from _configuration(config)
    yield from delivery_checks.targets(config)
    yield from traffic.judge_settings(config)
    try:
        with sync_client.admin(config) as admin, sync_client.consumer(config) as consumer:
            yield from _broker(config, admin, consumer)
            yield from _topics(config, admin)
            yield from _traffic(config, consumer)
            yield from _data(config, consumer)
            yield from _lags(config, admin, consumer)
            yield from delivery_checks.topics(config, consumer)
    except OutOfReach as fault:
        yield Check("broker", "fail", str(fault), "start Kafka (`make demo` brings its own) or set brokers")


def _configuration(config: Config) -> Iterator[Check]:
    yield Check(
        "configuration",
        "ok",
        f"can be read; its results have the fingerprint {decision_fingerprint(config.settings)}",
    )
    for name, meant in unknown_in_environment(set(keys()) | NOT_KEYS):
        step = f"did you mean PIVOTWATCH_{meant.upper()}?" if meant else "take it away"
        yield Check("configuration", "warn", f"{name} is set, but nothing reads it", step)
    if config.retention.requests and config.retention.requests < config.watch:
        message = "requests are kept for less than a watch"
        yield Check(
            "configuration", "warn", message, "set retention.requests to more than watch, for a rebuild"
        )


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
            "broker", "warn", f"{message}; but replication_factor is 1: one lost broker loses data", step
        )
    else:
        yield Check("broker", "ok", message)


def _topics(config: Config, admin: KafkaAdminClient) -> Iterator[Check]:
    findings = check(admin, specs(config), config.brokers)
    for finding in findings:
        if not finding.ok:
            yield Check("topics", "fail", f"{finding.topic} {finding.problem}", finding.remedy)
    if all(finding.ok for finding in findings):
        yield Check("topics", "ok", f"all {len(findings)} are there and as they should be")


def _traffic(config: Config, consumer: KafkaConsumer) -> Iterator[Check]:
    """What lies in the topics of others."""
    try:
        settings = read_settings(config.ingest)
        decoders = traffic.usable(settings)
    except Fault:
        return  # Said already.
    there = consumer.topics()
    for topic in settings.topics:
        if topic.name in there:
            values = [record.value for record in _records(consumer, topic.name, SAMPLE)]
            yield traffic.judge_sample(topic.name, decoders[topic.source], values)
        else:
            message = f"there is no topic {topic.name}, which [ingest] topics names"
            yield Check(traffic.NAME, "fail", message, "create it, or let the gateway do so")


def _data(config: Config, consumer: KafkaConsumer) -> Iterator[Check]:
    there = consumer.topics()
    now = datetime.now(UTC)
    sample = Sample([])
    if config.topic("requests") in there:
        sample = Sample(_records(consumer, config.topic("requests"), SAMPLE))
        yield from judge_events(sample, now)
    if config.topic("releases") in there:
        latest: dict[bytes | None, bytes | None] = {}
        for record in _records(consumer, config.topic("releases"), None):
            latest[record.key] = record.value
        yield from judge_calendar(filter(None, latest.values()), sample.models, now)


def _lags(config: Config, admin: KafkaAdminClient, consumer: KafkaConsumer) -> Iterator[Check]:
    there = consumer.topics()
    # A broker that never had a group has no coordinator to ask for one.
    groups = {group["group_id"] for group in admin.list_groups()}
    for role, topic in _reads(config):
        group = config.app_id(role)
        if topic not in there:
            continue
        ends = consumer.end_offsets(sync_client.partitions_of(consumer, topic))
        known = group in groups
        state = admin.describe_groups([group])[group]["group_state"] if known else NO_GROUP
        offsets = admin.list_group_offsets([group]).get(group, {}) if known else {}
        committed = {at.partition: mark.offset for at, mark in offsets.items() if at.topic == topic}
        yield judge_lag(group, topic, committed, {at.partition: end for at, end in ends.items()}, state)


def _reads(config: Config) -> Iterator[tuple[str, str]]:
    """Roles that have work to do, and the topics that they read."""
    with contextlib.suppress(Fault):  # Said already.
        for topic in read_settings(config.ingest).topics:
            yield "ingest", topic.name
    for role, logical in READS.items():
        if role != "delivery" or config.delivery:
            yield role, config.topic(logical)


def _records(consumer: KafkaConsumer, topic: str, last: int | None) -> Iterator[SampleRecord]:
    """The last records of each partition (all with None)."""
    partitions = sync_client.partitions_of(consumer, topic)
    consumer.assign(partitions)
    begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    for partition in partitions:
        start = begins[partition] if last is None else max(begins[partition], ends[partition] - last)
        consumer.seek(partition, start)
    deadline = time.monotonic() + sync_client.TIMEOUT_MS / 1000
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        if time.monotonic() > deadline:
            raise OutOfReach(f"topic {topic} can be seen but not read: has every partition a leader?")
        for partition, records in consumer.poll(timeout_ms=sync_client.POLL_MS).items():
            # Records come: a long topic is not a stalled one.
            deadline = time.monotonic() + sync_client.TIMEOUT_MS / 1000
            for record in records:
                when = datetime.fromtimestamp(record.timestamp / 1000, UTC)
                yield SampleRecord(partition.partition, record.key, record.value, when)
