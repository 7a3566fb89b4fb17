"""How an alert reaches each kind of target: its renderer, and the way there."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from faust.exceptions import ProducerSendError

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.alerts import Alert
from pivotwatch.delivery.dedup import Decision, Told
from pivotwatch.delivery.errors import Refused, TryLater
from pivotwatch.delivery.http_client import Http
from pivotwatch.delivery.settings import (
    AlertmanagerSettings,
    AppriseSettings,
    HttpTarget,
    PagerDutySettings,
    SlackSettings,
    WebhookSettings,
)
from pivotwatch.formats import alertmanager, chat, cloudevents, ocsf, pagerduty, slack, text, webhook
from pivotwatch.formats.message import Message, json_message

PUT_SECONDS = 30.0
"""How long a topic or a file may take."""

Publish = Callable[[str, Message], Awaitable[None]]
"""Send a record to a topic; returns when the broker has it."""


class Delivery(NamedTuple):
    """An alert for a target: read and as bytes, why it is sent, and what the target was told before."""

    alert: Alert
    raw: bytes
    decision: Decision
    told: Told | None


class Notifier(ABC):
    """The way to one target.

    Attributes
    ----------
    at_once
        How many deliveries may be under way.
    interval
        Seconds between two.
    by_severity
        Is an incident of another severity another one there?
    keeps_all
        Does it keep every alert? Else it shows how an incident stands, and an old alert would mislead.
    resend
        Seconds after which what is open must be told again, if it must.
    """

    keeps_all: ClassVar[bool] = False
    at_once: int = 4
    interval: float = 0.0
    by_severity: ClassVar[bool] = False
    resend: float | None = None

    @abstractmethod
    async def send(self, delivery: Delivery) -> str:
        """Deliver once; returns what came back, raises `Undelivered` when it was not taken."""

    async def remind(self, alerts: Iterable[Alert]) -> None:
        """Tell again what is open."""
        raise NotImplementedError

    async def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Let go of connections."""


class HttpNotifier(Notifier):
    """A target that takes one request a delivery."""

    def __init__(self, settings: HttpTarget, base_url: str | None) -> None:
        self.base_url = base_url
        self.http = Http(settings.timeout)

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()


class Alertmanager(HttpNotifier):
    """Alertmanager. One request at a time: what is told again must not overtake its own end."""

    at_once = 1
    by_severity = True

    def __init__(self, settings: AlertmanagerSettings, base_url: str | None) -> None:
        super().__init__(settings, base_url)
        self.url = settings.url + alertmanager.PATH
        self.resend = settings.resend.total_seconds()

    async def send(self, delivery: Delivery) -> str:
        """Fire, end, or both at once."""
        ends = delivery.alert.data.is_closed
        alerts = []
        if ends or delivery.decision.action == "replace":
            fired = (delivery.told and delivery.told.alert) or delivery.alert
            alerts.append(alertmanager.resolved(fired, datetime.now(UTC)))
        if not ends:
            alerts.append(alertmanager.firing(delivery.alert, self.base_url))
        return await self.http.post(self.url, json_message(delivery.alert.id, alerts))

    async def remind(self, alerts: Iterable[Alert]) -> None:
        """Fire again."""
        body = [alertmanager.firing(alert, self.base_url) for alert in alerts]
        await self.http.post(self.url, json_message("", body))


class Webhook(HttpNotifier):
    """A signed webhook."""

    keeps_all = True

    def __init__(self, settings: WebhookSettings, base_url: str | None) -> None:
        super().__init__(settings, base_url)
        self.url = settings.url
        self.secrets = settings.secret().split()
        if not all(webhook.is_secret(secret) for secret in self.secrets):
            raise WrongUse(f"delivery target {settings.name}: expected secrets of the form whsec_ and base64")

    async def send(self, delivery: Delivery) -> str:
        """Sign for this attempt, and post."""
        message = webhook.render(delivery.alert, delivery.raw, self.secrets, int(time.time()))
        return await self.http.post(self.url, message)


class PagerDuty(HttpNotifier):
    """PagerDuty."""

    def __init__(self, settings: PagerDutySettings, base_url: str | None) -> None:
        super().__init__(settings, base_url)
        self.url, self.routing_key = settings.url, settings.secret()

    async def send(self, delivery: Delivery) -> str:
        """Trigger or resolve."""
        event = pagerduty.render(delivery.alert, self.routing_key, self.base_url)
        return await self.http.post(self.url, json_message(delivery.alert.id, event))


