"""The table ``[delivery]`` of the configuration: the targets, and which alerts each of them gets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from pivotwatch.base.errors import WrongUse
from pivotwatch.config.durations import Duration, PositiveDuration
from pivotwatch.config.tables import SecretTable, Table, read_table
from pivotwatch.config.topic_settings import TopicName
from pivotwatch.formats import pagerduty
from pivotwatch_models.durations import parse_duration
from pivotwatch_models.incidents.terms import Severity


def _is_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", value):
        raise ValueError("expected 1 to 40 lower-case letters, digits, dashes or underscores")
    return value


def _is_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", value):
        # The message does not repeat the URL, which may contain a password.
        raise ValueError("expected http(s)://host/path, without a user name or password in it")
    return value.rstrip("/")


Updates = Literal["all", "major", "severity", "none"]
Name = Annotated[str, AfterValidator(_is_name)]
Url = Annotated[str, AfterValidator(_is_url)]


class TargetSettings(Table):
    """The settings of every target.

    Attributes
    ----------
    min_severity, models, entities
        The incidents that the target gets: least severity, models and kinds of entity (shell patterns).
        A target that was notified of an incident also gets its end.
    updates
        The updates of open incidents that the target gets. ``all``; ``major``: the severity changed, the
        number of members doubled since the last notification, or a person confirmed the incident;
        ``severity``: the severity changed; ``none``. An alert that opens, reopens or ends an incident is
        no update.
    retry_first, retry_most, retry_budget
        Pause after the first failure, longest pause, and how long delivery of an alert is tried before
        the alert becomes a dead letter.
    """

    name: Name
    min_severity: Severity = "info"
    models: list[str] = ["*"]
    entities: list[str] = ["*"]
    updates: Updates = "all"
    retry_first: PositiveDuration = parse_duration("1s")
    retry_most: PositiveDuration = parse_duration("1m")
    retry_budget: Duration = parse_duration("24h")


class HttpTarget(TargetSettings):
    """The settings of a target that is reached by HTTP."""

    timeout: PositiveDuration = parse_duration("10s")


class SecretTarget(HttpTarget, SecretTable):
    """The settings of a target with a secret."""

    def secret(self) -> str:
        """The secret: a routing key, a signing secret or a secret address."""
        return self.read_secret(f"delivery target {self.name}").decode()


class AlertmanagerSettings(HttpTarget):
    """An Alertmanager; ``url`` is its root URL, ``resend`` the time between two sends of an open alert."""

    kind: Literal["alertmanager"]
    url: Url
    resend: PositiveDuration = parse_duration("1m")


class WebhookSettings(SecretTarget):
    """A signed webhook; the secret is ``whsec_…``, or two of them (with a space) during a rotation."""

    kind: Literal["webhook"]
    url: Url


class PagerDutySettings(SecretTarget):
    """PagerDuty; the secret is the routing key."""

    kind: Literal["pagerduty"]
    url: Url = pagerduty.URL
    updates: Updates = "major"


class SlackSettings(SecretTarget):
    """Slack; the secret is the URL of the incoming webhook."""

    kind: Literal["slack"]
    interval: Duration = parse_duration("1s")
    updates: Updates = "major"


class AppriseSettings(SecretTarget):
    """A chat service that apprise supports; the secret is one or several apprise URLs."""

    kind: Literal["apprise"]
    updates: Updates = "major"


class RecordSettings(TargetSettings):
    """A topic, or a file with one JSON document per line."""

    kind: Literal["cloudevents", "ocsf"]
    topic: TopicName | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _has_one_place(self) -> RecordSettings:
        if (self.topic is None) == (self.file is None):
            raise ValueError("expected one of topic and file")
        return self


class StdoutSettings(TargetSettings):
    """Standard output of the worker, as text."""

    kind: Literal["stdout"]


AnyTarget = (
    AlertmanagerSettings
    | WebhookSettings
    | PagerDutySettings
    | SlackSettings
    | AppriseSettings
    | RecordSettings
    | StdoutSettings
)
KINDS = ("alertmanager", "webhook", "pagerduty", "slack", "apprise", "cloudevents", "ocsf", "stdout")


class DeliverySettings(Table):
    """The table ``[delivery]``.

    Attributes
    ----------
    base_url
        URL of the page as people reach it, for the links in alerts.
    start
        Where delivery starts the first time it runs: at the oldest alert in the topic, or at the next one.
    targets
        The targets.

    Examples
    --------
    >>> settings = read_settings(
    ...     {"targets": [{"name": "ops", "kind": "alertmanager", "url": "http://am:9093"}]}
    ... )
    >>> settings.targets[0].min_severity
    'info'
    >>> read_settings({"targets": [{"name": "ops", "kind": "slack", "secret_fil": "x"}]})
    Traceback (most recent call last):
    pivotwatch.base.errors.WrongUse: [delivery] targets.0.secret_fil: no such key; did you mean secret_file?
    """

    base_url: Url | None = None
    start: Literal["earliest", "latest"] = "earliest"
    targets: list[Annotated[AnyTarget, Field(discriminator="kind")]] = []

    @model_validator(mode="after")
    def _no_name_twice(self) -> DeliverySettings:
        names = [target.name for target in self.targets]
        if len(set(names)) < len(names):
            raise ValueError("targets: expected a different name for each target")
        return self

    def target(self, name: str) -> AnyTarget:
        """The target with a name.

        Raises
        ------
        WrongUse
            When no target has the name.
        """
        names = [target.name for target in self.targets]
        if name in names:
            return self.targets[names.index(name)]
        known = (
            f"expected one of {', '.join(names)}"
            if names
            else "the configuration has no [[delivery.targets]]"
        )
        raise WrongUse(f"no delivery target is called {name}: {known}")


def read_settings(table: dict[str, Any]) -> DeliverySettings:
    """Read the table; see `pivotwatch.config.tables.read_table`."""
    return read_table("delivery", DeliverySettings, table, _KEYS, KINDS)


_KEYS = sorted({name for table in (DeliverySettings, *AnyTarget.__args__) for name in table.model_fields})
