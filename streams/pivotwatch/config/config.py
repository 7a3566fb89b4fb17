"""The configuration: one TOML file, every key also from the environment, flags win.

``min_members`` in the file is ``PIVOTWATCH_MIN_MEMBERS`` in the environment and
``--set min_members=8`` on the command line; a key of a table is joined with two underscores
(``PIVOTWATCH_TOPICS__REQUESTS``). Secrets belong into the environment or into files that a
``…_file`` key names. `load` turns every mistake into one line that names the key, where the
value came from, what was given and what is expected.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict, SettingsError

from pivotwatch.base.durations import Duration, PositiveDuration, millis, parse_duration
from pivotwatch.base.errors import WrongUse
from pivotwatch.config.problems import ENV_PREFIX, describe, read_toml
from pivotwatch_models.fingerprint import earlier_state_fingerprints, state_fingerprint
from pivotwatch_models.settings import Settings

# What the code calls the topics; TopicNames says what they are called in Kafka.
Logical = Literal["requests", "dlq", "buckets", "status", "alerts", "deliveries_dlq", "releases", "decisions"]
Role = Literal["accounts", "networks", "ingest", "delivery", "web"]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]


def _matching(pattern: str, expected: str) -> AfterValidator:
    """A text of a form that is easier said than read from its pattern."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"expected {expected}")
        return value

    return AfterValidator(check)


# Kafka ends a name at 249 characters; the prefix and "-changelog" need room as well.
TopicName = Annotated[
    str, _matching(r"[\w.-]{1,120}", "1 to 120 letters, digits, dots, dashes or underscores")
]
Prefix = Annotated[str, _matching(r"[\w.-]{0,60}", "up to 60 letters, digits, dots, dashes or underscores")]
Brokers = Annotated[
    str, _matching(r"\s*[^\s,]+:\d+(\s*,\s*[^\s,]+:\d+)*\s*", "host:port, several joined by commas")
]


def _words(value: object) -> object:
    """A list may be written ``a,b`` in the environment."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


class TopicNames(BaseModel):
    """Names of the topics, before the prefix."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: TopicName = "requests"
    dlq: TopicName = "requests.dlq"
    buckets: TopicName = "buckets"
    status: TopicName = "status"
    alerts: TopicName = "alerts"
    deliveries_dlq: TopicName = "deliveries.dlq"
    releases: TopicName = "releases"
    decisions: TopicName = "decisions"


