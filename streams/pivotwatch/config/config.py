"""The configuration: a TOML file, environment variables and command-line flags. Flags win.

The key ``min_members`` of the file is ``PIVOTWATCH_MIN_MEMBERS`` in the environment and
``--set min_members=8`` on the command line. Two underscores join a table and its key
(``PIVOTWATCH_TOPICS__REQUESTS``). Secrets belong in the environment or in files that a ``…_file``
key names. `load` reports every mistake as one line: where the value came from, the key and what is
expected, never the value.
"""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict, SettingsError

from pivotwatch.base.errors import WrongUse
from pivotwatch.config.durations import Duration, PositiveDuration
from pivotwatch.config.http_limits import HttpLimits
from pivotwatch.config.problems import ENV_PREFIX, describe
from pivotwatch.config.toml_files import merge_tables, read_toml
from pivotwatch.config.topic_settings import Logical, Prefix, Retention, TopicName, TopicNames, matching
from pivotwatch_models.durations import parse_duration
from pivotwatch_models.fingerprint import earlier_state_fingerprints, state_fingerprint
from pivotwatch_models.settings import Settings

Role = Literal["accounts", "networks", "ingest", "delivery", "web"]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]


Brokers = Annotated[
    str,
    matching(
        r"\s*[^\s,@/]+:\d+(\s*,\s*[^\s,@/]+:\d+)*\s*",
        "host:port, several joined by commas; a user and a password have keys of their own",
    ),
]


