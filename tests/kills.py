"""How often a run kills: ``make test`` may do so three times, the rest is for ``make chaos``.

A kill is SIGKILL or SIGSTOP to a worker or a broker while a test runs. They are counted where all of
them pass: in ``os.kill``, in `LocalKafka.kill`, and where a worker is told to kill itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.kafka.local import LocalKafka

LONG = bool(os.environ.get("PIVOTWATCH_TEST_LONG"))
MOST = 3
OURS = (b"pivotwatch", b"tests.", b"kafka")
"""What the command line of a worker or a broker holds."""


class Budget:
    """Kills so far, by test; one too many fails the test that does it."""

    def __init__(self) -> None:
        self.by: list[str] = []
        self.test: str | None = None

    def count(self) -> None:
        """A kill is about to happen."""
        if self.test is not None:
            self.by.append(self.test)
            if len(self.by) > MOST and not LONG:
                pytest.fail(f"more than {MOST} kills in a run without PIVOTWATCH_TEST_LONG: {self.by}")

    @contextlib.contextmanager
    def paused(self, test: str | None = None) -> Iterator[None]:
        """Count for another test meanwhile, or not at all: ending what a test leaves running is no fault."""
        before, self.test = self.test, test
        try:
            yield
        finally:
            self.test = before


BUDGET = Budget()


def is_ours(pid: int) -> bool:
    """Is it a worker or a broker that runs?"""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return any(part in command for part in OURS)


def watch(patch: pytest.MonkeyPatch) -> None:
    """Let everything that kills be counted."""
    send, end = os.kill, LocalKafka.kill

    def counted(pid: int, number: int) -> None:
        if number in (signal.SIGKILL, signal.SIGSTOP) and is_ours(pid):
            BUDGET.count()
        send(pid, number)

    def end_broker(kafka: LocalKafka) -> None:
        if kafka.pid is not None:
            BUDGET.count()
        end(kafka)

    patch.setattr(os, "kill", counted)
    patch.setattr(LocalKafka, "kill", end_broker)


def quietly(act: Callable[[], Any]) -> None:
    """End what a test leaves running."""
    with BUDGET.paused():
        act()
