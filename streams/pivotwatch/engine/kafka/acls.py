"""Access control lists: the minimal rights of each role on Kafka.

Each role is a user (``pivotwatch-accounts``). `grants` lists its rights, and `commands` the commands that
grant them. ``python -m pivotwatch.engine.kafka.acls`` prints the commands for the configuration in the
environment.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, get_args

from pivotwatch.config.config import Config, load
from pivotwatch.config.topic_settings import Logical
from pivotwatch.engine.kafka.topics import changelog_name

User = Literal["accounts", "networks", "delivery", "ingest", "web", "tail", "audit", "topics"]
USERS: tuple[User, ...] = ("accounts", "networks", "delivery", "ingest", "web", "tail", "audit", "topics")

Operation = Literal["Read", "Write", "Describe", "Create", "DescribeConfigs"]


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """Rights on one resource.

    Attributes
    ----------
    resource
        Kind of the resource.
    name
        Full name of the resource.
    operations
        The allowed operations. Read and Write include Describe.
    """

    resource: Literal["topic", "group"]
    name: str
    operations: tuple[Operation, ...]


# The topics that a user reads, writes, and only describes. A role with state also has a changelog.
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
DESCRIBE: dict[User, tuple[Logical, ...]] = {"networks": ("requests",)}
STATEFUL: tuple[Literal["accounts", "networks", "delivery"], ...] = ("accounts", "networks", "delivery")
GROUPS: tuple[User, ...] = ("accounts", "networks", "delivery", "ingest")


def grants(config: Config, user: User, sources: Sequence[str] = ()) -> list[Grant]:
    """The rights that a user needs.

    Parameters
    ----------
    config
        Its topics and prefixes determine the names.
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
    found += [Grant("topic", config.topic(logical), ("Describe",)) for logical in DESCRIBE.get(user, ())]
    if user == "topics":
        every: tuple[Operation, ...] = ("Create", "Describe", "DescribeConfigs")
        found += [Grant("topic", config.topic(logical), every) for logical in get_args(Logical)]
        found += [Grant("topic", changelog_name(config, role), every) for role in STATEFUL]
    if user == "ingest":
        found += [Grant("topic", source, ("Read",)) for source in sources]
    if user in STATEFUL:
        found.append(Grant("topic", changelog_name(config, user), ("Read", "Write", "Create")))
    if user in GROUPS:
        found.append(Grant("group", config.app_id(user), ("Read",)))
    return found


def commands(config: Config, user: User, sources: Sequence[str] = ()) -> list[str]:
    """The commands of Kafka's own tool that grant the rights.

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
