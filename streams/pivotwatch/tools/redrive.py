"""Reading dead letters and sending them again.

A dead letter has the key, the value and the headers of the record that could not be read, and
headers of ours that say where it came from and what is wrong (`pivotwatch.contracts.dead_letters`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from kafka import KafkaProducer
from kafka.errors import KafkaError

from pivotwatch.base.errors import OutOfReach
from pivotwatch.config.config import Config, Logical
from pivotwatch.contracts.dead_letters import PREFIX
from pivotwatch.engine.kafka import sync_client


@dataclasses.dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as it lies in its topic.

    Attributes
    ----------
    partition, offset
        Its own place in the topic of dead letters.
    key, value, headers
        Of the record that could not be read.
    about
        What is told of it: topic, partition, offset, class, message; position in an array;
        null, for a value that was none at all.
    """

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    about: Mapping[str, str]

    @property
    def identity(self) -> str:
        """How it is named on the command line."""
        return f"{self.partition}:{self.offset}"

    @property
    def origin(self) -> str:
        """Where it came from."""
        place = f"[{self.about['position']}]" if "position" in self.about else ""
        topic, partition, offset = (self.about.get(name, "?") for name in ("topic", "partition", "offset"))
        return f"{topic}/{partition}@{offset}{place}"

    @property
    def obstacle(self) -> str:
        """Why it cannot be sent again; empty when it can."""
        if "length" in self.about:
            return f"only the beginning of {self.about['length']} bytes is kept"
        if not self.about.get("topic"):
            return "it does not say where it came from"
        if self.key is None and self.value is None:
            return "it had neither key nor value, and no client sends such a record"
        return ""


def letter_of(record: Any) -> DeadLetter:
    """Take a record of the topic of dead letters apart.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> headers = [("trace", b"1"), ("pivotwatch.errors.topic", b"requests")]
    >>> record = SimpleNamespace(partition=0, offset=4, timestamp=0, key=b"k", value=b"{", headers=headers)
    >>> letter_of(record).headers, letter_of(record).origin
    ((('trace', b'1'),), 'requests/?@?')
    """
    own = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
    about = {
        name.removeprefix(PREFIX): (value or b"").decode(errors="replace")
        for name, value in record.headers
        if name.startswith(PREFIX)
    }
    value = None if "null" in about else record.value
    return DeadLetter(record.partition, record.offset, record.timestamp, record.key, value, tuple(own), about)


def letters(config: Config, topic: Logical = "dlq") -> Iterator[DeadLetter]:
    """All that are there now; those of events, or of ``deliveries_dlq``."""
    with sync_client.consumer(config, isolation_level="read_committed") as client:
        for record in sync_client.records(client, [config.topic(topic)], from_beginning=True, until_end=True):
            yield letter_of(record)


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
                _topic(config, letter.about["topic"]),
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
    told = letter.about.get("partition", "")
    return int(told) if letter.key is None and told.isdigit() else None
