"""Sends records from a command. A worker sends through its Faust app instead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pivotwatch.config.config import Config
from pivotwatch.delivery.notifier import Publish
from pivotwatch.engine.kafka.async_client import Producer
from pivotwatch.formats.message import Message


@asynccontextmanager
async def publisher(config: Config) -> AsyncIterator[Publish]:
    """A function that sends records. It connects to Kafka when it sends the first one.

    Raises
    ------
    OutOfReach
        When no broker answers.
    """
    producer: Producer | None = None
    async with AsyncExitStack() as stack:

        async def publish(topic: str, message: Message) -> None:
            nonlocal producer
            if producer is None:
                made = Producer(config)
                await made.start()
                stack.push_async_callback(made.stop)
                producer = made
            headers = [(name, value.encode()) for name, value in message.headers.items()]
            await producer.send_and_wait(topic, message.key.encode(), message.body, headers=headers)

        yield publish