class Slack(HttpNotifier):
    """Slack takes about a message a second."""

    at_once = 1

    def __init__(self, settings: SlackSettings, base_url: str | None) -> None:
        super().__init__(settings, base_url)
        self.url = settings.secret()
        if not self.url.startswith(("https://", "http://")):
            raise WrongUse(
                f"delivery target {settings.name}: expected the address of a webhook as its secret"
            )
        self.interval = settings.interval.total_seconds()

    async def send(self, delivery: Delivery) -> str:
        """Post a message."""
        message = slack.render(delivery.alert, self.base_url)
        return await self.http.post(self.url, json_message(delivery.alert.id, message))


class Apprise(Notifier):
    """A chat service by way of the library apprise."""

    def __init__(self, settings: AppriseSettings, base_url: str | None) -> None:
        try:
            import apprise
        except ImportError:
            raise WrongUse("apprise is not installed: pip install 'pivotwatch[apprise]'") from None
        # It writes addresses into its log, and those hold secrets.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self.base_url = base_url
        self.service = apprise.Apprise()
        if not self.service.add(settings.secret().split()):
            raise WrongUse(f"delivery target {settings.name}: apprise does not know an address in its secret")
        self.timeout = settings.timeout.total_seconds()

    async def send(self, delivery: Delivery) -> str:
        """Notify."""
        note = chat.render(delivery.alert, self.base_url)
        try:
            async with asyncio.timeout(self.timeout):
                taken = await self.service.async_notify(**note._asdict())
        except TimeoutError:
            raise TryLater("no answer in time") from None
        if not taken:
            raise TryLater("apprise could not deliver it")
        return "delivered"


class Records(Notifier):
    """A topic or a file that gets one JSON document an alert."""

    keeps_all = True

    def __init__(self, kind: str, base_url: str | None, put: Callable[[Message], Awaitable[None]]) -> None:
        self.kind = kind
        self.base_url = base_url
        self.put = put
        self.at_once = 1

    async def send(self, delivery: Delivery) -> str:
        """Write the document."""
        if self.kind == "ocsf":
            document = ocsf.render(delivery.alert, self.base_url, new=delivery.decision.reason == "opened")
            message = json_message(delivery.alert.data.alert_id, document)
        else:
            message = cloudevents.render(delivery.alert, delivery.raw)
        try:
            async with asyncio.timeout(PUT_SECONDS):
                await self.put(message)
        except TimeoutError:
            raise TryLater("no answer in time; is there such a topic?") from None
        except OSError as error:
            raise TryLater(error.strerror or type(error).__name__) from None
        except (KafkaError, ProducerSendError) as error:
            cause = error.__cause__ or error  # Faust puts the error of the driver into one of its own.
            if isinstance(cause, MessageSizeTooLargeError):
                raise Refused("too large for a record") from None
            raise TryLater(type(cause).__name__) from None
        return "written"


class Stdout(Notifier):
    """Standard output."""

    at_once = 1

    async def send(self, delivery: Delivery) -> str:
        """Print the alert for a person."""
        print(text.plain(delivery.alert), end="\n\n", flush=True)
        return "printed"


def append_to(path: Path) -> Callable[[Message], Awaitable[None]]:
    """A function that appends a whole line to a file, made if it is not there, or nothing."""

    def append(body: bytes) -> None:
        with path.open("ab") as file:
            end = file.tell()
            try:
                file.write(body + b"\n")
                file.flush()
            except OSError:
                # The disk is full. Half a line would spoil the next one, too.
                os.ftruncate(file.fileno(), end)
                raise

    async def put(message: Message) -> None:
        await asyncio.to_thread(append, message.body)

    return put


def make(settings: Any, base_url: str | None, publish: Publish) -> Notifier:
    """The endpoint of a target.

    Raises
    ------
    WrongUse
        When its secret is not there, or the library that it needs.
    """
    if settings.kind == "stdout":
        return Stdout()
    if settings.kind in ("cloudevents", "ocsf"):
        topic = settings.topic
        put = append_to(settings.file) if settings.file else lambda message: publish(topic, message)
        return Records(settings.kind, base_url, put)
    kinds: Mapping[str, Callable[[Any, str | None], Notifier]] = {
        "alertmanager": Alertmanager,
        "webhook": Webhook,
        "pagerduty": PagerDuty,
        "slack": Slack,
        "apprise": Apprise,
    }
    return kinds[settings.kind](settings, base_url)
