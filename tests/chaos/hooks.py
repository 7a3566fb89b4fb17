"""``pivotwatch`` behind a hook: ``python -m tests.chaos.hooks HOOK ARGUMENTS…``.

The production code has no switches for tests. Here its steps are wrapped before the command
line is entered.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

FILE = "CHAOS_FILE"
"""Names a file in the environment that says when the hook is on: it acts once, and removes it."""


def _raising(step: Any, records: Sequence[Any]) -> None:
    """Raise in the middle of a chunk."""
    step.__class__.__mro__[1].process(step, records[: len(records) // 2])
    raise RuntimeError("raised in mid-stream")


def _slow(step: Any, records: Sequence[Any]) -> None:
    """Take long for every chunk."""
    time.sleep(float(os.environ.get("CHAOS_SLOW", "0.2")))


ONCE: dict[str, Callable[[Any, Sequence[Any]], None]] = {"raise": _raising}
ALWAYS: dict[str, Callable[[Any, Sequence[Any]], None]] = {"slow": _slow}


def wrap(base: type[Any], hook: str) -> type[Any]:
    """A step whose ``process`` meets the hook first."""

    class Wrapped(base):  # type: ignore[misc]
        def process(self, records: Sequence[Any]) -> Any:
            if hook in ALWAYS:
                ALWAYS[hook](self, records)
            elif _taken():
                ONCE[hook](self, records)
            return super().process(records)

    Wrapped.__name__ = base.__name__
    return Wrapped


def _taken() -> bool:
    """Is the file there? It is gone afterwards."""
    try:
        Path(os.environ[FILE]).unlink()
    except (KeyError, FileNotFoundError):
        return False
    return True


def hang_agents() -> None:
    """Let every agent wait for ever once the file is there: the process runs, and gets nowhere."""
    import asyncio

    from streams.agents.shell import Shell

    feed = Shell.feed

    async def stalled(self: Any, live: Any, chunk: Any) -> None:
        while Path(os.environ[FILE]).exists():
            await asyncio.sleep(0.1)
        await feed(self, live, chunk)

    Shell.feed = stalled  # type: ignore[method-assign]


def main() -> None:
    """Hook in, and run the command."""
    from streams import app
    from streams.cli import main as command

    hook, sys.argv[1:] = sys.argv[1], sys.argv[2:]
    if hook == "stall":
        hang_agents()
    else:
        make = app._step_of
        app._step_of = lambda role: wrap(cast("type[Any]", make(role)), hook)
    command()


if __name__ == "__main__":
    main()
