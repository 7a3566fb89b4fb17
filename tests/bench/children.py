"""Starts runners, each in its own process, and reads their results."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.bench.probe import Task

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
"""Python of the environment with Quix Streams and Bytewax (``make peers``)."""
LONGEST = 3_600.0


class Stalled(Exception):
    """An engine did not deliver all records."""


class Runner:
    """One way to process the events.

    Parameters
    ----------
    name
        Name in tables.
    module
        Module of ``tests.bench.runners``.
    job
        As in `Task`.
    peer
        Whether it runs in the environment of the other engines.
    slow
        Whether it is so slow that it gets only a part of the events.
    """

    def __init__(self, name: str, module: str, job: str, *, peer: bool = False, slow: bool = False) -> None:
        self.name, self.module, self.job, self.peer, self.slow = name, module, job, peer, slow

    @property
    def there(self) -> bool:
        """Whether it can run on this machine."""
        return not self.peer or PEERS.exists()

    @contextlib.contextmanager
    def started(self, argument: str, environment: Mapping[str, str] | None = None) -> Iterator[Output]:
        """Yield the process with its task, and end it afterwards."""
        python = str(PEERS) if self.peer else sys.executable
        command = [python, "-W", "ignore", "-m", f"tests.bench.runners.{self.module}", argument]
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            guard = threading.Timer(LONGEST, process.kill)
            guard.start()
            try:
                yield Output(self.name, process, errors)
            finally:
                guard.cancel()
                end(process)

    def run(self, task: Task, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Run it and return its result; raises `Stalled` when it loses records."""
        with self.started(task.text(), environment) as told:
            found = told.next("seconds", "stalled")
        if "stalled" in found:
            raise Stalled(f"{self.name}: {found['stalled']} of {task.messages} messages never came")
        return found


class Output:
    """Reads the output of a runner."""

    def __init__(self, name: str, process: subprocess.Popen[str], errors: Any) -> None:
        self.name, self.process, self.errors = name, process, errors

    def next(self, *keys: str) -> dict[str, Any]:
        """The next line that holds one of the keys."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                found = json.loads(line)
                if isinstance(found, dict) and not found.keys().isdisjoint(keys):
                    return found
        self.errors.seek(0)
        raise RuntimeError(f"{self.name} ended without a result:\n{self.errors.read()[-4_000:]}")


def end(process: subprocess.Popen[str]) -> None:
    """Stop a process, and kill it when it does not end."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()


WORKER = Runner("pivotwatch worker", "worker", "steps")
FAUST_COUNT = Runner("naive Faust loop, counts only", "faust_loop", "count", slow=True)
FAUST_STEPS = Runner("naive Faust loop, same step", "faust_loop", "steps", slow=True)
QUIX = Runner("Quix Streams, same step", "quix", "steps", peer=True)
BYTEWAX = Runner("Bytewax, same step", "bytewax_flow", "steps", peer=True)
AIOKAFKA = Runner("bare aiokafka consumer", "aiokafka_consumer", "nothing")
CONFLUENT = Runner("bare librdkafka consumer", "confluent_consumer", "nothing", peer=True)
RUNNERS = (WORKER, FAUST_STEPS, FAUST_COUNT, QUIX, BYTEWAX, AIOKAFKA, CONFLUENT)
MEMORY = Runner("in memory", "memory", "steps")
