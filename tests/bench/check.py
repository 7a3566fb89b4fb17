"""Compares ratios of costs with stored ones: a ratio of two costs of one run depends little on the machine.

A higher ratio is worse. ``ratios.json`` stores each ratio and its tolerance: a tenth, or twice the largest
deviation of a single run when it was stored, whichever is larger.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tests.bench import checkpoints, growth
from tests.bench.children import FAUST_COUNT, WORKER
from tests.bench.data import SIZES
from tests.bench.figures import table
from tests.bench.throughput import ARRAYS, CEILING, NETWORKS, STEP, measure

STORED = Path(__file__).with_name("ratios.json")
LEAST = 0.10
LEAST_RUNS = 3
MEMORY_ACCOUNTS = 100_000
SHORT_DAY = 0.25
GROWTH = {"accounts": (10_000, 1_000_000), "watched models": (1, 10)}

Results = list[dict[str, Any]]


def cost(figure: str) -> Callable[[dict[str, Any]], float]:
    """Cost of an event, from one figure of a result."""
    return lambda one: float(one[figure] / one["asked"])


def runs_of(above: Results, below: Results, figure: str, base: str | None = None) -> list[float]:
    """The ratio of two costs, per run."""
    over, under = cost(figure), cost(base or figure)
    return [over(a) / under(b) for a, b in zip(above, below, strict=True)]


def measured(runs: int) -> dict[str, list[float]]:
    """All ratios, per run."""
    found = measure(SIZES["small"], runs, (WORKER, FAUST_COUNT))
    worker, ceiling, arrays = found[WORKER.name], found[CEILING], found[WORKER.name + ARRAYS]
    saved = checkpoints.measure(SIZES["small"], runs)
    points = growth.measure(runs, SHORT_DAY, GROWTH)
    accounts, watched = points["accounts"], points["watched models"]
    return {
        "worker / ceiling, time": runs_of(worker, ceiling, "seconds"),
        "worker / ceiling, CPU": runs_of(worker, ceiling, "cpu"),
        "worker / naive counting loop, time": runs_of(worker, found[FAUST_COUNT.name], "seconds"),
        "worker / naive counting loop, CPU": runs_of(worker, found[FAUST_COUNT.name], "cpu"),
        "worker, arrays / single events, time": runs_of(arrays, worker, "seconds"),
        "worker, arrays / single events, CPU": runs_of(arrays, worker, "cpu"),
        "accounts step / ceiling, CPU": runs_of(found[STEP], ceiling, "cpu"),
        f"{NETWORKS.split(' behind')[0]} / ceiling, CPU": runs_of(
            found[STEP], ceiling, "networks_cpu", "cpu"
        ),
        "checkpoints every second / off, CPU": runs_of(saved["every second"], saved["off"], "cpu"),
        "1 M / 10 k accounts, accounts step, CPU": runs_of(accounts[1_000_000], accounts[10_000], "cpu"),
        "1 M / 10 k accounts, networks step, CPU": runs_of(
            accounts[1_000_000], accounts[10_000], "networks_cpu"
        ),
        "10 / 1 watched models, accounts step, CPU": runs_of(watched[10], watched[1], "cpu"),
        **memory(),
    }


def memory(accounts: int = MEMORY_ACCOUNTS) -> dict[str, list[float]]:
    """Kilobytes per account of the counting operator."""
    command = [sys.executable, "-m", "tests.memory.accounts", str(accounts)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return {f"kB per account, {state}": [found[state] / 1000] for state in ("settled", "fullest", "stored")}


def entries(found: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """The entries of ``ratios.json``.

    Examples
    --------
    >>> entries({"a / b": [2.0, 2.4, 1.9]})
    {'a / b': {'ratio': 2.0, 'tolerance': 0.4}}
    """
    out = {}
    for name, runs in found.items():
        middle = statistics.median(runs)
        spread = max(abs(one / middle - 1) for one in runs)
        out[name] = {"ratio": round(middle, 4), "tolerance": round(max(LEAST, 2 * spread), 2)}
    return out


def compare(
    found: dict[str, list[float]], stored: dict[str, dict[str, float]]
) -> tuple[list[list[str]], bool]:
    """Rows of a table, and whether a ratio grew by more than its tolerance.

    Examples
    --------
    >>> compare({"a / b": [2.6]}, {"a / b": {"ratio": 2.0, "tolerance": 0.2}})
    ([['a / b', '2', '2.6', '+30 %', '20 %', 'SLOWER']], True)
    >>> compare({"a / b": [2.1], "new": [1.0]}, {"a / b": {"ratio": 2.0, "tolerance": 0.2}})[1]
    False
    """
    rows, worse = [], False
    for name, runs in found.items():
        now = statistics.median(runs)
        if name not in stored:
            rows.append([name, "", f"{now:.3g}", "", "", "not stored"])
            continue
        before, tolerance = stored[name]["ratio"], stored[name]["tolerance"]
        change = now / before - 1
        verdict = "SLOWER" if change > tolerance else "faster" if change < -tolerance else ""
        worse = worse or change > tolerance
        rows.append(
            [
                name,
                f"{before:.3g}",
                f"{now:.3g}",
                f"{change * 100:+.0f} %",
                f"{tolerance * 100:.0f} %",
                verdict,
            ]
        )
    return rows, worse


def check(runs: int, *, write: bool) -> int:
    """Measure and print, and store when requested. Returns exit status 1 when something became slower."""
    if write and runs < LEAST_RUNS:
        raise click.UsageError(f"a tolerance needs {LEAST_RUNS} runs at least")
    found = measured(runs)
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    rows, worse = compare(found, stored)
    print(table(["cost", "stored", "now", "change", "tolerance", ""], rows))
    if write:
        STORED.write_text(json.dumps(entries(found), indent=2) + "\n")
        return 0
    return int(worse)
