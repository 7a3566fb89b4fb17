"""Measures bytes per account of the counting operator: ``python -m tests.memory.accounts ACCOUNTS``.

It runs in its own process, because the memory that Python returns to the system depends on what ran before.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson

from pivotwatch.contracts.records import Line
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.engine.gc_tuning import give_back
from pivotwatch_models.settings import HOUR_MS, Settings

BEGIN = 1_770_000_000_000 // HOUR_MS * HOUR_MS
PER_NETWORK = 30
EVENTS_PER_RECORD = 500


def resident() -> int:
    """Resident memory of this process, in bytes."""
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return int(line.split()[1]) * 1024


def stream(accounts: int, hour: int) -> Iterator[Line]:
    """Every account once per hour; from the second hour on, every fifth account requests a second model."""
    begin = BEGIN + hour * HOUR_MS
    for start in range(0, accounts, EVENTS_PER_RECORD):
        events = []
        for number in range(start, min(start + EVENTS_PER_RECORD, accounts)):
            event = {
                "id": f"r{hour}-{number}",
                "ts": begin + number * (HOUR_MS - 1) // accounts,
                "account": f"account-{number:09d}",
                "network": f"AS{number // PER_NETWORK}",
                "model": "m-2" if hour and number % 5 == 0 else "m-1",
                "input_tokens": 100,
                "output_tokens": 200,
            }
            events.append(event)
        yield Line(orjson.dumps(events))


def measure(accounts: int) -> dict[str, float]:
    """Resident bytes per account: without an open bucket (settled), and at most (fullest).

    Free memory is returned to the system at times, as in a worker. The memory of the code is not counted.
    """
    warm = CountingOperator(Settings(), 0, 1)
    for line in stream(1_000, 0):
        warm.process([line])
    warm.final()
    del warm
    step = CountingOperator(Settings(), 0, 1)
    gc.collect()
    give_back()
    before, most = resident(), 0
    for hour in range(4):
        for line in stream(accounts, hour):
            step.process([line])
        most = max(most, resident())
        give_back()
    step.final()
    gc.collect()
    give_back()
    after = resident()
    assert len(step.accounts.names) == accounts
    stored = sum(len(shard) for shard in step.snapshot(full=True).values())
    return {
        "accounts": accounts,
        "models": len(step.candidates.models),
        "settled": round((after - before) / accounts, 1),
        "fullest": round((most - before) / accounts, 1),
        "stored": round(stored / accounts, 1),
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
