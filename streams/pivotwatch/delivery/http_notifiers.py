"""Notifiers that send HTTP requests: Alertmanager, webhooks, PagerDuty and Slack."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.alerts import Alert
from pivotwatch.delivery.http_client import HttpClient
from pivotwatch.delivery.notifier import Delivery, Notifier
from pivotwatch.delivery.settings import (
    AlertmanagerSettings,
    HttpTarget,
    PagerDutySettings,
    SlackSettings,
    WebhookSettings,
)
from pivotwatch.formats import alertmanager, pagerduty, slack, webhook
from pivotwatch.formats.message import json_message


class HttpNotifier(Notifier):
    """Sends one HTTP request per delivery."""

    def __init__(self, settings: HttpTarget, base_url: str | None) -> None:
        self.base_url = base_url
        self.http = HttpClient(settings.timeout)

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()


class AlertmanagerNotifier(HttpNotifier):
    """Sends alerts to Alertmanager, one request at a time: a resent alert must not overtake its end."""

    max_concurrent = 1
    by_severity = True

    def __init__(self, settings: AlertmanagerSettings, base_url: str | None) -> None:
        super().__init__(settings, base_url)
        self.url = settings.url + alertmanager.PATH
        self.resend_interval = settings.resend.total_seconds()

    async def send(self, delivery: Delivery) -> str:
        """Fire the alert, resolve it, or resolve the last one and fire the new one in one request."""
        ends = delivery.alert.data.is_closed
        alerts = []
        if ends or delivery.decision.action == "replace":
            fired = (delivery.last and delivery.last.alert) or delivery.alert
            alerts.append(alertmanager.resolved(fired, datetime.now(UTC)))
        if not ends:
            alerts.append(alertmanager.firing(delivery.alert, self.base_url))
        return await self.http.post(self.url, json_message(delivery.alert.id, alerts))

    async def resend(self, alerts: Iterable[Alert]) -> None:
        """Fire the alerts again."""
        body = [alertmanager.firing(alert, self.base_url) for alert in alerts]
        await self.http.post(self.url, json_message("", body))


class WebhookNotifier(HttpNotifier):
    """Sends signed webhooks."""

    keeps_all = True

    def __init__(self, settings: WebhookSettings, base_url: str | None) -> None:
        super().__init__(settings, base_url)
        self.url = settings.url
        self.secrets = settings.secret().split()
        if not all(webhook.is_secret(secret) for secret in self.secrets):
            raise WrongUse(f"delivery target {settings.name}: expected secrets of the form whsec_BASE64")

    async def send(self, delivery: Delivery) -> str:
        """Sign the alert with the current time, and post it."""
        message = webhook.render(delivery.alert, delivery.raw, self.secrets, int(time.time()))
        return await self.http.post(self.url, message)


class PagerDutyNotifier(HttpNotifier):
    """Sends events to PagerDuty."""

    def __init__(self, settings: PagerDutySettings, base_url: str | None) -> None:
        super().__init__(settings, base_url)
        self.url, self.routing_key = settings.url, settings.secret()

    async def send(self, delivery: Delivery) -> str:
        """Trigger or resolve an incident."""
        event = pagerduty.render(delivery.alert, self.routing_key, self.base_url)
        return await self.http.post(self.url, json_message(delivery.alert.id, event))


class SlackNotifier(HttpNotifier):
    """Sends messages to Slack, which accepts about one message per second."""

    max_concurrent = 1

    def __init__(self, settings: SlackSettings, base_url: str | None) -> None:
        super().__init__(settings, base_url)
        self.url = settings.secret()
        if not self.url.startswith(("https://", "http://")):
            raise WrongUse(
                f"delivery target {settings.name}: expected the URL of an incoming webhook as its secret"
            )
        self.interval = settings.interval.total_seconds()

    async def send(self, delivery: Delivery) -> str:
        """Post a message to the channel."""
        message = slack.render(delivery.alert, self.base_url)
        return await self.http.post(self.url, json_message(delivery.alert.id, message))
