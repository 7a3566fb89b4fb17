"""The table ``[ingest]`` of the configuration, and the decoders that it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from pivotwatch.base.durations import PositiveDuration, parse_duration
from pivotwatch.base.errors import WrongUse
from pivotwatch.base.secrets import read_secret
from pivotwatch.config.config import Config, Logical, Port, TopicName
from pivotwatch.config.tables import Table, read_table
from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.mapping import SourceMapping, load_file
from pivotwatch.ingest.network_lookup import NetworkLookup
from pivotwatch.ingest.pseudonyms import KeySource, Pseudonyms, load_keys

HashedField = Annotated[str, Field(pattern=r"^(account|id|network|links(\..+)?)$")]
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class SourceTopic(Table):
    """A topic of others, and what writes it."""

    name: TopicName
    source: str


class PseudonymSettings(Table):
    """Which fields become pseudonyms, under which keys."""

    fields: list[HashedField] = ["account"]
    keys: list[KeySource] = []

    @model_validator(mode="after")
    def _has_keys(self) -> PseudonymSettings:
        if not self.keys:
            raise ValueError("expected keys: without one nothing can be replaced")
        return self


class HttpSettings(Table):
    """The HTTP server; without it there is none.

    Attributes
    ----------
    max_pending
        Bytes of bodies that wait for the broker; beyond it posters are told to come later.
    on_bad
        ``refuse`` the whole body, or take what is good and make ``dead_letters`` of the rest.
    """

    host: str = "127.0.0.1"
    port: Port
    sources: list[str] = ["native"]
    token_env: str | None = None
    token_file: Path | None = None
    hmac_env: str | None = None
    hmac_file: Path | None = None
    max_body: Annotated[int, Field(ge=1024)] = 8_000_000
    max_events: Annotated[int, Field(ge=1)] = 50_000
    max_pending: Annotated[int, Field(ge=1024)] = 64_000_000
    broker_timeout: PositiveDuration = parse_duration("10s")
    dedup_window: PositiveDuration = parse_duration("10m")
    on_bad: Literal["refuse", "dead_letters"] = "refuse"

    @model_validator(mode="after")
    def _is_guarded(self) -> HttpSettings:
        open_to_all = not (self.token_env or self.token_file or self.hmac_env or self.hmac_file)
        if open_to_all and self.host not in LOOPBACK:
            raise ValueError(f"host {self.host} is reached by others: expected token_file or hmac_file")
        return self

    def token(self) -> bytes | None:
        """The bearer token."""
        if not (self.token_env or self.token_file):
            return None
        return read_secret("ingest.http token", self.token_env, self.token_file)

    def hmac_key(self) -> bytes | None:
        """The secret of signatures."""
        if not (self.hmac_env or self.hmac_file):
            return None
        return read_secret("ingest.http hmac", self.hmac_env, self.hmac_file)


class IngestSettings(Table):
    """Everything about traffic of others.

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
            raise ValueError("topics: expected a different name for each")
        return self


class Decoders:
    """Makes the decoders of a configuration; they share databases and keys.

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
    """Read the table.

    Raises
    ------
    WrongUse
        With one line per mistake.
    """
    return read_table("ingest", IngestSettings, table, _KEYS)


def refuse_own_topics(config: Config, settings: IngestSettings) -> None:
    """What pivotwatch writes itself is no traffic of others: it would come round for ever.

    Raises
    ------
    WrongUse
        When a topic is one of our own.
    """
    own = {config.topic(name): name for name in get_args(Logical)}
    for topic in settings.topics:
        if topic.name in own:
            raise WrongUse(
                f"[ingest] topics: {topic.name} is pivotwatch's own topic of {own[topic.name]}; "
                "events go to a topic of another name first"
            )


_KEYS = sorted(
    {
        name
        for table in (IngestSettings, SourceTopic, PseudonymSettings, HttpSettings, KeySource)
        for name in table.model_fields
    }
)
