"""The notifier of a target: renders an alert and sends it once. Each kind of target has a notifier class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from typing import ClassVar, NamedTuple

from pivotwatch.contracts.alerts import Alert
from pivotwatch.delivery.notification_policy import Decision, Notification
from pivotwatch.formats.message import Message

Publish = Callable[[str, Message], Awaitable[None]]
"""A function that sends a record to a topic and returns when Kafka has acknowledged it."""


class Delivery(NamedTuple):
    """An alert for a target.

    Attributes
    ----------
    alert, raw
        The alert, parsed and as bytes.
    decision
        Why the alert is sent.
    last
        The last notification of the incident that the target got, or None.
    """

    alert: Alert
    raw: bytes
    decision: Decision
    last: Notification | None


class Notifier(ABC):
    """Sends alerts to one target.

    Attributes
    ----------
    max_concurrent
        Number of deliveries that may run at once.
    interval
        Least time between two deliveries in seconds.
    by_severity
        Whether the target treats an incident whose severity changed as a new incident.
    keeps_all
        Whether the target keeps every alert. Other targets show the current state of an incident, so an
        outdated alert would mislead.
    resend_interval
        Seconds after which open alerts must be sent again, or None.
    """

    keeps_all: ClassVar[bool] = False
    max_concurrent: int = 4
    interval: float = 0.0
    by_severity: ClassVar[bool] = False
    resend_interval: float | None = None

    @abstractmethod
    async def send(self, delivery: Delivery) -> str:
        """Send an alert once.

        Returns the answer of the target. Raises a `DeliveryError` when the target did not accept the alert.
        """

    async def resend(self, alerts: Iterable[Alert]) -> None:
        """Send open alerts again; only for targets with a ``resend_interval``."""
        raise NotImplementedError

    async def close(self) -> None:  # noqa: B027 - most notifiers have nothing to close
        """Close connections."""
