"""Connections to Kafka for commands that read or write once (kafka-python; workers use aiokafka)."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import GroupAuthorizationFailedError, KafkaError, KafkaTimeoutError

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.config.config import Config, Role
from pivotwatch.engine.fetching import unpacking
from pivotwatch.engine.kafka.topics import changelog_name
from pivotwatch.engine.types import TP

logger = logging.getLogger(__name__)
unpacking.install()

TIMEOUT_MS = 5_000
REQUEST_MS = 10_000
"""A broker that does not answer a request for so long counts as lost."""
POLL_MS = 500

# The warnings of the library would repeat, at greater length, what the commands report.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


def security(config: Config) -> dict[str, Any]:
    """The security settings of kafka-python; empty for a broker without security.

    Examples
    --------
    >>> from pivotwatch.config.config import load
    >>> security(load(security_protocol="SSL", ssl_cafile="/etc/ca.pem"))
    {'security_protocol': 'SSL', 'ssl_cafile': '/etc/ca.pem'}
    """
    if config.security_protocol == "PLAINTEXT":
        return {}
    settings = {
        "security_protocol": config.security_protocol,
        "ssl_cafile": config.ssl_cafile and str(config.ssl_cafile),
        "ssl_certfile": config.ssl_certfile and str(config.ssl_certfile),
        "ssl_keyfile": config.ssl_keyfile and str(config.ssl_keyfile),
        "sasl_mechanism": config.sasl_mechanism,
        "sasl_plain_username": config.sasl_username,
        "sasl_plain_password": config.password(),
    }
    return {name: value for name, value in settings.items() if value is not None}


@contextlib.contextmanager
def admin(config: Config) -> Iterator[KafkaAdminClient]:
    """An admin client, closed at the end.

    Raises
    ------
    OutOfReach
        When no broker answers within five seconds, or one stops answering.
    """
    with _explained(config):
        client = KafkaAdminClient(
            bootstrap_servers=config.bootstrap,
            bootstrap_timeout_ms=TIMEOUT_MS,
            request_timeout_ms=REQUEST_MS,
            **security(config),
        )
        try:
            yield client
        finally:
            client.close()


@contextlib.contextmanager
def consumer(config: Config, **settings: Any) -> Iterator[KafkaConsumer]:
    """A consumer without a group: it reads whole topics and stores nothing on the broker."""
    with _explained(config):
        client = KafkaConsumer(
            bootstrap_servers=config.bootstrap,
            bootstrap_timeout_ms=TIMEOUT_MS,
            request_timeout_ms=REQUEST_MS,
            enable_auto_commit=False,
            metrics_enabled=False,
            **security(config),
            **settings,
        )
        try:
            yield client
        finally:
            client.close()


def partitions_of(client: KafkaConsumer, topic: str) -> list[TopicPartition]:
    """The partitions of a topic.

    Raises
    ------
    OutOfReach
        When the topic does not exist, or is hidden from this user: the broker does not distinguish these.
    """
    numbers = client.partitions_for_topic(topic) if topic in client.topics() else None
    if not numbers:
        problem = f"there is no topic {topic}: create it with `pivotwatch topics create`"
        raise OutOfReach(problem + or_hidden(client.config["sasl_plain_username"]))
    return [TopicPartition(topic, number) for number in sorted(numbers)]


@dataclasses.dataclass(frozen=True, slots=True)
class Survey:
    """The partitions of topics, and their ends.

    Attributes
    ----------
    partitions
        Topic to its number of partitions.
    ends
        The end of each partition, for readers of committed records.
    """

    partitions: Mapping[str, int]
    ends: Mapping[TP, int]


def survey(config: Config, topics: Sequence[str], *, state_of: Role | None = None) -> Survey:
    """Read partitions and ends of the topics that a role needs.

    Parameters
    ----------
    config
        The configuration.
    topics
        The topics.
    state_of
        The name of a role with state; its input is the first topic.

    Raises
    ------
    OutOfReach
        When a topic does not exist.
    WrongUse
        When the changelog of the role has another number of partitions than its input. Faust would silently
        ignore the others.
    """
    logger.info("reading the topics of Kafka at %s", config.brokers)
    with consumer(config, isolation_level="read_committed") as client:
        found = {topic: partitions_of(client, topic) for topic in topics}
        ends = client.end_offsets([tp for tps in found.values() for tp in tps])
        if state_of is not None:
            changelog, expected = changelog_name(config, state_of), len(found[topics[0]])
            kept = client.partitions_for_topic(changelog) if changelog in client.topics() else None
            if kept and len(kept) != expected:
                raise WrongUse(
                    f"{changelog} has {len(kept)} partitions, {topics[0]} has {expected}: "
                    "delete that topic, and start with --reset-state to count again"
                )
    return Survey(
        {topic: len(tps) for topic, tps in found.items()}, {TP(*tp): end for tp, end in ends.items()}
    )


def or_hidden(user: str | None) -> str:
    """Advice for a user who may not see every topic, as the end of a message about a missing topic."""
    return f", or let {user} use it (`python -m pivotwatch.engine.kafka.acls`)" if user else ""


def refuse_without_group(config: Config, group: str) -> None:
    """Check the right to a consumer group. A worker without it would try to join forever.

    Raises
    ------
    OutOfReach
        When the right is missing.
    """
    with admin(config) as client:
        try:
            client.list_group_offsets([group])
        except GroupAuthorizationFailedError:
            raise OutOfReach(
                f"{config.sasl_username or 'this user'} may not read the group {group}: "
                "give it the right (`python -m pivotwatch.engine.kafka.acls`)"
            ) from None
        except KafkaError:
            return  # A broker that has just started has no coordinator yet; the worker waits for it.


def records(
    client: KafkaConsumer,
    topics: Sequence[str],
    *,
    from_beginning: bool = False,
    until_end: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[ConsumerRecord]:
    """The records of all partitions as they arrive; with ``until_end`` only those that exist now."""
    partitions = [partition for topic in topics for partition in partitions_of(client, topic)]
    client.assign(partitions)
    # The start is set now and not at the first fetch, so that nothing in between is missed.
    ends = client.end_offsets(partitions)
    starts = client.beginning_offsets(partitions) if from_beginning else ends
    for partition in partitions:
        client.seek(partition, starts[partition])
    while not stopped() and not (
        until_end and all(client.position(partition) >= ends[partition] for partition in partitions)
    ):
        for partition, fetched in client.poll(timeout_ms=POLL_MS).items():
            yield from (one for one in fetched if not (until_end and one.offset >= ends[partition]))


@contextlib.contextmanager
def _explained(config: Config) -> Iterator[None]:
    try:
        yield
    except KafkaTimeoutError:
        problem = f"Kafka at {config.brokers} does not answer: is it running, and is `brokers` right?"
        raise OutOfReach(problem + _doubts(config)) from None
    except unpacking.BatchRefused as error:
        raise OutOfReach(f"a batch of records cannot be read: {error}") from None
    except (KafkaError, OSError) as error:
        raise OutOfReach(f"Kafka at {config.brokers} refuses: {error}") from None


def _doubts(config: Config) -> str:
    """What else to check: a broker closes connections of unknown clients without an answer."""
    doubts = ""
    if config.security_protocol.endswith("SSL"):
        doubts += " Is its certificate of the authority in `ssl_cafile`?"
    if config.sasl_mechanism:
        doubts += f" Does it know {config.sasl_username} by this password and `sasl_mechanism`?"
    return doubts
