"""Runs ``pivotwatch`` with a fault built in: ``python -m tests.chaos.hooks HOOK ARGUMENTS…``.

The production code has no switches for tests, so this module wraps its operators and then runs the command
line.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

FILE = "CHAOS_FILE"
"""Environment variable: path of a file. A hook acts while it exists; one that acts once removes the file."""


Process = Callable[[Sequence[Any]], Any]


def raising(process: Process, records: Sequence[Any]) -> None:
    """Raise once, in the middle of a chunk."""
    if _taken():
        process(records[: len(records) // 2])
        raise RuntimeError("raised in mid-stream")


def slow(process: Process, records: Sequence[Any]) -> None:
    """Wait before every chunk."""
    time.sleep(float(os.environ["CHAOS_SLOW"]))


HOOKS: dict[str, Callable[[Process, Sequence[Any]], None]] = {"raise": raising, "slow": slow}


def wrap(make_operator: Callable[..., Any], hook: str) -> Callable[..., Any]:
    """Make operators whose ``process`` meets the hook first."""

    def make(*given: Any, **named: Any) -> Any:
        step = make_operator(*given, **named)
        process: Process = step.process

        def hooked(records: Sequence[Any]) -> Any:
            HOOKS[hook](process, records)
            return process(records)

        step.process = hooked
        return step

    return make


def _taken() -> bool:
    """Whether the file existed; it is removed."""
    try:
        Path(os.environ[FILE]).unlink()
    except (KeyError, FileNotFoundError):
        return False
    return True


def hang_agents() -> None:
    """Let every agent wait while the file exists: the process runs and makes no progress."""
    import asyncio

    from pivotwatch.engine.operator_task import OperatorTask

    feed = OperatorTask.feed

    async def stalled(self: Any, live: Any, chunk: Any) -> None:
        while Path(os.environ[FILE]).exists():
            await asyncio.sleep(0.1)
        await feed(self, live, chunk)

    OperatorTask.feed = stalled  # type: ignore[method-assign]


def main() -> None:
    """Install the hook and run the command."""
    from pivotwatch.cli import main as command
    from pivotwatch.detection.counting.operator import CountingOperator
    from pivotwatch.detection.scoring.operator import ScoringOperator
    from pivotwatch.roles import accounts, networks

    hook, sys.argv[1:] = sys.argv[1], sys.argv[2:]
    if hook == "stall":
        hang_agents()
    else:
        for role, operator in ((accounts, CountingOperator), (networks, ScoringOperator)):
            role.run.__kwdefaults__["make_operator"] = wrap(operator, hook)
    command()


if __name__ == "__main__":
    main()
