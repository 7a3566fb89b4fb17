"""Measurements on real workers: recovery with much state, restarts of all kinds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.chaos.ground import Ground
from tests.chaos.pipeline import Worker, wait_for
from tests.chaos.siege import Siege
from tests.chaos.traffic import records, simulate
from tests.chaos.verdict import judge

Say = Callable[[str], None]


def timing(ground: Ground, *, seed: int, accounts: int, kills: int, say: Say) -> dict[str, Any]:
    """Times with the state of many accounts: to recover, to restart one by one, to take over."""
    simulation = simulate(accounts, seed=seed, days=0.25, mean_rate=3.0)
    with ground.siege(seed) as siege:
        siege.pipeline.release(simulation.releases)
        stream = list(records(simulation, 4, seed=seed, batch=200))
        most, rest = stream[: len(stream) * 9 // 10], stream[len(stream) * 9 // 10 :]
        say(f"{len(stream)} records of {accounts} accounts")
        siege.pipeline.feed(most).join()
        siege.begin()
        wait_for("the state", lambda: siege.pipeline.lag() == 0, 300)
        siege.pipeline.feed(rest, rate=len(rest) / 120)
        for number in range(kills):
            worker = next(worker for worker in siege.workers if worker.role == "accounts")
            siege.replace(worker)
            say(f"kill {number}: ready after {siege.recoveries[-1]:.1f} s")
        siege.timed["rolling restart of accounts and networks"] = _roll(siege)
        siege.timed["scale-out to two"], siege.timed["scale-in to one"] = _scale(siege)
        siege.timed["duplicate instance: the second takes over"] = _duplicate(siege)
        siege.end()
        verdict = judge(siege.pipeline)
        return {"accounts": accounts, **siege.figures(), "exact": verdict.exact, "problems": verdict.problems}


def _roll(siege: Siege) -> float:
    """Each worker ends in an orderly way and comes back; until all are ready."""
    begun = time.monotonic()
    for worker in list(siege.workers):
        siege.stops.append(siege.leave(worker))
        siege.start(worker.role, worker.instance).wait_ready()
    return time.monotonic() - begun


def _scale(siege: Siege) -> tuple[float, float]:
    """A second worker comes until both are ready; it goes until the first has all and is ready."""
    begun = time.monotonic()
    first = next(worker for worker in siege.workers if worker.role == "accounts")
    second = siege.start("accounts", "w2")
    second.wait_ready()
    wait_for("both to share", lambda: 0 < _owned(first) < 4 and 0 < _owned(second) < 4)
    out = time.monotonic() - begun
    begun = time.monotonic()
    siege.stops.append(siege.leave(second))
    wait_for("the first to have all", lambda: _owned(first) == 4 and first.get("/ready")[0] == 200)
    return out, time.monotonic() - begun


def _duplicate(siege: Siege) -> float:
    """A second worker of the same name is started: the first is fenced and ends, the second goes on."""
    begun = time.monotonic()
    first = next(worker for worker in siege.workers if worker.role == "accounts")
    second = siege.start("accounts", first.instance)
    second.wait_ready()
    wait_for("the fenced one to end", lambda: not first.running)
    siege.workers.remove(first)
    siege.progress("accounts")
    return time.monotonic() - begun


def _owned(worker: Worker) -> int:
    return len(worker.get("/health")[1].get("partitions", ()))
