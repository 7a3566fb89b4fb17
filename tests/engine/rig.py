"""A live partition and a worker without Kafka."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any

from pivotwatch.config.config import Config, load
from pivotwatch.engine.checkpoint import Changelog, Checkpoints
from pivotwatch.engine.checkpoint_format import Epoch, Identity
from pivotwatch.engine.partition_task import PartitionTask
from pivotwatch.engine.producer import OutputSender
from pivotwatch.engine.role_task import RoleTask
from pivotwatch.engine.shell import Shell
from pivotwatch.engine.types import TP

HERE = Identity("accounts", 1, "")
REQUESTS = TP("requests", 0)


class NoLog:
    """A changelog that must not be written."""

    async def send(self, key: bytes, value: bytes | None) -> Any:
        raise AssertionError(key)


async def always() -> bool:
    """Whether the partition is ours: always."""
    return True


async def nowhere(topic: str, key: bytes | None, value: bytes | None, **how: Any) -> Any:
    """Fail: no record is expected."""
    raise AssertionError(topic)


class Inline(Executor):
    """Stands for the worker's thread: does everything at once, or, while it is held, nothing."""

    def __init__(self) -> None:
        self.held = False
        self.waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, fn: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, functools.partial(fn, *given, **named)))
        if not self.held:
            self.release()
        return future

    def release(self) -> None:
        """Do what waits, and from now on everything at once."""
        self.held = False
        while self.waiting:
            future, act = self.waiting.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(act())
                except Exception as error:
                    future.set_exception(error)


def live_partition(
    operator: Any,
    kind: type[PartitionTask[Any]] = PartitionTask,
    *,
    changelog: Changelog | None = None,
    send: Callable[..., Any] = nowhere,
    count: Callable[[Any], None] = lambda outputs: None,
    identity: Identity = HERE,
    **parts: Any,
) -> Any:
    """A live partition of ``requests``; parts that are not given fail when they are used."""
    checkpoints = Checkpoints(changelog or NoLog(), identity, Epoch(1, "me"), (), lambda offset: None)
    sender = OutputSender(send, str, _fail, count)
    given = {"tp": REQUESTS, "snapshot": None, "is_ours": always, "thread": Inline()} | parts
    return kind(operator, checkpoints=checkpoints, output_sender=sender, **given)


def _fail(error: BaseException) -> None:
    raise AssertionError(error)


def shell_of(app: Any, task: RoleTask[Any], *sources: str, config: Config | None = None, **parts: Any) -> Any:
    """The shell of a task; ``parts`` as `Shell` takes them."""
    return Shell(app, config or load(), task, sources=sources, **parts)


class Nobody:
    """A worker, for metrics and health; without partitions unless some are given."""

    def __init__(self, live: Mapping[TP, Any] | None = None, ends: Mapping[TP, int] | None = None) -> None:
        self.live = live or {}
        self.ends = ends or {}

    def label(self, tp: TP) -> str:
        return str(tp.partition)

    def end_of(self, tp: TP) -> int | None:
        return self.ends.get(tp)

    def progress(self) -> Mapping[Any, int]:
        return {tp: live.offset for tp, live in self.live.items()}

    def due(self) -> Mapping[Any, int]:
        return {}

    def is_ready(self) -> bool:
        return True

    def held(self) -> str:
        return ""
