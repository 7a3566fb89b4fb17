"""Health by progress: a worker is alive while its offsets move, or no records wait.

A running process proves little: a consumer may have stalled after an outage or a rebalance, or an agent may
hang. So a second consumer asks the broker where the input ends. A partition is stalled when its offset has
not moved for ``stalled_after`` although records wait; the worker should then be restarted. Nothing counts as
stalled while the broker does not answer, because a restart would not help.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pivotwatch.base.errors import OutOfReach
from pivotwatch.config.config import Config
from pivotwatch.engine.kafka.async_client import reader
from pivotwatch.engine.types import TP

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 30.0
Key = TP | str
"""A partition of the input, or the name of other work."""
JOINING = "joining the group"
"""The work of a worker without partitions: it joins the group or reads its state."""


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """The offset of a part of the work, since when it has this offset, and whether records wait."""

    offset: int
    since: float
    waits: bool


class Worker(Protocol):
    """The worker whose health is judged."""

    def progress(self) -> Mapping[Key, int]:
        """The next offset of each partition. Without partitions: `JOINING`, with a number that grows."""

    def due(self) -> Mapping[Key, int]:
        """How far other work should be. For partitions the broker says so."""

    def label(self, tp: TP, /) -> str:
        """The name of a partition."""

    def is_ready(self) -> bool:
        """Whether all state is loaded."""

    def held(self) -> str:
        """Why the work is held until a person acts; empty when it is not."""


class Health:
    """Judges a worker by its progress.

    Parameters
    ----------
    worker
        The worker.
    stalled_after
        Seconds without progress after which work is stalled.

    Attributes
    ----------
    stalled
        Labels of the stalled work.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> health = Health(SimpleNamespace(label=str, due=dict), stalled_after=60)
    >>> health.look(0, {"posts": 5}, ends={"posts": 9})
    >>> health.look(61, {"posts": 5}, ends={"posts": 9})
    >>> health.stalled
    ['posts']
    >>> health.look(62, {"posts": 6}, ends={"posts": 9})
    >>> health.stalled
    []
    """

    def __init__(self, worker: Worker, stalled_after: float) -> None:
        self.worker = worker
        self.stalled_after = stalled_after
        self.stalled: list[str] = []
        self._marks: dict[Key, Mark] = {}

    def look(self, now: float, progress: Mapping[Key, int], ends: Mapping[Key, int] | None) -> None:
        """Compare progress with the last look.

        Parameters
        ----------
        now
            Seconds of a monotonic clock.
        progress
            The progress of the worker.
        ends
            The end of each part of the work; None when the broker does not answer.
        """
        marks = {}
        for key, offset in progress.items():
            before = self._marks.get(key)
            waits = ends is not None and (key == JOINING or offset < ends.get(key, 0))
            stands = before is not None and (before.offset, before.waits) == (offset, waits)
            marks[key] = before if before and stands else Mark(offset, now, waits)
        self._marks = marks
        stalled = [
            self._label(key)
            for key, mark in _sorted(marks)
            if mark.waits and now - mark.since > self.stalled_after
        ]
        for name in stalled:
            if name not in self.stalled:
                logger.error("stalled for %.0f s: %s; restart this worker", self.stalled_after, name)
        self.stalled = stalled

    async def watch(self, config: Config) -> None:
        """Compare progress every few seconds; never returns and never raises."""
        every = min(5.0, self.stalled_after / 4)
        while True:
            try:
                async with reader(config) as consumer:
                    while True:
                        self._look(await asyncio.wait_for(self.ends(consumer), ANSWER_SECONDS))
                        await asyncio.sleep(every)
            except (KafkaError, OutOfReach, OSError, TimeoutError):
                self._look(None)
                await asyncio.sleep(every)

    async def ends(self, consumer: AIOKafkaConsumer[bytes, bytes]) -> dict[Key, int]:
        """Ask the broker where each partition ends."""
        tps = [TopicPartition(*key) for key in self.worker.progress() if isinstance(key, tuple)]
        if not tps:
            await consumer.topics()  # Checks that the broker answers.
        ends = await consumer.end_offsets(tps) if tps else {}
        return {**{TP(*tp): end for tp, end in ends.items()}, **self.worker.due()}

    def _look(self, ends: Mapping[Key, int] | None) -> None:
        self.look(time.monotonic(), self.worker.progress(), ends)

    def _label(self, key: Key) -> str:
        return self.worker.label(key) if isinstance(key, tuple) else key

    def report(self) -> dict[str, Any]:
        """The content of ``/health`` and ``/ready``."""
        now = time.monotonic()
        return {
            "alive": not self.stalled,
            "ready": self.worker.is_ready(),
            "partitions": {
                self._label(key): {
                    "offset": mark.offset,
                    "waits": mark.waits,
                    "for_s": round(now - mark.since, 1),
                }
                for key, mark in _sorted(self._marks)
                if key != JOINING
            },
            "stalled": self.stalled,
            **({"held": held} if (held := self.worker.held()) else {}),
        }

    def add_pages(self, app: web.Application) -> None:
        """Serve ``/health`` (503: restart this worker) and ``/ready`` (503: not ready yet)."""

        def page(key: str) -> Callable[[web.Request], Awaitable[web.Response]]:
            async def answer(_: web.Request) -> web.Response:
                report = self.report()
                return web.json_response(report, status=200 if report[key] else 503)

            return answer

        app.router.add_get("/health", page("alive"))
        app.router.add_get("/ready", page("ready"))


def _sorted(marks: Mapping[Key, Mark]) -> list[tuple[Key, Mark]]:
    return sorted(marks.items(), key=lambda item: (isinstance(item[0], str), item[0]))
