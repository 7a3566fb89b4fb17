"""Sends records once, from a command, and waits until Kafka has acknowledged all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.config.config import Config
from pivotwatch.engine.kafka import sync_client


def send(config: Config, records: Iterable[dict[str, Any]]) -> int:
    """Send records, and return their number after Kafka has acknowledged all of them.

    Parameters
    ----------
    config
        The configuration.
    records
        The arguments of ``KafkaProducer.send``: topic, key, value, headers, partition.

    Raises
    ------
    OutOfReach
        When Kafka did not acknowledge one.
    WrongUse
        When a record cannot be sent at all, such as one for a partition that does not exist.
    """
    producer = KafkaProducer(
        bootstrap_servers=config.bootstrap,
        bootstrap_timeout_ms=sync_client.TIMEOUT_MS,
        acks="all",
        enable_idempotence=True,
        metrics_enabled=False,
        **sync_client.security(config),
    )
    try:
        sent = [_send(producer, record) for record in records]
        for future in sent:
            future.get(timeout=60)
        return len(sent)
    except KafkaError as error:
        raise OutOfReach(f"Kafka did not acknowledge every record: {error}; run the command again") from None
    finally:
        producer.close(timeout=10)


def _send(producer: KafkaProducer, record: dict[str, Any]) -> Any:
    try:
        return producer.send(**record)
    except (TypeError, ValueError, AssertionError) as error:
        raise WrongUse(f"a record cannot be sent to {record['topic']}: {error}") from None
