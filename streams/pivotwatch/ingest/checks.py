"""The checks of ``[ingest]`` for `pivotwatch doctor`: settings, secrets, mappings and samples of topics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from pivotwatch.base.addresses import is_loopback
from pivotwatch.base.checks import Check
from pivotwatch.base.errors import Fault
from pivotwatch.config.config import Config
from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.settings import (
    Decoders,
    HttpSettings,
    IngestSettings,
    read_settings,
    refuse_own_topics,
)

NAME = "ingest"


def check_settings(config: Config) -> Iterator[Check]:
    """Check that a worker of the role can start. Without a table ``[ingest]`` there is no check."""
    if not config.ingest:
        return
    try:
        settings = read_settings(config.ingest)
        refuse_own_topics(config, settings)
        sources = used_decoders(settings)
    except Fault as fault:
        yield Check(
            NAME, "fail", str(fault), "correct [ingest]; streams/pivotwatch/ingest/README.md lists the keys"
        )
        return
    if not settings.topics and settings.http is None:
        yield Check(NAME, "fail", "[ingest] has neither topics nor http", "set topics, http or both")
    else:
        yield Check(NAME, "ok", f"the mappings, keys and databases of {', '.join(sources)} can be read")
    if settings.http is not None:
        yield from _check_http(settings.http)
    hashed = settings.pseudonyms.fields if settings.pseudonyms else []
    if "network" in hashed and config.network_classes:
        message = "networks become pseudonyms, so no line of network_classes can match"
        yield Check(
            NAME, "warn", message, "remove network from ingest.pseudonyms.fields, or unset network_classes"
        )


def used_decoders(settings: IngestSettings) -> dict[str, Decoder]:
    """The decoders of all sources that the settings use, by source.

    Raises
    ------
    Fault
        When a mapping, a secret or a database cannot be read.
    """
    decoders = Decoders(settings)
    http = settings.http
    if http is not None:
        http.token()
        http.hmac_key()
    names = [topic.source for topic in settings.topics] + (http.sources if http else [])
    return {name: decoders.of(name) for name in dict.fromkeys(names)}


def _check_http(http: HttpSettings) -> Iterator[Check]:
    if not is_loopback(http.host):
        message = f"clients send events and tokens to {http.host}:{http.port} without encryption"
        yield Check(NAME, "warn", message, "let only a proxy that terminates TLS reach this port")
    elif not http.has_secret:
        message = "every program of this machine may post events: allow_without_token is true"
        yield Check(NAME, "warn", message, "set ingest.http.token_file or ingest.http.hmac_file instead")


def check_sample(topic: str, decoder: Decoder, values: Iterable[bytes | None]) -> Check:
    """Check that messages of a topic become events.

    Examples
    --------
    >>> from pivotwatch.ingest.settings import Decoders, read_settings
    >>> native = Decoders(read_settings({})).of("native")
    >>> print(check_sample("log", native, [b'{"id":"r","ts":1,"model":"m"}']).next_step)
    most frequent error (1): account: nothing at /account; `pivotwatch mapping check` shows each field
    """
    events = skipped = bad = 0
    problems: Counter[str] = Counter()
    for value in values:
        decoded = decoder.decode(value)
        events, skipped, bad = (
            events + len(decoded.events),
            skipped + decoded.skipped,
            bad + decoded.bad_total,
        )
        problems.update(str(one.error) for one in decoded.bad)
    name = decoder.mapping.name
    if not events + skipped + bad:
        return Check(NAME, "warn", f"{topic} is empty", "let the gateway write to it, then run this again")
    message = (
        f"{topic} as source {name}: {events:,} events, {skipped:,} no requests or repeats, {bad:,} unreadable"
    )
    if bad:
        worst, count = problems.most_common(1)[0]
        step = f"most frequent error ({count:,}): {worst}; `pivotwatch mapping check` shows each field"
        return Check(NAME, "fail" if bad > events else "warn", message, step)
    if not events:
        return Check(NAME, "warn", message, f"check that {name} is the source that writes this topic")
    return Check(NAME, "ok", message)
