"""Commands ``up``, ``down`` and ``status``: a broker that keeps running after the command has ended.

A state file describes the broker. Its supervisor holds a file lock while it runs, so a state file that a dead
broker left behind is recognised.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.kafka import java, supervisor
from infra.kafka.broker import BROKERS, LocalKafka


def state_folder() -> Path:
    """Folder of the state file: ``$XDG_RUNTIME_DIR/pivotwatch``, else the cache folder."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "pivotwatch" if runtime else java.cache_folder()


def state_file() -> Path:
    """Path of the file that describes the broker that ``up`` left running."""
    return state_folder() / "local-kafka.json"


@contextlib.contextmanager
def running_lock() -> Iterator[int | None]:
    """Yield the descriptor of the lock of the running broker, or None while a broker holds it.

    The supervisor inherits the descriptor and so holds the lock until it ends.
    """
    state_folder().mkdir(parents=True, exist_ok=True)
    with (state_folder() / "local-kafka.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file.fileno()


def read_state() -> dict[str, Any] | None:
    """Content of the state file, or None when there is none."""
    try:
        state: dict[str, Any] = json.loads(state_file().read_text())
    except FileNotFoundError:
        return None
    return state


def up(options: Mapping[str, Any]) -> int:
    """Start a broker that runs until ``down``, or find the one that runs; print its address."""
    if given := os.environ.get(BROKERS):
        report(f"{BROKERS} is set: nothing was started")
        print(given)
        return 0
    with running_lock() as descriptor:
        if descriptor is not None:
            remove_leftovers()
            kafka = LocalKafka(**options)
            kafka._inherited = (descriptor,)
            try:
                address = kafka.start()
                kafka._detach(state_file())
            finally:
                kafka.close()
            print(address)
            return 0
    state = wait_for_state()
    if state is None:
        report("another `up` is starting a broker and has not finished; try again, or run `down`")
        return 3
    report("already running")
    print(state["address"])
    return 0


def down() -> int:
    """Stop the broker that ``up`` started, and remove its data."""
    with running_lock() as descriptor:
        if descriptor is not None:
            report("removed what a dead broker left" if remove_leftovers() else "nothing was running")
            return 0
    state = wait_for_state()
    if state is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(state["supervisor"], signal.SIGTERM)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with running_lock() as descriptor:
            if descriptor is not None:
                remove_leftovers()
                report("stopped")
                return 0
        time.sleep(0.05)
    report("the broker did not stop within 90 s")
    return 1


def status(*, as_json: bool) -> int:
    """Print the address of the running broker."""
    if given := os.environ.get(BROKERS):
        report(f"{BROKERS} is set")
        print(json.dumps({"address": given, "pid": None, "data": None, "log": None}) if as_json else given)
        return 0
    with running_lock() as descriptor:
        running = descriptor is None
    state = read_state()
    if running and state is not None:
        print(json.dumps(state) if as_json else state["address"])
        return 0
    if running:
        report("starting")
    elif state is not None:
        report("not running; a broker died and left its data (`down` removes them)")
    else:
        report("not running")
    return 1


def wait_for_state(timeout: float = 120.0) -> dict[str, Any] | None:
    """Wait for the state file of another ``up``; None when that ended without one or takes too long."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        state = read_state()
        if state is not None:
            return state
        with running_lock() as descriptor:
            if descriptor is not None:
                return None
        time.sleep(0.05)
    return None


def remove_leftovers() -> bool:
    """Remove what a broker left whose supervisor was killed. The caller must hold the running lock."""
    state = read_state()
    if state is None:
        return False
    data = state["data"]
    if data and state["pid"] and data in command_line(state["pid"]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(state["pid"], signal.SIGKILL)
    temporary = Path(tempfile.gettempdir()) / supervisor.TEMPORARY
    if data and state["temporary"] and data.startswith(str(temporary)):
        shutil.rmtree(data, ignore_errors=True)
    state_file().unlink(missing_ok=True)
    return True


def command_line(pid: int) -> str:
    """Command line of a process, or an empty string when there is no such process."""
    done = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout


def report(text: str) -> None:
    """Print a message on standard error."""
    print(f"local kafka: {text}", file=sys.stderr)
