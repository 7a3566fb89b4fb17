"""Who may do what on Kafka: the least that each role needs, as access control lists.

A role is a user of its own (``pivotwatch-accounts``). `grants` says what it may do, `commands` how to
tell the broker. ``python -m pivotwatch.engine.kafka.acls`` prints those for a configuration from the
environment.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, get_args

from pivotwatch.config.config import Config, Logical, load

User = Literal["accounts", "networks", "delivery", "ingest", "web", "tail", "audit", "topics"]
USERS: tuple[User, ...] = ("accounts", "networks", "delivery", "ingest", "web", "tail", "audit", "topics")

Operation = Literal["Read", "Write", "Describe", "Create", "DescribeConfigs"]


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """What is allowed on one resource.

    Attributes
    ----------
    resource
        Of which kind.
    name
        Its whole name.
    operations
        To read or to write includes to describe.
    """

    resource: Literal["topic", "group"]
    name: str
    operations: tuple[Operation, ...]


# What a user reads, writes and only looks at. A role with a state has a changelog, and a group, of its own.
READ: dict[User, tuple[Logical, ...]] = {
    "accounts": ("requests", "buckets"),
    "networks": ("buckets", "releases", "decisions"),
    "delivery": ("alerts", "deliveries_dlq"),  # The dead letters for `dlq redrive`.
    "web": ("alerts", "status", "decisions", "sessions"),
    "tail": ("alerts",),
    "audit": ("decisions",),
}
WRITE: dict[User, tuple[Logical, ...]] = {
    "accounts": ("buckets", "dlq"),
    "networks": ("alerts", "status", "dlq"),
    "delivery": ("deliveries_dlq",),
    "ingest": ("requests", "dlq"),
    "web": ("decisions", "sessions"),  # The sessions for `sessions list` and `sessions end` too.
}
LOOK: dict[User, tuple[Logical, ...]] = {"networks": ("requests",)}
STATEFUL: tuple[User, ...] = ("accounts", "networks", "delivery")
GROUPS: tuple[User, ...] = ("accounts", "networks", "delivery", "ingest")


def grants(config: Config, user: User, sources: Sequence[str] = ()) -> list[Grant]:
    """What a user needs.

    Parameters
    ----------
    config
        Its topics and prefixes are the names.
    user
        A role, ``tail`` for those who only follow alerts, ``audit`` for those who list
        decisions, ``topics`` for who creates the topics.
    sources
        The topics that ``ingest`` reads.

    Examples
    --------
    >>> for grant in grants(load(), "accounts"):
    ...     print(grant.resource, grant.name, *grant.operations)
    topic requests Read
    topic buckets Read
    topic buckets Write
    topic requests.dlq Write
    topic pivotwatch-accounts-state-changelog Read Write Create
    group pivotwatch-accounts Read
    """
    found = [Grant("topic", config.topic(logical), ("Read",)) for logical in READ.get(user, ())]
    found += [Grant("topic", config.topic(logical), ("Write",)) for logical in WRITE.get(user, ())]
    found += [Grant("topic", config.topic(logical), ("Describe",)) for logical in LOOK.get(user, ())]
    if user == "topics":
        every: tuple[Operation, ...] = ("Create", "Describe", "DescribeConfigs")
        found += [Grant("topic", config.topic(logical), every) for logical in get_args(Logical)]
    if user == "ingest":
        found += [Grant("topic", source, ("Read",)) for source in sources]
    if user in STATEFUL:
        changelog = f"{config.app_id(user)}-state-changelog"
        found.append(Grant("topic", changelog, ("Read", "Write", "Create")))
    if user in GROUPS:
        found.append(Grant("group", config.app_id(user), ("Read",)))
    return found


def commands(config: Config, user: User, sources: Sequence[str] = ()) -> list[str]:
    """The commands of Kafka's own tool that allow it.

    Examples
    --------
    >>> print(commands(load(brokers="kafka:9093"), "tail")[0])
    kafka-acls.sh --bootstrap-server kafka:9093 --command-config admin.properties --add \
    --allow-principal User:pivotwatch-tail --operation Read --topic alerts
    """
    start = f"kafka-acls.sh --bootstrap-server {config.brokers} --command-config admin.properties --add"
    return [
        f"{start} --allow-principal User:pivotwatch-{user} "
        + " ".join(f"--operation {operation}" for operation in grant.operations)
        + f" --{grant.resource} {grant.name}"
        for grant in grants(config, user, sources)
    ]


if __name__ == "__main__":
    for one in USERS:
        print(*commands(load(), one), sep="\n")
