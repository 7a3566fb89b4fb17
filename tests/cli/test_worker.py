"""SIGTERM to a worker while it starts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def test_sigterm_during_the_start_ends_it_with_a_message() -> None:
    # Nothing answers there, so the worker looks for a broker for five seconds.
    command = [
        sys.executable,
        "-m",
        "pivotwatch",
        "worker",
        "--role",
        "accounts",
        "--brokers",
        "127.0.0.1:9",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not catches(process.pid, signal.SIGTERM):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.terminate()
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0, told
    assert "stopped before it started" in told
