"""Fixtures that create topics on a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pytest
from kafka.admin import KafkaAdminClient, NewTopic


class MakeTopic(Protocol):
    """Creates a topic and returns its name."""

    def __call__(self, name: str, partitions: int = 1, **configs: str) -> str: ...


@pytest.fixture(scope="session")
def admin(broker: str) -> Iterator[KafkaAdminClient]:
    """An admin client of the session's broker."""
    client = KafkaAdminClient(bootstrap_servers=broker)
    yield client
    client.close()


@pytest.fixture
def make_topic(admin: KafkaAdminClient, topic_prefix: str) -> MakeTopic:
    """Create topics named ``topic_prefix + name``; keywords (``cleanup_policy="compact"``) set configs."""

    def make(name: str, partitions: int = 1, **configs: str) -> str:
        topic = topic_prefix + name
        dotted = {key.replace("_", "."): value for key, value in configs.items()}
        admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=dotted)])
        return topic

    return make
