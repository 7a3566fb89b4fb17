"""Measures times of real workers with a large state: recovery, restart, scaling, takeover."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.chaos.comparison import compare_with_undisturbed
from tests.chaos.fault_run import FaultRun
from tests.chaos.pipeline import Worker, wait_for
from tests.chaos.testbed import BrokerTestbed
from tests.chaos.traffic import records, simulate

Log = Callable[[str], None]


def timing(testbed: BrokerTestbed, *, seed: int, accounts: int, kills: int, log: Log) -> dict[str, Any]:
    """Times with the state of many accounts, in seconds, and whether all results are exact."""
    simulation = simulate(accounts, seed=seed, days=0.25, mean_rate=3.0)
    with testbed.fault_run(seed) as fault_run:
        fault_run.pipeline.release(simulation.releases)
        stream = list(records(simulation, 4, seed=seed, batch=200))
        most, rest = stream[: len(stream) * 9 // 10], stream[len(stream) * 9 // 10 :]
        log(f"{len(stream)} records of {accounts} accounts")
        fault_run.pipeline.feed(most).join()
        fault_run.start_all()
        wait_for("the state", lambda: fault_run.pipeline.lag() == 0, 300)
        fault_run.pipeline.feed(rest, rate=len(rest) / 120)
        for number in range(kills):
            worker = next(worker for worker in fault_run.workers if worker.role == "accounts")
            fault_run.kill_and_restart(worker)
            log(f"kill {number}: ready after {fault_run.recoveries[-1]:.1f} s")
        fault_run.timed["rolling restart of accounts and networks"] = _roll(fault_run)
        fault_run.timed["scale-out to two"], fault_run.timed["scale-in to one"] = _scale(fault_run)
        fault_run.timed["duplicate instance: the second takes over"] = _duplicate(fault_run)
        fault_run.drain_and_stop()
        comparison = compare_with_undisturbed(fault_run.pipeline)
        return {
            "accounts": accounts,
            **fault_run.figures(),
            "exact": comparison.exact,
            "problems": comparison.problems,
        }


def _roll(fault_run: FaultRun) -> float:
    """Restart all workers one by one; return the seconds until all are ready."""
    begun = time.monotonic()
    for worker in list(fault_run.workers):
        fault_run.stops.append(fault_run.stop(worker))
        fault_run.start(worker.role, worker.instance).wait_ready()
    return time.monotonic() - begun


def _scale(fault_run: FaultRun) -> tuple[float, float]:
    """Add a worker and stop it again; return the seconds until both share, and until the first owns all."""
    begun = time.monotonic()
    first = next(worker for worker in fault_run.workers if worker.role == "accounts")
    second = fault_run.start("accounts", "w2")
    second.wait_ready()
    wait_for("both to share", lambda: 0 < _owned(first) < 4 and 0 < _owned(second) < 4)
    out = time.monotonic() - begun
    begun = time.monotonic()
    fault_run.stops.append(fault_run.stop(second))
    wait_for("the first to have all", lambda: _owned(first) == 4 and first.get("/ready")[0] == 200)
    return out, time.monotonic() - begun


def _duplicate(fault_run: FaultRun) -> float:
    """Start a second worker of the same name: Kafka fences the first, which ends. Return the seconds."""
    begun = time.monotonic()
    first = next(worker for worker in fault_run.workers if worker.role == "accounts")
    second = fault_run.start("accounts", first.instance)
    second.wait_ready()
    wait_for("the fenced one to end", lambda: not first.running)
    fault_run.workers.remove(first)
    fault_run.wait_for_progress("accounts")
    return time.monotonic() - begun


def _owned(worker: Worker) -> int:
    return len(worker.get("/health")[1].get("partitions", ()))
