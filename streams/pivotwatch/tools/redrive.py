"""Reads dead letters, and sends those of events again.

A dead letter has the key, the value and the headers of the record that could not be read. Further
headers hold its origin and the error (`pivotwatch.contracts.dead_letters`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import get_args

from pivotwatch.base.errors import WrongUse
from pivotwatch.config.config import Config
from pivotwatch.config.topic_settings import Logical
from pivotwatch.contracts.dead_letters import DeadLetter, parse_dead_letter
from pivotwatch.engine.kafka import sync_client
from pivotwatch.tools.acknowledged_send import send

logger = logging.getLogger(__name__)


def read_dead_letters(config: Config, topic: Logical = "dlq") -> Iterator[DeadLetter]:
    """All dead letters that are now in a topic: ``dlq`` (events) or ``deliveries_dlq`` (deliveries)."""
    with sync_client.consumer(config, isolation_level="read_committed") as client:
        for record in sync_client.records(client, [config.topic(topic)], from_beginning=True, until_end=True):
            try:
                yield parse_dead_letter(record)
            except WrongUse as fault:
                logger.warning("skipped %d:%d: %s", record.partition, record.offset, fault)


def redrive(config: Config, dead_letters: Iterable[DeadLetter]) -> int:
    """Send dead letters to their original topics, with their original key, value and headers.

    A header without a value becomes an empty one, since the client library sends no other.

    Returns the number of dead letters, after Kafka has acknowledged all of them.

    Raises
    ------
    OutOfReach
        When Kafka did not acknowledge one.
    """
    return send(
        config,
        (
            {
                "topic": _topic(config, letter.about.topic or ""),
                "value": letter.value,
                "key": letter.key,
                "headers": [(name, content or b"") for name, content in letter.headers],
                "partition": _partition(letter),
            }
            for letter in dead_letters
        ),
    )


def _topic(config: Config, name: str) -> str:
    """The full name of a topic. A header holds the logical name of an own topic, else the full name."""
    return config.topic(name) if name in get_args(Logical) else name  # type: ignore[arg-type]


def _partition(letter: DeadLetter) -> int | None:
    """The original partition of a record without a key; a key determines the partition by itself."""
    partition = letter.about.partition
    return int(partition) if letter.key is None and partition else None
