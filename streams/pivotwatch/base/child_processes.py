"""Worker processes under one roof: started together, ended together.

A worker that dies ends the others, because half a pipeline is no pipeline: the requests
would be counted and nobody would score them.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType

# A worker needs time for a last checkpoint.
GRACE_SECONDS = 20.0
SIGNALLED = 128


class Stopped(BaseException):
    """We were told to end (SIGTERM)."""


class Processes:
    """Child processes, each with a name; leaving the ``with`` block ends them all.

    Parameters
    ----------
    logs
        Folder for one log file a process; without it they share our output.

    Examples
    --------
    >>> with Processes() as processes:
    ...     processes.start("a", [sys.executable, "-c", "pass"])
    ...     processes.start("b", [sys.executable, "-c", "raise SystemExit(3)"])
    ...     sorted([processes.next_end(), processes.next_end()])
    [('a', 0), ('b', 3)]
    """

    def __init__(self, *, logs: Path | None = None) -> None:
        self.logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ends: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Start one process."""
        # A group of its own: Ctrl-C at the terminal reaches us alone, and we end them in order.
        with self._log(name) as log:
            process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        self._running[name] = process
        threading.Thread(target=self._report_end, args=(name, process), daemon=True).start()

    def next_end(self, timeout: float | None = None) -> tuple[str, int] | None:
        """Wait for a process to end: its name and exit status, or None after ``timeout`` seconds."""
        try:
            name, status = self._ends.get(timeout=timeout) if timeout != 0 else self._ends.get_nowait()
        except queue.Empty:
            return None
        self._running.pop(name, None)
        return name, status

    def stop(self) -> None:
        """Ask all to end, wait, and kill what does not."""
        deadline = time.monotonic() + GRACE_SECONDS
        for process in self._running.values():
            process.terminate()
        try:
            for process in self._running.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            # Also when a second Ctrl-C ends the waiting: nothing of ours stays behind.
            for process in self._running.values():
                process.kill()
                process.wait()
            self._running.clear()

    def last_lines(self, name: str, count: int = 12) -> list[str]:
        """The end of a process's log."""
        if self.logs is None:
            return []
        return (self.logs / f"{name}.log").read_text(errors="replace").splitlines()[-count:]

    def _report_end(self, name: str, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        # A process that a signal ended has a negative status here; shells say 128 + signal.
        self._ends.put((name, status if status >= 0 else SIGNALLED - status))

    @contextlib.contextmanager
    def _log(self, name: str) -> Iterator[int | None]:
        if self.logs is None:
            yield None
            return
        with (self.logs / f"{name}.log").open("wb") as file:
            yield file.fileno()


def worker_command(role: str, *flags: str) -> list[str]:
    """The command that runs one role; the configuration goes through the environment."""
    return [sys.executable, "-m", "pivotwatch", "worker", "--role", role, *flags]


def supervise(processes: Processes, names: Sequence[str], *, until_end: bool) -> int:
    """Wait until all have ended well, or one has not; the exit status says which.

    Without ``until_end`` a worker has no reason to end at all, so any end is the end of all.
    """
    for _ in names:
        end = processes.next_end()
        assert end is not None, "without a time-out there is always an end"
        name, status = end
        if status != 0 or not until_end:
            print(
                f"pivotwatch: worker {name} ended with status {status}; stopping the others", file=sys.stderr
            )
            return status or 1
    return 0


@contextlib.contextmanager
def sigterm_raises() -> Iterator[None]:
    """Within the block SIGTERM raises `Stopped`, so that every ``with`` is left in order."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
