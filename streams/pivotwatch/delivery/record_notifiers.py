"""Notifiers that write alerts to a Kafka topic, a file or standard output."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from pivotwatch.delivery.errors import Rejected, RetryLater
from pivotwatch.delivery.notifier import Delivery, Notifier
from pivotwatch.engine.kafka.async_client import NotSent
from pivotwatch.formats import cloudevents, ocsf, text
from pivotwatch.formats.message import Message, json_message

WRITE_SECONDS = 30.0
"""Longest duration of a write to a topic or a file."""


class RecordNotifier(Notifier):
    """Writes one JSON document per alert to a topic or a file.

    Parameters
    ----------
    kind
        ``ocsf`` or ``cloudevents``.
    write
        Writes a document.
    """

    keeps_all = True
    max_concurrent = 1

    def __init__(self, kind: str, base_url: str | None, write: Callable[[Message], Awaitable[None]]) -> None:
        self.kind = kind
        self.base_url = base_url
        self.write = write

    async def send(self, delivery: Delivery) -> str:
        """Write the document."""
        if self.kind == "ocsf":
            document = ocsf.render(delivery.alert, self.base_url, new=delivery.decision.reason == "opened")
            message = json_message(delivery.alert.data.alert_id, document)
        else:
            message = cloudevents.render(delivery.alert, delivery.raw)
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self.write(message)
        except TimeoutError:
            raise RetryLater("no answer in time; check that the topic exists") from None
        except OSError as error:
            raise RetryLater(error.strerror or type(error).__name__) from None
        except NotSent as error:
            if error.too_large:
                raise Rejected("too large for a record") from None
            raise RetryLater(str(error)) from None
        return "written"


class StdoutNotifier(Notifier):
    """Prints alerts on standard output."""

    max_concurrent = 1

    async def send(self, delivery: Delivery) -> str:
        """Print the alert as text."""
        print(text.plain(delivery.alert), end="\n\n", flush=True)
        return "printed"


def append_to(path: Path) -> Callable[[Message], Awaitable[None]]:
    """A function that appends a message to a file as one line, or fails and appends nothing."""

    def append(body: bytes) -> None:
        with path.open("ab") as file:
            end = file.tell()
            try:
                file.write(body + b"\n")
                file.flush()
            except OSError:
                # The disk is full. An incomplete line would also damage the next one.
                os.ftruncate(file.fileno(), end)
                raise

    async def write(message: Message) -> None:
        await asyncio.to_thread(append, message.body)

    return write
