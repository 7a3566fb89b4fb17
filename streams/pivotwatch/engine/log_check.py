"""Compares what was read with the logs that Kafka has: at an assignment, at a new leader, and on a timer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, MutableMapping
from typing import ClassVar, TypeVar

import msgspec

from pivotwatch.config.config import Config
from pivotwatch.engine.kafka import logs
from pivotwatch.engine.log_position import GONE, Answer, LogPosition, check
from pivotwatch.engine.types import TP

logger = logging.getLogger(__name__)

T = TypeVar("T")
Positions = MutableMapping[TP, LogPosition]
"""What was read of partitions; a check adds the ids of their topics."""


class LogCheck:
    """Compares positions with the logs of Kafka.

    Parameters
    ----------
    config
        The configuration.
    positions
        What is compared.
    remedy
        What a person does when a topic has changed.

    Attributes
    ----------
    every
        Seconds between two checks.
    gone_every
        Seconds to the next check after one that missed a topic.
    deadline
        Seconds after which an answer is no longer waited for.
    """

    every: ClassVar[float] = 30.0
    gone_every: ClassVar[float] = 5.0
    deadline: ClassVar[float] = 10.0

    def __init__(
        self,
        config: Config,
        positions: Callable[[], Iterable[Positions]],
        remedy: Callable[[str], str],
    ) -> None:
        self._config = config
        self._positions = positions
        self._remedy = remedy
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._gone: set[str] = set()

    def soon(self) -> None:
        """Check at once: a partition has a new leader, or is no longer assigned."""
        self._wanted.set()

    async def watch(self) -> None:
        """Check again and again.

        Raises
        ------
        LogChanged
            When a log is not the one that was read.
        """
        while True:
            try:
                async with asyncio.timeout(min(self.every, self.gone_every) if self._gone else self.every):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            await self.check(*self._positions())

    async def check(self, *held: Positions) -> None:
        """Compare positions now; without an answer in time they pass.

        Raises
        ------
        LogChanged
            When a log is not the one that was read.
        """
        asked = [(positions, dict(positions)) for positions in held]
        epochs: dict[TP, list[int]] = {}
        for _, copy in asked:
            for tp, position in copy.items():
                epochs[tp] = sorted({*epochs.get(tp, ()), *(epoch for epoch, _ in position.read)})
        if not epochs:
            return
        try:
            async with asyncio.timeout(self.deadline):
                answer = await in_thread(lambda: logs.ask(self._config, epochs))
        except TimeoutError:
            logger.warning("Kafka did not say in %.0f s which logs it has; asked again later", self.deadline)
            return
        answer = self._twice_gone(answer)
        for positions, copy in asked:
            for tp, position in copy.items():
                check(tp, position, answer, self._remedy(tp.topic))
                if tp in positions:
                    positions[tp] = positions[tp].compared(position, answer.ids.get(tp.topic, ""))

    def _twice_gone(self, answer: Answer) -> Answer:
        """A topic counts as deleted when it is gone twice: a broker that starts does not know all."""
        gone = {topic for topic, topic_id in answer.ids.items() if topic_id == GONE}
        known = {topic: one for topic, one in answer.ids.items() if one != GONE or topic in self._gone}
        self._gone = gone
        return Answer(known, answer.ends)


MOST_TEXT = 1_000
"""Characters that are committed with an offset; a broker takes 4,096 bytes."""


def committed_text(position: LogPosition) -> str:
    """The text that the group keeps with a committed offset.

    Examples
    --------
    >>> committed_text(LogPosition("3f", ((4, 800),)))
    '["3f",[[4,800]]]'
    """
    text = msgspec.json.encode(position.encoded()).decode()
    shorter = LogPosition(position.topic_id, position.read[-1:])
    return text if len(text) <= MOST_TEXT else msgspec.json.encode(shorter.encoded()).decode()


async def committed_positions(config: Config, group: str) -> dict[TP, LogPosition]:
    """What the texts say that a group has committed; texts of others say nothing."""
    try:
        async with asyncio.timeout(LogCheck.deadline):
            texts = await in_thread(lambda: logs.committed_metadata(config, group))
    except TimeoutError:
        return {}
    found = {}
    for tp, text in (texts or {}).items():
        with contextlib.suppress(msgspec.MsgspecError):
            found[tp] = msgspec.json.decode(text, type=LogPosition)
    return found


async def in_thread(act: Callable[[], T]) -> T:
    """Do something that may hang in a thread that does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(give: Callable[[], None]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if future.done() else give())

    def run() -> None:
        try:
            result = act()
        except Exception as error:
            failure = error
            settle(lambda: future.set_exception(failure))
        else:
            settle(lambda: future.set_result(result))

    threading.Thread(target=run, name="log check", daemon=True).start()
    return await future
