"""Makes the notifier of a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pivotwatch.delivery.apprise_notifier import AppriseNotifier
from pivotwatch.delivery.http_notifiers import (
    AlertmanagerNotifier,
    PagerDutyNotifier,
    SlackNotifier,
    WebhookNotifier,
)
from pivotwatch.delivery.notifier import Notifier, Publish
from pivotwatch.delivery.record_notifiers import RecordNotifier, StdoutNotifier, append_to


def make_notifier(settings: Any, base_url: str | None, publish: Publish) -> Notifier:
    """Make the notifier of a target.

    Parameters
    ----------
    settings
        The settings of the target.
    base_url
        URL of the page, for links; None omits them.
    publish
        Sends a record to a topic.

    Raises
    ------
    WrongUse
        When the secret of the target or a library is missing.
    """
    if settings.kind == "stdout":
        return StdoutNotifier()
    if settings.kind in ("cloudevents", "ocsf"):
        topic = settings.topic
        write = append_to(settings.file) if settings.file else lambda message: publish(topic, message)
        return RecordNotifier(settings.kind, base_url, write)
    kinds: Mapping[str, Callable[[Any, str | None], Notifier]] = {
        "alertmanager": AlertmanagerNotifier,
        "webhook": WebhookNotifier,
        "pagerduty": PagerDutyNotifier,
        "slack": SlackNotifier,
        "apprise": AppriseNotifier,
    }
    return kinds[settings.kind](settings, base_url)
