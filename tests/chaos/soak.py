"""The soak test: resident memory of real workers under a load whose state does not grow."""

from __future__ import annotations

import itertools
import statistics
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.comparison import compare_with_undisturbed
from tests.chaos.fault_run import FaultRun
from tests.chaos.pipeline import Worker, wait_for
from tests.chaos.steady_traffic import SETTINGS, WATCH_S, SteadyTraffic
from tests.chaos.testbed import BrokerTestbed
from tests.chaos.trend import picture, trend

LOOK_S = 5.0
WARM_UP_MINUTES = 2 * WATCH_S / 60
"""Two watches: by then the memory that a watch needs has been allocated and freed once."""
ENTITY = {"kind": "network", "id": "AS-nobody"}

Log = Callable[[str], None]


def soak(
    testbed: BrokerTestbed, *, seed: int, minutes: float, accounts: int, rate: int, log: Log
) -> dict[str, Any]:
    """Measure resident memory once a minute after the warm-up; return its slope and whether it is flat."""
    with testbed.fault_run(seed, checkpoint_interval="5s", **SETTINGS) as fault_run:
        load = SteadyTraffic(
            accounts, rate, int((minutes + WARM_UP_MINUTES) * 60), int(time.time() * 1000), seed=seed
        )
        fault_run.pipeline.release(load.releases())
        fault_run.start_all()
        feeder = fault_run.pipeline.feed(load.records(), load.records_per_second)
        curves: dict[str, list[float]] = {worker.role: [] for worker in fault_run.workers}
        begun = time.monotonic()
        for minute in itertools.count():
            seen = _minute(fault_run, begun + 60.0 * minute)
            if feeder.done():
                break
            for role, values in seen.items():
                curves[role].append(statistics.median(values))
            last = {role: curve[-1] for role, curve in curves.items()}
            log(f"minute {minute}: {last}, lag {fault_run.pipeline.lag()}")
            fault_run.pipeline.release(
                [{"entity": ENTITY, "verdict": ("benign", "verified")[minute % 2], "by": "soak"}], "decisions"
            )
        fault_run.drain_and_stop()
        comparison = compare_with_undisturbed(fault_run.pipeline)
    skip = round(WARM_UP_MINUTES)
    resident = {role: _figures_of(curve[skip:]) for role, curve in curves.items()}
    return {
        "minutes": minutes,
        "warm-up": {role: curve[:skip] for role, curve in curves.items()},
        "events": comparison.events,
        "alerts": comparison.alerts,
        "dead letters": comparison.dead_letters,
        "resident": resident,
        "exact": comparison.exact,
        "problems": comparison.problems,
        "flat": all(one["flat"] for one in resident.values()),
    }


def _minute(fault_run: FaultRun, begin: float) -> dict[str, list[float]]:
    """Resident memory of each worker every `LOOK_S` seconds of one minute, with a scrape each time."""
    seen: dict[str, list[float]] = {worker.role: [] for worker in fault_run.workers}
    assert fault_run.pipeline.feeder is not None
    done = fault_run.pipeline.feeder.done
    for due in (begin + i * LOOK_S for i in range(round(60 / LOOK_S))):
        wait_for("the next look", lambda: time.monotonic() >= due or done(), 120)  # noqa: B023
        for worker in fault_run.workers:
            for page in ("metrics", "health"):
                url = f"http://127.0.0.1:{worker.port}/{page}"
                with urllib.request.urlopen(url, timeout=30) as answer:
                    answer.read()
            seen[worker.role].append(resident_mb(worker))
    return seen


def _figures_of(curve: list[float]) -> dict[str, Any]:
    line = trend(curve)
    return {
        "curve, MB": curve,
        "picture": picture(curve),
        "level, MB": line.level,
        "slope, MB/h": round(60 * line.slope, 2),
        "interval of 95 %, MB/h": [round(60 * line.low, 2), round(60 * line.high, 2)],
        "flat": line.flat,
    }


def resident_mb(worker: Worker) -> float:
    """Resident memory of a worker's process, in MB."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)
