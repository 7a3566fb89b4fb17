"""Child processes that one command starts together and stops together.

When one worker dies, the command stops the others: without the networks role, for example, requests
would be counted but never scored.
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

# A worker writes a last checkpoint before it exits.
GRACE_SECONDS = 20.0
SIGNAL_STATUS_BASE = 128


class Stopped(BaseException):
    """The process received SIGTERM."""


class Processes:
    """Named child processes; leaving the ``with`` block stops all of them.

    Parameters
    ----------
    logs
        Folder that gets one log file per process. Without it the processes write to the standard error
        and output of this process.

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
        """Start a process."""
        # The process gets its own process group: Ctrl-C reaches only this process, which stops the others.
        with self._log(name) as log:
            process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        self._running[name] = process
        threading.Thread(target=self._report_end, args=(name, process), daemon=True).start()

    def next_end(self, timeout: float | None = None) -> tuple[str, int] | None:
        """Wait until a process ends and return its name and exit status; None after ``timeout`` seconds."""
        try:
            name, status = self._ends.get(timeout=timeout) if timeout != 0 else self._ends.get_nowait()
        except queue.Empty:
            return None
        self._running.pop(name, None)
        return name, status

    def stop(self) -> None:
        """Send SIGTERM to all processes, wait `GRACE_SECONDS`, and kill those that still run."""
        deadline = time.monotonic() + GRACE_SECONDS
        for process in self._running.values():
            process.terminate()
        try:
            for process in self._running.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            # A second Ctrl-C ends the wait, and still no process stays behind.
            for process in self._running.values():
                process.kill()
                process.wait()
            self._running.clear()

    def last_lines(self, name: str, count: int = 12) -> list[str]:
        """The last lines of the log of a process."""
        if self.logs is None:
            return []
        return (self.logs / f"{name}.log").read_text(errors="replace").splitlines()[-count:]

    def _report_end(self, name: str, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        # Python reports a process that a signal killed as -signal; shells report 128 + signal.
        self._ends.put((name, status if status >= 0 else SIGNAL_STATUS_BASE - status))

    @contextlib.contextmanager
    def _log(self, name: str) -> Iterator[int | None]:
        if self.logs is None:
            yield None
            return
        with (self.logs / f"{name}.log").open("wb") as file:
            yield file.fileno()


def worker_command(role: str, *flags: str) -> list[str]:
    """The command line of a worker of one role. The environment passes the configuration."""
    return [sys.executable, "-m", "pivotwatch", "worker", "--role", role, *flags]


def supervise(processes: Processes, names: Sequence[str], *, until_end: bool) -> int:
    """Wait until every process ended with status 0 (with ``until_end``), or until the first one fails.

    Without ``until_end`` a worker never ends by itself, so any end counts as a failure.

    Returns 0, or the exit status of the process that failed.
    """
    for _ in names:
        end = processes.next_end()
        assert end is not None, "next_end without a time-out always returns an end"
        name, status = end
        if status != 0 or not until_end:
            print(
                f"pivotwatch: worker {name} exited with status {status}; stopping the others", file=sys.stderr
            )
            return status or 1
    return 0


@contextlib.contextmanager
def sigterm_raises() -> Iterator[None]:
    """Make SIGTERM raise `Stopped` within the block, so that every ``with`` block cleans up."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
