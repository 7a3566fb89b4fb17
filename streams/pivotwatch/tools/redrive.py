"""Reading dead letters and sending them again.

A dead letter has the key, the value and the headers of the record that could not be read, and
headers of ours that say where it came from and what is wrong (`pivotwatch.contracts.dead_letters`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import get_args

from kafka import KafkaProducer
from kafka.errors import KafkaError

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.config.config import Config, Logical
from pivotwatch.contracts.dead_letters import DeadLetter, parse_dead_letter
from pivotwatch.engine.kafka import sync_client

logger = logging.getLogger(__name__)


def letters(config: Config, topic: Logical = "dlq") -> Iterator[DeadLetter]:
    """All that are there now; those of events, or of ``deliveries_dlq``."""
    with sync_client.consumer(config, isolation_level="read_committed") as client:
        for record in sync_client.records(client, [config.topic(topic)], from_beginning=True, until_end=True):
            try:
                yield parse_dead_letter(record)
            except WrongUse as fault:
                logger.warning("%d:%d is left out: %s", record.partition, record.offset, fault)


def redrive(config: Config, chosen: Iterable[DeadLetter]) -> int:
    """Send letters to the topics they came from, with the key, value and headers they had.

    Returns how many; all of them are on the broker then.

    Raises
    ------
    OutOfReach
        When one was not acknowledged.
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
        sent = [
            producer.send(
                _topic(config, letter.about.topic or ""),
                value=letter.value,
                key=letter.key,
                headers=list(letter.headers),
                partition=_partition(letter),
            )
            for letter in chosen
        ]
        for future in sent:
            future.get(timeout=60)
        return len(sent)
    except KafkaError as error:
        raise OutOfReach(f"not everything was sent: {error}") from None
    finally:
        producer.close(timeout=10)


def _topic(config: Config, told: str) -> str:
    """The steps know topics by their logical names; a foreign topic is told by its full one."""
    return config.topic(told) if told in get_args(Logical) else told  # type: ignore[arg-type]


def _partition(letter: DeadLetter) -> int | None:
    """Back to its partition when there is no key to find it by."""
    partition = letter.about.partition
    return int(partition) if letter.key is None and partition else None