def _words(value: object) -> object:
    """Split the text ``a,b``: environment variables write a list that way."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


class Config(BaseSettings):
    """All configuration keys.

    Attributes
    ----------
    bucket
        Length of a bucket of event time.
    watch
        How long a release is watched.
    min_events
        Requests that an account must have sent before a finding about it is reported.
    min_members
        Accounts that a group must have had within 90 days before it is watched and reported.
    allowed_lateness
        How far the watermark stays behind the time that the accounts agree on.
    alert_budget
        Expected false alerts by chance per group and day.
    theta
        Upper limit of the normal speed ratio, in the first watch of a group.
    aliases
        Patterns of requested model names that the provider resolves. A change of what they resolve to is no
        switch.
    attributes
        Kinds of links that describe an account, such as its client, and make no groups.
    partitions
        Number of partitions that ``replay`` divides the accounts into.
    idle_after
        A partition without events for so long may be completed by the event time of another.
    checkpoint_interval, checkpoint_events
        State is stored after this time or number of events. Checkpoints that take long are written less
        often.
    shards
        Parts of the state of a partition that are stored on their own.
    dedup_requests
        Last requests of each partition among which one that a producer sent twice is found; 0: none is.
    session_timeout
        How long Kafka waits for a silent worker.
    stalled_after
        How long a worker may make no progress before it counts as stalled.
    brokers
        Addresses of Kafka brokers, ``host:port``, separated by commas.
    security_protocol, sasl_mechanism, sasl_username, sasl_password, sasl_password_file
        How to log in at Kafka. The password belongs into the environment or into a file.
    ssl_cafile, ssl_certfile, ssl_keyfile
        The authority that signed the certificates of the brokers, and the certificate and key of this client.
    app_prefix
        First part of the names of consumer groups and changelogs.
    topic_prefix
        First part of the names of all topics.
    topics, retention
        Names of the topics, and how long they keep records.
    requests_partitions, replication_factor, min_insync_replicas
        For topics that ``pivotwatch topics`` creates, and for changelogs.
    web_host, web_port
        Where the page, metrics and health listen. Port 0 means any free port.
    web_ports
        Ports of single roles.
    http
        Limits of every HTTP server.
    network_classes
        A file that lists networks and their classes (hosting, proxy, …); alerts show the class.
    delivery, ingest, web
        Tables that the roles of the same names read.

    Examples
    --------
    >>> config = load(bucket="30m", topic_prefix="team-a.")
    >>> config.settings.bucket_ms, config.topic("dlq"), config.app_id("accounts")
    (1800000, 'team-a.requests.dlq', 'pivotwatch-accounts')
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", env_ignore_empty=True, extra="forbid", frozen=True
    )

    bucket: PositiveDuration = parse_duration("1h")
    watch: PositiveDuration = parse_duration("60d")
    min_events: Count = 8
    min_members: Count = 8
    allowed_lateness: Duration = parse_duration("5m")
    alert_budget: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    theta: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 3.0
    aliases: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = ("*-latest",)
    attributes: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = ("client", "plan", "region")

    partitions: Count = 1
    idle_after: PositiveDuration = parse_duration("60s")
    checkpoint_interval: PositiveDuration = parse_duration("10s")
    checkpoint_events: Count = 1_000_000
    shards: Annotated[int, Field(ge=1, le=4096)] = 64
    dedup_requests: Annotated[int, Field(ge=0, le=10_000_000)] = 0
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

    web_host: str = "127.0.0.1"
    web_port: Port | None = None
    web_ports: dict[Role, Port] = {}
    http: HttpLimits = HttpLimits()

    network_classes: Path | None = None

    delivery: dict[str, Any] = {}
    ingest: dict[str, Any] = {}
    web: dict[str, Any] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        if self.watch < self.bucket:
            raise ValueError("watch: expected a duration that is not shorter than bucket")
        if len(set(self.topics.model_dump().values())) < len(TopicNames.model_fields):
            raise ValueError("topics: expected a different name for each topic")
        if self.min_insync_replicas > self.replication_factor:
            raise ValueError("min_insync_replicas: expected at most replication_factor")
        if self.security_protocol.startswith("SASL") and self.sasl_mechanism is None:
            raise ValueError("sasl_mechanism: expected a mechanism, because security_protocol is SASL")
        # The client libraries would send the password in plain text.
        if self.sasl_mechanism and not self.security_protocol.startswith("SASL"):
            raise ValueError("security_protocol: expected SASL_SSL, because sasl_mechanism is set")
        return self

    @cached_property
    def settings(self) -> Settings:
        """The keys that decide results, in the form that the models take."""
        return Settings(
            bucket=self.bucket,
            watch=self.watch,
            min_events=self.min_events,
            min_members=self.min_members,
            allowed_lateness=self.allowed_lateness,
            alert_budget=self.alert_budget,
            theta=self.theta,
            aliases=self.aliases,
            attributes=self.attributes,
        )

    @property
    def state_fingerprints(self) -> tuple[str, ...]:
        """The fingerprint of the stored state, then those of older states that can be continued."""
        return state_fingerprint(self.settings), *earlier_state_fingerprints(self.settings)

    @property
    def bootstrap(self) -> list[str]:
        """The addresses of the brokers."""
        return [broker.strip() for broker in self.brokers.split(",")]

    def topic(self, logical: Logical) -> str:
        """The full name of a topic, with its prefix."""
        name: str = getattr(self.topics, logical)
        return self.topic_prefix + name

    def app_id(self, role: str) -> str:
        """The Faust app id of a role. It names the consumer group and begins the names of the changelogs."""
        return f"{self.app_prefix}-{role}"

    def for_role(self, role: Role, index: int = 0) -> Config:
        """The configuration of one role, with its own port.

        Parameters
        ----------
        index
            Position of the role among the roles of one command. The first role gets ``web_port``, the
            next one ``web_port + 1`` and so on.

        Examples
        --------
        >>> config = load(web_port=9464, web_ports={"web": 8700})
        >>> [config.for_role(role, i).web_port for i, role in enumerate(("accounts", "networks", "web"))]
        [9464, 9465, 8700]
        """
        port = self.web_ports.get(role, self.web_port and self.web_port + index)
        return self.model_copy(update={"web_port": port})

    def environment(self) -> dict[str, str]:
        """The environment for a child process: that of this process, with only this configuration in it."""
        variables = {
            name: value for name, value in os.environ.items() if not name.upper().startswith(ENV_PREFIX)
        }
        for key, value in self.model_dump(mode="json").items():
            if value is not None:
                text = ",".join(value) if isinstance(value, list) else value
                variables[ENV_PREFIX + key.upper()] = text if isinstance(text, str) else json.dumps(text)
        if self.sasl_password is not None:
            variables[ENV_PREFIX + "SASL_PASSWORD"] = self.sasl_password.get_secret_value()
        return variables

    def password(self) -> str | None:
        """The SASL password from the environment or from ``sasl_password_file``, None without either."""
        if self.sasl_password_file is not None:
            try:
                return self.sasl_password_file.read_text().strip()
            except OSError as error:
                raise WrongUse(f"sasl_password_file: {error.filename}: {error.strerror}") from None
        return self.sasl_password.get_secret_value() if self.sasl_password else None


def keys() -> dict[str, tuple[str, ...]]:
    """Every key of the configuration, with the keys of its table (empty for a plain key)."""
    tables: dict[str, type[BaseModel]] = {"topics": TopicNames, "retention": Retention, "http": HttpLimits}
    return {key: tuple(tables[key].model_fields) if key in tables else () for key in Config.model_fields}


def sources(path: Path | None = None, **flags: Any) -> list[tuple[str, dict[str, Any]]]:
    """Where keys can be set, strongest first: the name of the place, and the keys that it sets."""
    given = {key: value for key, value in flags.items() if value is not None}
    return [
        ("command line", given),
        ("environment", EnvSettingsSource(Config)()),
        (str(path), read_toml(path) if path else {}),
    ]


def load(path: Path | None = None, **flags: Any) -> Config:
    """Read the configuration. A flag that is None is ignored.

    Raises
    ------
    WrongUse
        When the configuration is wrong; the message has one line per mistake.
    OutOfReach
        When the file cannot be read.
    """
    try:
        places = sources(path, **flags)
        merged: dict[str, Any] = {}
        for _, content in reversed(places):
            merged = merge_tables(merged, content)
        return Config(**merged)
    except ValidationError as error:
        lines = describe(error, keys(), places[0][1], path)
    except SettingsError as error:
        lines = [f"{error}: expected a JSON object"]
    raise WrongUse("\n".join(lines))
