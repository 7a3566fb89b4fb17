"""The checks of delivery for `pivotwatch doctor`: settings, secrets, topics and dead letters.

They send nothing; `pivotwatch deliver test` does.
"""

from __future__ import annotations

from collections.abc import Iterator

from kafka import KafkaConsumer

from pivotwatch.base.checks import Check
from pivotwatch.base.errors import WrongUse
from pivotwatch.config.config import Config
from pivotwatch.delivery.notifiers import make_notifier
from pivotwatch.delivery.settings import DeliverySettings, RecordSettings, read_settings
from pivotwatch.engine.kafka import sync_client
from pivotwatch.formats.message import Message


def check_targets(config: Config) -> Iterator[Check]:
    """Check the settings, secrets and libraries of every target."""
    if not config.delivery:
        return
    try:
        settings = read_settings(config.delivery)
    except WrongUse as fault:
        yield Check(
            "delivery", "fail", str(fault), "correct it; streams/pivotwatch/formats/README.md lists the keys"
        )
        return
    for target in settings.targets:
        step = f"`pivotwatch deliver test {target.name}` sends a test alert"
        try:
            make_notifier(target, settings.base_url, _publish_nothing)
        except WrongUse as fault:
            yield Check("delivery", "fail", str(fault), f"correct it; then {step}")
        else:
            yield Check("delivery", "ok", f"target {target.name} ({target.kind}) is complete", step)
    if not settings.targets:
        step = "add [[delivery.targets]], or do not start the role delivery"
        yield Check("delivery", "warn", "there are no targets, so the role delivery does not start", step)
    elif settings.base_url is None:
        step = "set delivery.base_url to the URL of the page, as people reach it"
        yield Check("delivery", "warn", "alerts will have no links to the page and the runbook", step)


def check_topics(config: Config, consumer: KafkaConsumer) -> Iterator[Check]:
    """Check that the topics of targets exist, and report dead letters."""
    existing = consumer.topics()
    for target in _settings(config).targets:
        if isinstance(target, RecordSettings) and target.topic is not None and target.topic not in existing:
            message = f"target {target.name} writes to the topic {target.topic}, which does not exist"
            yield Check(
                "delivery", "fail", message, "create it; `pivotwatch topics create` creates only own topics"
            )
    dead = config.topic("deliveries_dlq")
    if dead in existing:
        partitions = sync_client.partitions_of(consumer, dead)
        begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        if count := sum(ends.values()) - sum(begins.values()):
            yield Check(
                "delivery",
                "warn",
                f"dead letters of deliveries: {count:,}",
                "`pivotwatch dlq list --deliveries` lists the reasons",
            )


def _settings(config: Config) -> DeliverySettings:
    try:
        return read_settings(config.delivery)
    except WrongUse:
        return DeliverySettings()  # `check_targets` has reported it.


async def _publish_nothing(topic: str, message: Message) -> None:
    return None
