"""The soak: resident memory of real workers under a load that leaves nothing to grow."""

from __future__ import annotations

import itertools
import statistics
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.curve import picture, trend
from tests.chaos.ground import Ground
from tests.chaos.pipeline import Worker, wait_for
from tests.chaos.siege import Siege
from tests.chaos.steady import SETTINGS, WATCH_S, Steady
from tests.chaos.verdict import judge

LOOK_S = 5.0
WARM_UP_MINUTES = 2 * WATCH_S / 60
"""Until two watches are over: by then all that a watch takes was taken and given back."""
ENTITY = {"kind": "network", "id": "AS-nobody"}

Say = Callable[[str], None]


def soak(ground: Ground, *, seed: int, minutes: float, accounts: int, rate: int, say: Say) -> dict[str, Any]:
    """Resident memory once a minute, after the warm-up; its slope, and whether it is flat."""
    with ground.siege(seed, checkpoint_interval="5s", **SETTINGS) as siege:
        load = Steady(
            accounts, rate, int((minutes + WARM_UP_MINUTES) * 60), int(time.time() * 1000), seed=seed
        )
        siege.pipeline.release(load.releases())
        siege.begin()
        feeder = siege.pipeline.feed(load.records(), load.records_a_second)
        curves: dict[str, list[float]] = {worker.role: [] for worker in siege.workers}
        begun = time.monotonic()
        for minute in itertools.count():
            seen = _minute(siege, begun + 60.0 * minute)
            if feeder.done():
                break
            for role, values in seen.items():
                curves[role].append(statistics.median(values))
            last = {role: curve[-1] for role, curve in curves.items()}
            say(f"minute {minute}: {last}, lag {siege.pipeline.lag()}")
            siege.pipeline.release(
                [{"entity": ENTITY, "verdict": ("benign", "verified")[minute % 2], "by": "soak"}], "decisions"
            )
        siege.end()
        verdict = judge(siege.pipeline)
    skip = round(WARM_UP_MINUTES)
    told = {role: _told(curve[skip:]) for role, curve in curves.items()}
    return {
        "minutes": minutes,
        "warm-up": {role: curve[:skip] for role, curve in curves.items()},
        "events": verdict.events,
        "alerts": verdict.alerts,
        "dead letters": verdict.letters,
        "resident": told,
        "exact": verdict.exact,
        "problems": verdict.problems,
        "flat": all(one["flat"] for one in told.values()),
    }


def _minute(siege: Siege, begin: float) -> dict[str, list[float]]:
    """Resident memory of the workers, every few seconds of a minute, while somebody scrapes them."""
    seen: dict[str, list[float]] = {worker.role: [] for worker in siege.workers}
    assert siege.pipeline.feeder is not None
    done = siege.pipeline.feeder.done
    for due in (begin + i * LOOK_S for i in range(round(60 / LOOK_S))):
        wait_for("the next look", lambda: time.monotonic() >= due or done(), 120)  # noqa: B023
        for worker in siege.workers:
            for page in ("metrics", "health"):
                url = f"http://127.0.0.1:{worker.port}/{page}"
                with urllib.request.urlopen(url, timeout=30) as answer:
                    answer.read()
            seen[worker.role].append(resident_mb(worker))
    return seen


def _told(curve: list[float]) -> dict[str, Any]:
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
    """Resident memory of a process."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)
