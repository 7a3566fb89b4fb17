"""Health by progress: a worker is alive while its offsets move, or nothing waits for it.

A process that runs proves little: a consumer may have stalled after a broker's outage or a
rebalance, an agent may hang. So the broker is asked, past the consumer that is judged, where
the input ends. A partition whose offset has not moved for ``stalled_after`` while records
wait is stalled, and the worker should be restarted. Nothing is held against it while the
broker does not answer: a restart would not help.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from pivotwatch.base.errors import OutOfReach
from pivotwatch.config.config import Config
from pivotwatch.engine.kafka.async_client import reader

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 30.0
Key = int | str
"""A partition by its number, or by a name where there are several topics."""
JOINING = -1
"""Stands for the time without partitions: joining the group, recovering the state."""


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """Where a partition was last seen, since when, and whether records wait for it there."""

    offset: int
    since: float
    waits: bool


class Worker(Protocol):
    """What is judged."""

    def progress(self) -> Mapping[Any, int]:
        """Partition to the next offset; `JOINING` to any number that grows while there are none."""

    def is_ready(self) -> bool:
        """Is all state recovered?"""


class Health:
    """Judges a worker by its progress.

    Parameters
    ----------
    worker
        The worker.
    stalled_after
        Seconds.

    Examples
    --------
    >>> health = Health(worker=None, stalled_after=60)
    >>> health.look(0, {0: 5}, ends={0: 9})
    >>> health.look(61, {0: 5}, ends={0: 9})
    >>> health.stalled
    [0]
    >>> health.look(62, {0: 6}, ends={0: 9})
    >>> health.stalled
    []
    """

    def __init__(self, worker: Worker | None, stalled_after: float) -> None:
        self.worker = worker
        self.stalled_after = stalled_after
        self.stalled: list[Key] = []
        self._marks: dict[Key, Mark] = {}

    def look(self, now: float, progress: Mapping[Any, int], ends: Mapping[Any, int] | None) -> None:
        """Compare progress with the last look.

        Parameters
        ----------
        now
            Seconds of a monotonic clock.
        progress
            As the worker says.
        ends
            Where each partition ends; None when the broker does not answer.
        """
        marks = {}
        for partition, offset in progress.items():
            before = self._marks.get(partition)
            waits = ends is not None and (partition == JOINING or offset < ends.get(partition, 0))
            mark = Mark(offset, now, waits)
            stands = before is not None and (before.offset, before.waits) == (offset, waits)
            marks[partition] = before if before and stands else mark
        self._marks = marks
        stalled = [p for p, mark in _sorted(marks) if mark.waits and now - mark.since > self.stalled_after]
        for partition in stalled:
            if partition not in self.stalled:
                what = "joining the group" if partition == JOINING else f"partition {partition}"
                logger.error("stalled for %.0f s: %s; restart this worker", self.stalled_after, what)
        self.stalled = stalled

    async def watch(self, config: Config, source: str) -> None:
        """Look again and again; never returns, never raises."""
        every = min(5.0, self.stalled_after / 4)
        while True:
            try:
                async with reader(config) as consumer:
                    while True:
                        self._look(await asyncio.wait_for(self.ends(consumer, source), ANSWER_SECONDS))
                        await asyncio.sleep(every)
            except (KafkaError, OutOfReach, OSError, TimeoutError):
                self._look(None)
                await asyncio.sleep(every)

    async def ends(self, consumer: Any, source: str) -> dict[Key, int]:
        """Ask the broker where each partition ends."""
        asked = [p for p in self.worker.progress() if p != JOINING] if self.worker else []
        ends = await consumer.end_offsets([TopicPartition(source, p) for p in asked or [0]])
        return {tp.partition: end for tp, end in ends.items()}

    def _look(self, ends: Mapping[Key, int] | None) -> None:
        assert self.worker is not None
        self.look(time.monotonic(), self.worker.progress(), ends)

    def report(self) -> dict[str, Any]:
        """What the pages show."""
        assert self.worker is not None
        now = time.monotonic()
        return {
            "alive": not self.stalled,
            "ready": self.worker.is_ready(),
            "partitions": {
                str(p): {"offset": mark.offset, "waits": mark.waits, "for_s": round(now - mark.since, 1)}
                for p, mark in _sorted(self._marks)
                if p != JOINING
            },
            "stalled": self.stalled,
        }

    def add_pages(self, app: Any) -> None:
        """Serve ``/health`` (503: restart me) and ``/ready`` (503: not yet) on the app's web server."""

        async def health(view: Any, request: Any) -> Any:
            report = self.report()
            return view.json(report, status=200 if report["alive"] else 503)

        async def ready(view: Any, request: Any) -> Any:
            report = self.report()
            return view.json(report, status=200 if report["ready"] else 503)

        app.page("/health", name="health")(health)
        app.page("/ready", name="ready")(ready)


def _sorted(marks: Mapping[Key, Mark]) -> list[tuple[Key, Mark]]:
    return sorted(marks.items(), key=lambda item: (isinstance(item[0], str), item[0]))
