"""What `pivotwatch doctor` asks of delivery: can every target be made, are its topics there, did any fail?

Nothing is sent; that is what `pivotwatch deliver test` is for.
"""

from __future__ import annotations

from collections.abc import Iterator

from kafka import KafkaConsumer

from pivotwatch.base.checks import Check
from pivotwatch.base.errors import WrongUse
from pivotwatch.config.config import Config
from pivotwatch.delivery.notifiers import make
from pivotwatch.delivery.settings import DeliverySettings, RecordSettings, read_settings
from pivotwatch.engine.kafka import sync_client
from pivotwatch.formats.message import Message


def targets(config: Config) -> Iterator[Check]:
    """Are the settings right, the secrets there, and what a target needs installed?"""
    if not config.delivery:
        return
    try:
        settings = read_settings(config.delivery)
    except WrongUse as fault:
        yield Check(
            "delivery", "fail", str(fault), "correct it; streams/pivotwatch/formats/README.md has the keys"
        )
        return
    for target in settings.targets:
        step = f"`pivotwatch deliver test {target.name}` sends a test alert"
        try:
            make(target, settings.base_url, _publish_nothing)
        except WrongUse as fault:
            yield Check("delivery", "fail", str(fault), f"correct that; then {step}")
        else:
            yield Check("delivery", "ok", f"{target.name} ({target.kind}) is complete", step)
    if not settings.targets:
        step = "add [[delivery.targets]], or do not start the role"
        yield Check("delivery", "warn", "there are no targets: the role delivery does not start", step)
    elif settings.base_url is None:
        step = "set delivery.base_url to the address of the page, as people reach it"
        yield Check("delivery", "warn", "alerts will have no links to the page and the runbook", step)


def topics(config: Config, consumer: KafkaConsumer) -> Iterator[Check]:
    """Are the topics there that alerts go to? Are there dead letters?"""
    there = consumer.topics()
    for target in _settings(config).targets:
        if isinstance(target, RecordSettings) and target.topic is not None and target.topic not in there:
            message = f"{target.name} writes to the topic {target.topic}, which is not there"
            yield Check("delivery", "fail", message, "make it; `pivotwatch topics create` makes only our own")
    dead = config.topic("deliveries_dlq")
    if dead in there:
        partitions = sync_client.partitions_of(consumer, dead)
        begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        if count := sum(ends.values()) - sum(begins.values()):
            yield Check(
                "delivery",
                "warn",
                f"dead letters of deliveries: {count:,}",
                "`pivotwatch dlq list --deliveries` says why",
            )


def _settings(config: Config) -> DeliverySettings:
    try:
        return read_settings(config.delivery)
    except WrongUse:
        return DeliverySettings()  # `targets` has said so.


async def _publish_nothing(topic: str, message: Message) -> None:
    return None
