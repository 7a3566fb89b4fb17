"""The role ``ingest``: reads topics of other systems in a consumer group, or serves HTTP, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.config.config import Config
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.runtime import build_app, run_app
from pivotwatch.ingest.settings import read_settings, refuse_own_topics
from pivotwatch.ingest.worker import IngestTask


def run(config: Config, *, instance: str | None, until_end: bool, reset_state: bool) -> int:
    """Run the worker in this process until a signal or the end of its input; return the exit status.

    The role has no state to reset.

    Raises
    ------
    Fault
        With a message for a person.
    """
    settings = read_settings(config.ingest)
    if not settings.topics and settings.http is None:
        raise WrongUse("ingest has nothing to do: [ingest] names neither topics nor http")
    if until_end and not settings.topics:
        raise WrongUse("--until-end needs [[ingest.topics]]: posts have no end")
    refuse_own_topics(config, settings)
    requests, sources = config.topic("requests"), [topic.name for topic in settings.topics]
    partitions = sync_client.survey(config, [requests]).partitions[requests]
    seen = survey_sources(config, sources)
    task = IngestTask(config, settings, partitions=partitions, identities=identities(config, sources))
    app = build_app(config, task, instance, sources=sources, until_end=seen.ends if until_end else None)
    return run_app(config, app, instance)


def survey_sources(config: Config, sources: Sequence[str]) -> sync_client.Survey:
    """Read partitions and ends of the source topics.

    Raises
    ------
    OutOfReach
        When a topic does not exist.
    """
    with sync_client.consumer(config) as client:
        there = client.topics()
    for name in sources:
        if name not in there:
            problem = f"there is no topic {name}, which [ingest] topics names"
            raise OutOfReach(problem + sync_client.or_hidden(config.sasl_username))
    return sync_client.survey(config, sources)


def identities(config: Config, sources: Sequence[str]) -> dict[str, str]:
    """Topic to its name and id. The id distinguishes a topic that was deleted and created again."""
    if not sources:
        return {}
    with sync_client.admin(config) as admin:
        return {topic["name"]: _identity(topic) for topic in admin.describe_topics(list(sources))}


def _identity(topic: Mapping[str, Any]) -> str:
    identity = str(topic.get("topic_id") or "").replace("-", "")
    return f"{topic['name']}:{identity}" if identity.strip("0") else str(topic["name"])
