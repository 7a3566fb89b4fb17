"""What the doctor says of ``[ingest]``: settings, secrets and mappings, then samples of each topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from pivotwatch.base.checks import Check
from pivotwatch.base.errors import Fault
from pivotwatch.config.config import Config
from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.settings import (
    LOOPBACK,
    Decoders,
    HttpSettings,
    IngestSettings,
    read_settings,
    refuse_own_topics,
)

NAME = "ingest"


def judge_settings(config: Config) -> Iterator[Check]:
    """Can a worker of the role begin? Nothing is said when there is no table."""
    if not config.ingest:
        return
    try:
        settings = read_settings(config.ingest)
        refuse_own_topics(config, settings)
        sources = usable(settings)
    except Fault as fault:
        yield Check(
            NAME, "fail", str(fault), "mend [ingest]; streams/pivotwatch/ingest/README.md has its keys"
        )
        return
    if not settings.topics and settings.http is None:
        yield Check(NAME, "fail", "[ingest] names neither topics nor http", "say where traffic comes from")
    else:
        yield Check(NAME, "ok", f"mappings, keys and databases of {', '.join(sources)} can be read")
    if settings.http is not None:
        yield from _judge_http(settings.http)
    hashed = settings.pseudonyms.fields if settings.pseudonyms else []
    if "network" in hashed and config.network_classes:
        message = "networks become pseudonyms, so no line of network_classes ever fits"
        yield Check(
            NAME, "warn", message, "take network out of ingest.pseudonyms.fields, or do without classes"
        )


def usable(settings: IngestSettings) -> dict[str, Decoder]:
    """The decoders of all sources that are used.

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


def _judge_http(http: HttpSettings) -> Iterator[Check]:
    if http.host not in LOOPBACK:
        message = f"posts come to {http.host}:{http.port} without encryption, and tokens with them"
        yield Check(NAME, "warn", message, "let only a proxy that ends TLS reach this port")
    elif not (http.token_env or http.token_file or http.hmac_env or http.hmac_file):
        message = "whoever can log in on this machine may post: there is neither token nor signature"
        yield Check(NAME, "warn", message, "set ingest.http.token_file or ingest.http.hmac_file")


def judge_sample(topic: str, decoder: Decoder, values: Iterable[bytes | None]) -> Check:
    """Do the last messages of a topic become events?

    Examples
    --------
    >>> from pivotwatch.ingest.settings import Decoders, read_settings
    >>> native = Decoders(read_settings({})).of("native")
    >>> judge_sample("log", native, [b'{"id":"r","ts":1,"model":"m"}']).next_step
    'most often (1): account: nothing at /account; `pivotwatch mapping check` shows what a line becomes'
    """
    events = skipped = bad = 0
    problems: Counter[str] = Counter()
    for value in values:
        decoded = decoder.decode(value)
        events, skipped, bad = events + len(decoded.events), skipped + decoded.skipped, bad + decoded.bad
        problems.update(str(one.error) for one in decoded.misread)
    name = decoder.mapping.name
    if not events + skipped + bad:
        return Check(NAME, "warn", f"{topic} is empty", "let the gateway write to it, then ask again")
    message = (
        f"{topic}, read as {name}: {events:,} events, {skipped:,} are no requests, {bad:,} cannot be read"
    )
    if bad:
        worst, count = problems.most_common(1)[0]
        step = f"most often ({count:,}): {worst}; `pivotwatch mapping check` shows what a line becomes"
        return Check(NAME, "fail" if bad > events else "warn", message, step)
    if not events:
        return Check(NAME, "warn", message, "is it the source that writes this topic?")
    return Check(NAME, "ok", message)
