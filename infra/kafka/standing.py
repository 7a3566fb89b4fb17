"""A broker that stays when who started it has ended: ``up``, ``down`` and ``status``.

What runs is noted in a file. Its supervisor holds a lock as long as it lives: so the note of a dead one
is known.
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
    """Where ``up`` notes what it started: ``$XDG_RUNTIME_DIR/pivotwatch``, else the cache."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "pivotwatch" if runtime else java.cache_folder()


def state_file() -> Path:
    """The note about the broker that ``up`` left running."""
    return state_folder() / "local-kafka.json"


@contextlib.contextmanager
def life_lock() -> Iterator[int | None]:
    """Yield the descriptor of the lock that lives as long as the broker, None while it is held.

    The supervisor inherits it, so it tells a live broker from a note left by a dead one.
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
    """What ``up`` noted, or None."""
    try:
        state: dict[str, Any] = json.loads(state_file().read_text())
    except FileNotFoundError:
        return None
    return state


def up(wishes: Mapping[str, Any]) -> int:
    """Start a broker that stays until ``down``, or find the one that is there; print its address."""
    if given := os.environ.get(BROKERS):
        note(f"{BROKERS} is set, nothing was started")
        print(given)
        return 0
    with life_lock() as descriptor:
        if descriptor is not None:
            sweep()
            kafka = LocalKafka(**wishes)
            kafka._keep = (descriptor,)
            try:
                address = kafka.start()
                kafka._detach(state_file())
            finally:
                kafka.close()
            print(address)
            return 0
    state = wait_for_state()
    if state is None:
        note("another `up` is under way, but does not come to an end")
        return 3
    note("already running")
    print(state["address"])
    return 0


def down() -> int:
    """End the broker that ``up`` started and wait until nothing of it is left."""
    with life_lock() as descriptor:
        if descriptor is not None:
            note("what was left of a broker is removed" if sweep() else "nothing was running")
            return 0
    state = wait_for_state()
    if state is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(state["supervisor"], signal.SIGTERM)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with life_lock() as descriptor:
            if descriptor is not None:
                sweep()
                note("stopped")
                return 0
        time.sleep(0.05)
    note("the broker does not end")
    return 1


def status(*, as_json: bool) -> int:
    """Print the address of the broker that runs."""
    if given := os.environ.get(BROKERS):
        note(f"{BROKERS} is set")
        print(json.dumps({"address": given, "pid": None, "data": None, "log": None}) if as_json else given)
        return 0
    with life_lock() as descriptor:
        running = descriptor is None
    state = read_state()
    if running and state is not None:
        print(json.dumps(state) if as_json else state["address"])
        return 0
    if running:
        note("starting")
    elif state is not None:
        note("not running; a broker died and left its data (`down` removes them)")
    else:
        note("not running")
    return 1


def wait_for_state(timeout: float = 120.0) -> dict[str, Any] | None:
    """What ``up`` noted, once it has; None when it ended without, or takes too long."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        state = read_state()
        if state is not None:
            return state
        with life_lock() as descriptor:
            if descriptor is not None:
                return None
        time.sleep(0.05)
    return None


def sweep() -> bool:
    """Remove what a broker left whose supervisor was killed. The life lock must be held."""
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
    """Command line of a process, empty when there is none."""
    done = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout


def note(text: str) -> None:
    """Say something on standard error."""
    print(f"local kafka: {text}", file=sys.stderr)
