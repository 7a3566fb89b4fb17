"""What a person does when a topic was created again, or has lost records that were read."""

from __future__ import annotations

from pivotwatch.config.config import Config


def count_anew(config: Config, topic: str) -> str:
    """The commands that count again what `accounts` and `networks` have read of a topic.

    Bucket records of a lost or replaced part of ``requests`` must go too: of two records of one bucket,
    `networks` takes the first.

    Examples
    --------
    >>> from pivotwatch.config.config import load
    >>> count_anew(load(brokers="kafka:9092"), "requests")
    'Stop all workers of accounts and networks. Then run: \
kafka-topics.sh --bootstrap-server kafka:9092 --delete --topic buckets; pivotwatch topics create; \
pivotwatch worker --role accounts --reset-state; pivotwatch worker --role networks --reset-state \
(each with its --instance; without --reset-state at later starts)'
    """
    accounts, networks = (
        f"pivotwatch worker --role {role} --reset-state" for role in ("accounts", "networks")
    )
    create = "pivotwatch topics create"
    delete = f"kafka-topics.sh --bootstrap-server {config.brokers} --delete --topic {config.topic('buckets')}"
    note = "(each with its --instance; without --reset-state at later starts)"
    if topic == config.topic("requests"):
        steps = "; ".join([delete, create, accounts, networks])
    elif topic == config.topic("buckets"):
        steps = "; ".join([create, accounts, networks])
    else:
        steps = f"{create}; send again what {topic} should hold; {networks}"
        return f"Stop the workers of networks. Then run: {steps} {note}. accounts does not read this topic"
    return f"Stop all workers of accounts and networks. Then run: {steps} {note}"
