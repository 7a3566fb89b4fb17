"""Faults: functions that inject one fault into a run and wait until the pipeline makes progress."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.chaos.fault_run import FaultRun


def kill_worker(fault_run: FaultRun) -> None:
    """Kill a worker with ``kill -9`` at a random moment and restart it at once."""
    fault_run.random_wait()
    fault_run.kill_and_restart(fault_run.random_worker())


def join_and_leave(fault_run: FaultRun, *, kill: bool = True) -> None:
    """Add two workers; stop one in an orderly way and kill (or stop) the other."""
    second, third = fault_run.start("accounts", "w2"), fault_run.start("accounts", "w3")
    for worker in (second, third):
        worker.wait_ready()
    fault_run.random_wait()
    fault_run.count_fault("orderly stop")
    fault_run.stops.append(fault_run.stop(second))
    fault_run.random_wait()
    if kill:
        fault_run.kill(third)
        fault_run.workers.remove(third)
    else:
        fault_run.stops.append(fault_run.stop(third))
    fault_run.wait_for_progress("accounts")


def kill_broker(fault_run: FaultRun) -> None:
    """Kill the broker with ``kill -9`` and restart it at once."""
    fault_run.count_fault("kill -9 of the broker")
    fault_run.random_wait()
    fault_run.kafka.kill()
    fault_run.kafka.start()
    fault_run.wait_for_progress("accounts")


def stop_broker(fault_run: FaultRun) -> None:
    """Stop the broker for `FaultRun.outage` seconds."""
    fault_run.count_fault(f"broker stopped for {fault_run.outage:.0f} s")
    fault_run.kafka.stop()
    time.sleep(fault_run.outage)
    fault_run.kafka.start()
    fault_run.wait_for_progress("accounts")


def stale_worker(fault_run: FaultRun, role: str = "") -> None:
    """Pause a worker past its session while another takes over, then resume it and kill the other."""
    fault_run.count_fault("SIGSTOP past the session")
    role = role or fault_run.rng.choice(["accounts", "networks"])
    stale = next(worker for worker in fault_run.workers if worker.role == role)
    fault_run.random_wait()
    stale.process.send_signal(signal.SIGSTOP)
    other = fault_run.start(role, "w9")
    other.wait_ready()
    fault_run.wait_for_progress(role)
    stale.process.send_signal(signal.SIGCONT)
    fault_run.random_wait()
    fault_run.kill(other)
    fault_run.workers.remove(other)
    fault_run.restart_ended()
    fault_run.wait_for_progress(role)


def raise_in_a_step(fault_run: FaultRun) -> None:
    """Let an operator raise in the middle of a chunk: the process must end, and another one continue."""
    role = fault_run.rng.choice(["accounts", "networks"])
    fault_run.count_fault("exception in mid-stream")
    worker = next(worker for worker in fault_run.workers if worker.role == role)
    fault_run.stop(worker)
    switch = fault_run.pipeline.folder / "raise"
    hooked = fault_run.start(role, "w1", hook="raise", CHAOS_FILE=str(switch))
    hooked.wait_ready()
    switch.touch()
    fault_run.wait_for("the step to raise", lambda: not hooked.running)
    assert hooked.process.returncode == 1, hooked.tail()
    assert "raised in mid-stream" in hooked.log.read_text(errors="replace"), hooked.tail()
    fault_run.workers.remove(hooked)
    fault_run.start(role, "w1").wait_ready()
    fault_run.wait_for_progress(role)


def stall_and_cut(fault_run: FaultRun) -> None:
    """Stall the network for longer than request timeouts, then cut every connection, twice."""
    assert fault_run.proxy is not None
    fault_run.count_fault("network stalled")
    fault_run.proxy.stall()
    time.sleep(fault_run.stall)
    fault_run.proxy.flow()
    fault_run.wait_for_progress("accounts")
    for _ in range(2):
        fault_run.count_fault("connections cut")
        fault_run.random_wait()
        fault_run.proxy.cut()
    fault_run.restart_ended()
    fault_run.wait_for_progress("accounts")


def roll(fault_run: FaultRun) -> None:
    """Restart every worker in an orderly way, one after another."""
    fault_run.count_fault("orderly stop", len(fault_run.workers))
    begun = time.monotonic()
    for worker in list(fault_run.workers):
        fault_run.stops.append(fault_run.stop(worker))
        fault_run.start(worker.role, worker.instance).wait_ready()
    fault_run.timed["rolling restart"] = time.monotonic() - begun
    fault_run.wait_for_progress("accounts")


ALL: tuple[Callable[[FaultRun], None], ...] = (
    join_and_leave,
    kill_broker,
    stop_broker,
    lambda fault_run: stale_worker(fault_run, "accounts"),
    lambda fault_run: stale_worker(fault_run, "networks"),
    raise_in_a_step,
    stall_and_cut,
    roll,
)
"""Every fault except the kills of workers, which happen in between."""
