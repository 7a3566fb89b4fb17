"""Limits the kills of a test run: three in ``make test``, any number in ``make chaos``.

A kill is SIGKILL or SIGSTOP to a worker or a broker while a test runs. Kills are counted in ``os.kill``, in
`LocalKafka.kill`, and where a test asks a worker to kill itself.
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
"""Parts of the command line by which a worker or a broker is recognised."""


class Budget:
    """Counts kills by test, and fails the test that exceeds the limit."""

    def __init__(self) -> None:
        self.by: list[str] = []
        self.test: str | None = None

    def count(self) -> None:
        """Count a kill."""
        if self.test is not None:
            self.by.append(self.test)
            if len(self.by) > MOST and not LONG:
                pytest.fail(f"more than {MOST} kills in a run without PIVOTWATCH_TEST_LONG: {self.by}")

    @contextlib.contextmanager
    def paused(self, test: str | None = None) -> Iterator[None]:
        """Count kills for another test inside the block, or, with None, do not count them."""
        before, self.test = self.test, test
        try:
            yield
        finally:
            self.test = before


BUDGET = Budget()


def is_ours(pid: int) -> bool:
    """Whether the process is a running worker or broker."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return any(part in command for part in OURS)


def watch(patch: pytest.MonkeyPatch) -> None:
    """Patch the functions that kill so that they count."""
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
    """Call ``act`` without counting kills, to end what a test left running."""
    with BUDGET.paused():
        act()
