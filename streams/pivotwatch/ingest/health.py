"""Health of the role ``ingest``: the progress of its source partitions, and of its HTTP requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from aiokafka import TopicPartition

from pivotwatch.engine.health import JOINING, Health, Key
from pivotwatch.ingest.http_publisher import HttpPublisher

HTTP = "http"
"""The name of the HTTP requests among the names of the partitions."""


class IngestWorker(Protocol):
    """The worker that is checked: a `pivotwatch.engine.health.Worker` with partitions named by `name_of`."""

    http_publisher: HttpPublisher | None

    def progress(self) -> Mapping[Key, int]: ...
    def is_ready(self) -> bool: ...


def name_of(tp: tuple[str, int]) -> str:
    """The name of a source partition in metrics and on the health page.

    Examples
    --------
    >>> name_of(("llm-log", 3))
    'llm-log-3'
    """
    return f"{tp[0]}-{tp[1]}"


class IngestHealth(Health):
    """Checks the progress of a worker of this role."""

    worker: IngestWorker

    async def ends(self, consumer: Any, source: str) -> dict[Key, int]:
        """The end offset of each partition, and the number of HTTP requests so far."""
        names = [key for key in self.worker.progress() if key not in (HTTP, JOINING)]
        split = {name: str(name).rpartition("-") for name in names}
        tps = {TopicPartition(topic, int(number)): name for name, (topic, _, number) in split.items()}
        # At least one partition is needed, to learn whether the broker answers.
        found = await consumer.end_offsets(list(tps) or [TopicPartition(source, 0)])
        ends: dict[Key, int] = {tps[tp]: end for tp, end in found.items() if tp in tps}
        if self.worker.http_publisher is not None:
            ends[HTTP] = self.worker.http_publisher.total
        return ends


class HttpOnlyWorker:
    """A worker that serves HTTP and reads no topics."""

    live: Mapping[Any, Any] = {}

    def __init__(self) -> None:
        self.http_publisher: HttpPublisher | None = None

    def end_of(self, _: Any) -> int | None:
        """None, because the worker reads no partitions."""
        return None

    def progress(self) -> dict[Key, int]:
        """The number of finished HTTP requests."""
        return {} if self.http_publisher is None else {HTTP: self.http_publisher.finished}

    def is_ready(self) -> bool:
        """Whether the server listens."""
        return self.http_publisher is not None
