"""The notifier for chat services that the library apprise supports."""

from __future__ import annotations

import asyncio
import logging

from pivotwatch.base.errors import WrongUse
from pivotwatch.delivery.errors import RetryLater
from pivotwatch.delivery.notifier import Delivery, Notifier
from pivotwatch.delivery.settings import AppriseSettings
from pivotwatch.formats import chat


class AppriseNotifier(Notifier):
    """Sends messages to chat services through the library apprise."""

    def __init__(self, settings: AppriseSettings, base_url: str | None) -> None:
        try:
            import apprise
        except ImportError:
            raise WrongUse("apprise is not installed: pip install 'pivotwatch[apprise]'") from None
        # apprise logs URLs that contain secrets.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self.base_url = base_url
        self.service = apprise.Apprise()
        if not self.service.add(settings.secret().split()):
            raise WrongUse(f"delivery target {settings.name}: apprise does not accept a URL in its secret")
        self.timeout = settings.timeout.total_seconds()

    async def send(self, delivery: Delivery) -> str:
        """Send a message to all services."""
        text = chat.render(delivery.alert, self.base_url)
        try:
            async with asyncio.timeout(self.timeout):
                accepted = await self.service.async_notify(**text._asdict())
        except TimeoutError:
            raise RetryLater("no answer in time") from None
        if not accepted:
            raise RetryLater("apprise could not deliver the message")
        return "delivered"
