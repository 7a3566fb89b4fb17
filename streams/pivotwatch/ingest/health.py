"""Health of the role ``ingest``: its partitions by offset, and its HTTP side by posts that are answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from aiokafka import TopicPartition

from pivotwatch.engine.health import JOINING, Health, Key
from pivotwatch.ingest.http_publisher import HttpPublisher

HTTP = "http"
"""Stands for the posts, among the partitions."""


class Sources(Protocol):
    """What is judged: as `pivotwatch.engine.health.Worker`, its partitions named by `name_of`."""

    http_publisher: HttpPublisher | None

    def progress(self) -> Mapping[Key, int]: ...
    def is_ready(self) -> bool: ...


def name_of(tp: tuple[str, int]) -> str:
    """The name of a partition of others, in metrics and on the page of health.

    Examples
    --------
    >>> name_of(("llm-log", 3))
    'llm-log-3'
    """
    return f"{tp[0]}-{tp[1]}"


class IngestHealth(Health):
    """Judges a worker of this role. What posts wait for is known here, not by the broker."""

    worker: Sources

    async def ends(self, consumer: Any, source: str) -> dict[Key, int]:
        """Where each partition ends, and how many posts have come."""
        names = [key for key in self.worker.progress() if key not in (HTTP, JOINING)]
        split = {name: str(name).rpartition("-") for name in names}
        tps = {TopicPartition(topic, int(number)): name for name, (topic, _, number) in split.items()}
        # Somebody must be asked, to know that the broker answers.
        found = await consumer.end_offsets(list(tps) or [TopicPartition(source, 0)])
        ends: dict[Key, int] = {tps[tp]: end for tp, end in found.items() if tp in tps}
        if self.worker.http_publisher is not None:
            ends[HTTP] = self.worker.http_publisher.end
        return ends


class Posts:
    """The HTTP side alone, as a worker to be judged."""

    live: Mapping[Any, Any] = {}

    def __init__(self) -> None:
        self.http_publisher: HttpPublisher | None = None

    def end_of(self, _: Any) -> int | None:
        """Of partitions, and there are none."""
        return None

    def progress(self) -> dict[Key, int]:
        """How many posts are done with."""
        return {} if self.http_publisher is None else {HTTP: self.http_publisher.finished}

    def is_ready(self) -> bool:
        """Does it listen?"""
        return self.http_publisher is not None
