"""Connections of the workers to Kafka: settings for Faust, readers without a group, producers (aiokafka).

Commands that connect once use kafka-python instead (`pivotwatch.engine.kafka.sync_client`).
"""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)
from faust.exceptions import ProducerSendError
from faust.types.auth import AuthProtocol

from pivotwatch.base.errors import OutOfReach
from pivotwatch.config.config import Config
from pivotwatch.contracts.records import Header
from pivotwatch.engine.kafka import deadlines

deadlines.install()


def tls_context(config: Config) -> ssl.SSLContext | None:
    """The TLS context of the configuration; None for a connection without TLS."""
    if not config.security_protocol.endswith("SSL"):
        return None
    context = ssl.create_default_context(cafile=config.ssl_cafile)
    if config.ssl_certfile:
        context.load_cert_chain(config.ssl_certfile, config.ssl_keyfile)
    return context


def client_settings(config: Config) -> dict[str, Any]:
    """The settings with which an aiokafka client connects."""
    return {
        "bootstrap_servers": config.bootstrap,
        "security_protocol": config.security_protocol,
        "ssl_context": tls_context(config),
        "sasl_mechanism": config.sasl_mechanism or "PLAIN",
        "sasl_plain_username": config.sasl_username,
        "sasl_plain_password": config.password(),
    }


def faust_credentials(config: Config) -> Any:
    """The credentials with which Faust connects; None for a connection without TLS and SASL."""
    context = tls_context(config)
    if config.sasl_mechanism:
        credentials = faust.SASLCredentials(
            username=config.sasl_username,
            password=config.password(),
            ssl_context=context,
            mechanism=config.sasl_mechanism,
        )
        credentials.protocol = AuthProtocol(config.security_protocol)
        return credentials
    return faust.SSLCredentials(context) if context else None


_REFUSALS = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)


def refusal(error: BaseException | None) -> KafkaError | None:
    """The refusal by the broker that caused an error; None when the cause is another one.

    Examples
    --------
    >>> crash = RuntimeError("a record was not sent")
    >>> crash.__context__ = TopicAuthorizationFailedError("buckets")
    >>> refusal(crash)
    TopicAuthorizationFailedError('buckets')
    >>> refusal(RuntimeError("another cause"))
    """
    chain: list[BaseException] = []
    # Services of mode raise an error from itself; then only the context leads to the cause.
    while error is not None and error not in chain:
        if isinstance(error, _REFUSALS):
            return error
        chain.append(error)
        if isinstance(error, NotSent):
            error = error.reason
        else:
            error = error.__context__ if error.__cause__ in (None, error) else error.__cause__
    return None


@asynccontextmanager
async def reader(config: Config) -> AsyncIterator[AIOKafkaConsumer[bytes, bytes]]:
    """A consumer without a group that reads committed records only.

    Raises
    ------
    OutOfReach
        When no broker answers.
    """
    consumer: AIOKafkaConsumer[bytes, bytes] = AIOKafkaConsumer(
        **client_settings(config), isolation_level="read_committed", enable_auto_commit=False
    )
    try:
        await consumer.start()
    except KafkaError as error:
        await consumer.stop()
        raise OutOfReach(f"no broker at {config.brokers}: {error}") from None
    await asyncio.sleep(0)  # aiokafka cannot stop a task of its own that has not run yet
    try:
        yield consumer
    finally:
        await consumer.stop()


class NotSent(Exception):
    """The broker did not take a record.

    Attributes
    ----------
    reason
        The error of the driver. Kept here because services of mode lose the cause of an error.
    too_large
        Whether the record is larger than the topic accepts. Sending it again is useless then.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(type(cause).__name__)
        self.reason = cause
        self.too_large = isinstance(cause, MessageSizeTooLargeError)


@contextmanager
def not_sent() -> Iterator[None]:
    """Raise errors of a producer as `NotSent`."""
    try:
        yield
    except (KafkaError, ProducerSendError) as error:
        # Faust wraps the error of the driver.
        raise NotSent(error.__cause__ or error) from error


class RecordSender(ABC):
    """Sends records to Kafka."""

    @abstractmethod
    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int | None = None,
        headers: Sequence[Header] = (),
    ) -> asyncio.Future[Any]:
        """Send a record; wait only while the buffer is full. The future is done when the broker has it."""

    async def send_and_wait(
        self, topic: str, key: bytes | None, value: bytes | None, *, headers: Sequence[Header] = ()
    ) -> int:
        """Send a record, wait until the broker has it, and return its offset.

        Raises
        ------
        NotSent
            When the broker does not accept it.
        """
        with not_sent():
            offset: int = (await (await self.send(topic, key, value, headers=headers))).offset
        return offset


class Producer(RecordSender):
    """A producer apart from that of the app: for roles that must survive its failure, or have no app.

    Parameters
    ----------
    config
        The configuration.
    settings
        Further settings of aiokafka.
    """

    def __init__(self, config: Config, **settings: Any) -> None:
        self._config = config
        self._producer = AIOKafkaProducer(**client_settings(config), acks="all", **settings)

    async def start(self) -> None:
        """Connect.

        Raises
        ------
        OutOfReach
            When no broker answers.
        """
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            await self._producer.stop()
            raise OutOfReach(f"no broker at {self._config.brokers}: {error}") from None

    async def stop(self) -> None:
        """Send what is buffered, and disconnect."""
        await self._producer.stop()

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int | None = None,
        headers: Sequence[Header] = (),
    ) -> asyncio.Future[Any]:
        """Send a record."""
        future: asyncio.Future[Any] = await self._producer.send(
            topic, value, key=key, partition=partition, headers=list(headers)
        )
        return future