class Retention(BaseModel):
    """How long Kafka keeps what the topics hold; 0 is for ever."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Longer than a watch: from its requests a state can be built anew.
    requests: Duration = parse_duration("21d")
    dlq: Duration = parse_duration("30d")
    buckets: Duration = parse_duration("30d")
    alerts: Duration = parse_duration("90d")
    deliveries_dlq: Duration = parse_duration("90d")


class Config(BaseSettings):
    """Everything that can be set.

    Examples
    --------
    >>> config = load(bucket="30m", topic_prefix="team-a.")
    >>> config.settings.bucket_ms, config.topic("dlq"), config.app_id("accounts")
    (1800000, 'team-a.requests.dlq', 'pivotwatch-accounts')
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", env_ignore_empty=True, extra="forbid", frozen=True
    )

    # What decides results; see pivotwatch_models.settings.
    bucket: PositiveDuration = parse_duration("1h")
    watch: PositiveDuration = parse_duration("14d")
    min_events: Count = 8
    min_members: Count = 8
    allowed_lateness: Duration = parse_duration("5m")
    alert_budget: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    theta: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 3.0
    aliases: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = ("*-latest",)

    # How the work is cut and when it is written. Costly checkpoints are further apart
    # (`pivotwatch.engine.checkpoint`).
    partitions: Count = 1
    idle_after: PositiveDuration = parse_duration("60s")
    checkpoint_interval: PositiveDuration = parse_duration("10s")
    checkpoint_events: Count = 1_000_000
    shards: Annotated[int, Field(ge=1, le=4096)] = 64
    # For how long the group waits for a silent worker; when a worker that gets nowhere calls itself stalled.
    session_timeout: PositiveDuration = parse_duration("45s")
    stalled_after: PositiveDuration = parse_duration("90s")

    # Kafka.
    brokers: Brokers = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    sasl_password_file: Path | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    app_prefix: TopicName = "pivotwatch"
    topic_prefix: Prefix = ""
    topics: TopicNames = TopicNames()
    retention: Retention = Retention()
    requests_partitions: Count = 8
    replication_factor: Count = 1
    min_insync_replicas: Count = 1

    # The page, metrics and health. Port 0 is a free one; web_ports gives roles ports of their own.
    web_host: str = "127.0.0.1"
    web_port: Port | None = None
    web_ports: dict[Role, Port] = {}

    # A list of networks and their classes (hosting, proxy, …): shown beside an alert.
    network_classes: Path | None = None

    # Tables that the role of the same name reads and checks.
    delivery: dict[str, Any] = {}
    ingest: dict[str, Any] = {}
    web: dict[str, Any] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        if self.watch < self.bucket:
            raise ValueError("watch: expected at least as long as bucket")
        if len(set(self.topics.model_dump().values())) < len(TopicNames.model_fields):
            raise ValueError("topics: expected a different name for each")
        if self.min_insync_replicas > self.replication_factor:
            raise ValueError("min_insync_replicas: expected at most replication_factor")
        if self.security_protocol.startswith("SASL") and self.sasl_mechanism is None:
            raise ValueError("sasl_mechanism: expected one, because security_protocol is SASL")
        # Libraries take a user name without TLS as leave to send the password in the clear.
        if self.sasl_mechanism and not self.security_protocol.startswith("SASL"):
            raise ValueError("security_protocol: expected SASL_SSL, because sasl_mechanism is given")
        return self

    @cached_property
    def settings(self) -> Settings:
        """The part that decides results."""
        return Settings(
            bucket_ms=millis(self.bucket),
            watch_ms=millis(self.watch),
            min_events=self.min_events,
            min_members=self.min_members,
            allowed_lateness_ms=millis(self.allowed_lateness),
            alert_budget=self.alert_budget,
            theta=self.theta,
            aliases=self.aliases,
        )

    @property
    def state_fingerprints(self) -> tuple[str, ...]:
        """The fingerprint of stored state, then those of earlier programs whose state is continued."""
        return state_fingerprint(self.settings), *earlier_state_fingerprints(self.settings)

    @property
    def bootstrap(self) -> list[str]:
        """The brokers as a list."""
        return [broker.strip() for broker in self.brokers.split(",")]

    def topic(self, logical: Logical) -> str:
        """The full name of a topic."""
        name: str = getattr(self.topics, logical)
        return self.topic_prefix + name

    def app_id(self, role: str) -> str:
        """The Faust app id of a role: also its consumer group and the start of its changelogs."""
        return f"{self.app_prefix}-{role}"

    def for_role(self, role: Role, place: int = 0) -> Config:
        """The configuration of one role, with a port of its own.

        Parameters
        ----------
        place
            Among the roles of one command: ``web_port`` is the first one's, the next takes the next.

        Examples
        --------
        >>> config = load(web_port=9464, web_ports={"web": 8700})
        >>> [config.for_role(role, i).web_port for i, role in enumerate(("accounts", "networks", "web"))]
        [9464, 9465, 8700]
        """
        port = self.web_ports.get(role, self.web_port and self.web_port + place)
        return self.model_copy(update={"web_port": port})

    def environment(self) -> dict[str, str]:
        """Our own environment with this configuration in it, and no other: for a child process."""
        written = {
            name: value for name, value in os.environ.items() if not name.upper().startswith(ENV_PREFIX)
        }
        for key, value in self.model_dump(mode="json").items():
            if value is not None:
                text = ",".join(value) if isinstance(value, list) else value
                written[ENV_PREFIX + key.upper()] = text if isinstance(text, str) else json.dumps(text)
        if self.sasl_password is not None:
            written[ENV_PREFIX + "SASL_PASSWORD"] = self.sasl_password.get_secret_value()
        return written

    def password(self) -> str | None:
        """The SASL password, from the environment or from the file that holds it."""
        if self.sasl_password_file is not None:
            try:
                return self.sasl_password_file.read_text().strip()
            except OSError as error:
                raise WrongUse(f"sasl_password_file: {error.filename}: {error.strerror}") from None
        return self.sasl_password.get_secret_value() if self.sasl_password else None


def keys() -> dict[str, tuple[str, ...]]:
    """Every key, with the keys of its table (none for a plain key)."""
    tables: dict[str, type[BaseModel]] = {"topics": TopicNames, "retention": Retention}
    return {key: tuple(tables[key].model_fields) if key in tables else () for key in Config.model_fields}


def load(path: Path | None = None, **flags: Any) -> Config:
    """Read the configuration; a flag that is None was not given.

    Raises
    ------
    WrongUse
        With one line per mistake.
    OutOfReach
        When the file cannot be read.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    content = read_toml(path) if path else {}
    try:
        environment = EnvSettingsSource(Config)()
        return Config(**_overlaid(_overlaid(content, environment), given))
    except ValidationError as error:
        lines = describe(error, keys(), given, path)
    except SettingsError as error:
        lines = [f"{error}: expected a JSON object"]
    raise WrongUse("\n".join(lines))


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` over ``below``, table by table."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _overlaid(merged[key], value) if both else value
    return merged
