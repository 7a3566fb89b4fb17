"""The table ``[ingest]`` of the configuration, and the decoders of its sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from pivotwatch.base.addresses import is_loopback
from pivotwatch.base.errors import WrongUse
from pivotwatch.base.secrets import read_secret
from pivotwatch.config.config import Config, Port
from pivotwatch.config.durations import PositiveDuration
from pivotwatch.config.tables import Table, read_table
from pivotwatch.config.topic_settings import Logical, TopicName
from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.mapping import SourceMapping, load_file
from pivotwatch.ingest.network_lookup import NetworkLookup
from pivotwatch.ingest.pseudonyms import KeySource, Pseudonyms, load_keys
from pivotwatch_models.durations import parse_duration

HashedField = Annotated[str, Field(pattern=r"^(account|id|network|links(\..+)?)$")]


class SourceTopic(Table):
    """A source topic: its full name, and the source that writes it."""

    name: TopicName
    source: str


class PseudonymSettings(Table):
    """The table ``[ingest.pseudonyms]``: fields that become pseudonyms, and the keys."""

    fields: list[HashedField] = ["account"]
    keys: list[KeySource] = []

    @model_validator(mode="after")
    def _has_keys(self) -> PseudonymSettings:
        if not self.keys:
            raise ValueError("expected at least one entry in keys")
        return self


class HttpSettings(Table):
    """The table ``[ingest.http]``: the HTTP server. Without the table there is no server.

    Attributes
    ----------
    max_body, max_events
        Largest body in bytes (decompressed), and largest number of records in a body.
    max_pending
        Bytes of bodies that may wait for the broker; beyond that clients get status 429.
    broker_timeout
        How long a request waits for Kafka before it gets status 503.
    dedup_window
        How long the server remembers ids of events, to recognise repeats.
    allow_without_token
        Whether every program of this machine may post events. Otherwise a token or a signature is required.
    on_bad
        What happens to a body with bad records: ``refuse`` the whole body, or accept the good records and
        make ``dead_letters`` of the others.
    """

    host: str = "127.0.0.1"
    port: Port
    sources: list[str] = ["native"]
    token_env: str | None = None
    token_file: Path | None = None
    hmac_env: str | None = None
    hmac_file: Path | None = None
    allow_without_token: bool = False
    max_body: Annotated[int, Field(ge=1024)] = 8_000_000
    max_events: Annotated[int, Field(ge=1)] = 50_000
    max_pending: Annotated[int, Field(ge=1024)] = 64_000_000
    broker_timeout: PositiveDuration = parse_duration("10s")
    dedup_window: PositiveDuration = parse_duration("10m")
    on_bad: Literal["refuse", "dead_letters"] = "refuse"

    @model_validator(mode="after")
    def _is_guarded(self) -> HttpSettings:
        if self.has_secret and self.allow_without_token:
            raise ValueError("allow_without_token: remove it, because a token or an HMAC secret is set")
        if self.has_secret:
            return self
        if not is_loopback(self.host):
            raise ValueError(f"other machines can reach host {self.host}: set token_file or hmac_file")
        if not self.allow_without_token:
            raise ValueError(
                "expected token_file, token_env, hmac_file or hmac_env; allow_without_token = true lets "
                "every program of this machine post events"
            )
        return self

    @property
    def has_secret(self) -> bool:
        """Whether a client needs a token or a signature."""
        return bool(self.token_env or self.token_file or self.hmac_env or self.hmac_file)

    def token(self) -> bytes | None:
        """The bearer token, or None when none is configured."""
        if not (self.token_env or self.token_file):
            return None
        return read_secret("ingest.http token", self.token_env, self.token_file)

    def hmac_key(self) -> bytes | None:
        """The secret of signatures, or None when none is configured."""
        if not (self.hmac_env or self.hmac_file):
            return None
        return read_secret("ingest.http hmac", self.hmac_env, self.hmac_file)


class IngestSettings(Table):
    """The table ``[ingest]``.

    Attributes
    ----------
    topics
        The source topics.
    mappings
        The user's own mapping files by source.
    trusted_hops
        See `pivotwatch.ingest.network_lookup.client_of`.
    asn_database
        A database in MaxMind format.
    pseudonyms
        Which fields become pseudonyms, and the keys.
    dead_letters
        What the dead letter of a document holds; see `pivotwatch.ingest.rejects.dead_letter`.
    http
        The HTTP server; without the table there is none.

    Examples
    --------
    >>> settings = read_settings({"topics": [{"name": "otlp_spans", "source": "otlp_json"}]})
    >>> settings.topics[0].name, settings.dead_letters
    ('otlp_spans', 'redacted')
    >>> read_settings({"topics": [{"name": "spans", "sorce": "otlp_json"}]})
    Traceback (most recent call last):
    pivotwatch.base.errors.WrongUse: [ingest] topics.0.source: required, but missing
    [ingest] topics.0.sorce: no such key; did you mean source?
    """

    topics: list[SourceTopic] = []
    mappings: dict[str, Path] = {}
    trusted_hops: Annotated[int, Field(ge=0, le=10)] = 0
    asn_database: Path | None = None
    pseudonyms: PseudonymSettings | None = None
    dead_letters: Literal["redacted", "full", "empty"] = "redacted"
    http: HttpSettings | None = None

    @model_validator(mode="after")
    def _no_topic_twice(self) -> IngestSettings:
        names = [topic.name for topic in self.topics]
        if len(set(names)) < len(names):
            raise ValueError("topics: expected a different name for each topic")
        return self


class Decoders:
    """The decoders of a configuration. They share databases and keys.

    Examples
    --------
    >>> decoders = Decoders(read_settings({}))
    >>> decoders.of("kong").mapping.form
    'json'
    """

    def __init__(self, settings: IngestSettings) -> None:
        self._own = settings.mappings
        self._networks = NetworkLookup(settings.asn_database, settings.trusted_hops)
        table = settings.pseudonyms
        self.pseudonyms = Pseudonyms(table.fields, load_keys(table.keys)) if table else None
        self._made: dict[str, Decoder] = {}

    def of(self, source: str) -> Decoder:
        """The decoder of a source."""
        if source not in self._made:
            hashed = self.pseudonyms.covers if self.pseudonyms else lambda _: False
            mapping = SourceMapping(source, load_file(source, self._own), hashed)
            self._made[source] = Decoder(mapping, self._networks, self.pseudonyms)
        return self._made[source]


def read_settings(table: dict[str, Any]) -> IngestSettings:
    """Read the table; see `pivotwatch.config.tables.read_table`."""
    return read_table("ingest", IngestSettings, table, _KEYS)


def refuse_own_topics(config: Config, settings: IngestSettings) -> None:
    """Refuse source topics that pivotwatch itself writes: their events would loop for ever.

    Raises
    ------
    WrongUse
        When a source topic is a topic of pivotwatch.
    """
    own = {config.topic(name): name for name in get_args(Logical)}
    for topic in settings.topics:
        if topic.name in own:
            raise WrongUse(
                f"[ingest] topics: {topic.name} is the topic {own[topic.name]} of pivotwatch itself; "
                "let the source write to another topic"
            )


_KEYS = sorted(
    {
        name
        for table in (IngestSettings, SourceTopic, PseudonymSettings, HttpSettings, KeySource)
        for name in table.model_fields
    }
)
