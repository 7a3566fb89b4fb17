"""Long runs: ``python -m tests.chaos faults|soak|timing``.

Prints figures as JSON. Exit status 1 when a result differs or memory grows.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos import faults, measure, soak
from tests.chaos.comparison import Comparison, compare_with_undisturbed
from tests.chaos.testbed import BrokerTestbed
from tests.chaos.traffic import ALL_INPUT_FAULTS, records, simulate


def run_faults(testbed: BrokerTestbed, options: argparse.Namespace) -> bool:
    """Inject every fault once, and kill workers in between. Return whether all results are exact."""
    with testbed.fault_run(
        options.seed, through_proxy=True, session_timeout="6s", checkpoint_interval="3s"
    ) as run:
        run.outage, run.stall, run.longest_wait = options.outage, options.stall, 3.0
        simulation = simulate(options.accounts, seed=options.seed, days=2.0)
        run.pipeline.release(simulation.releases)
        run.start_all()
        stream = records(simulation, 4, seed=options.seed, batch=20, input_faults=ALL_INPUT_FAULTS)
        run.pipeline.feed(stream, options.rate)
        order = list(faults.ALL)
        run.rng.shuffle(order)
        kills_between = -(-options.kills // len(order))
        for fault in order:
            for _ in range(kills_between):
                faults.kill_worker(run)
            log_progress(f"{time.monotonic():.0f} {fault.__doc__ or 'a stale worker'}")
            fault(run)
        sent = run.pipeline.feeder.sent if run.pipeline.feeder else 0
        run.drain_and_stop()
        comparison = compare_with_undisturbed(run.pipeline)
    print_figures(
        {"seed": options.seed, "records under faults": sent, **run.figures(), **summary(comparison)}
    )
    return comparison.exact


def run_soak(testbed: BrokerTestbed, options: argparse.Namespace) -> bool:
    """Run a steady load. Return whether all results are exact and resident memory stays flat."""
    found = soak.soak(
        testbed,
        seed=options.seed,
        minutes=options.minutes,
        accounts=options.accounts,
        rate=options.events,
        log=log_progress,
    )
    print_figures(found)
    return bool(found["exact"] and found["flat"])


def run_timing(testbed: BrokerTestbed, options: argparse.Namespace) -> bool:
    """Time recovery with a large state, a rolling restart, scaling, and a duplicate instance."""
    found = measure.timing(
        testbed, seed=options.seed, accounts=options.accounts, kills=options.kills, log=log_progress
    )
    print_figures(found)
    return bool(found["exact"])


def summary(comparison: Comparison) -> dict[str, Any]:
    """A comparison as figures for the report."""
    return {
        "events": comparison.events,
        "alerts": comparison.alerts,
        "repeats": comparison.repeats,
        "lost / duplicated / different": [comparison.lost, comparison.duplicated, comparison.different],
        "dead letters": comparison.dead_letters,
        "problems": comparison.problems,
        "exact": comparison.exact,
    }


def log_progress(text: str) -> None:
    """Print progress to standard error."""
    print(text, file=sys.stderr, flush=True)


def print_figures(found: dict[str, Any]) -> None:
    """Print figures to standard output, as JSON."""
    print(json.dumps(found, indent=1), flush=True)


COMMANDS: dict[str, Callable[[BrokerTestbed, argparse.Namespace], bool]] = {
    "faults": run_faults,
    "soak": run_soak,
    "timing": run_timing,
}


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=24, help="least number of kill -9 of a worker")
    parser.add_argument("--accounts", type=int, default=4_000)
    parser.add_argument("--rate", type=float, default=40.0, help="faults: records of 20 events per second")
    parser.add_argument("--outage", type=float, default=60.0, help="faults: seconds without a broker")
    parser.add_argument("--stall", type=float, default=20.0, help="faults: seconds without network traffic")
    parser.add_argument("--events", type=int, default=2_500, help="soak: events per second")
    parser.add_argument("--minutes", type=float, default=30.0, help="soak: minutes after the warm-up")
    options = parser.parse_args()
    # The feeder's Kafka client logs every attempt to reach a stopped broker.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, BrokerTestbed(Path(folder)) as testbed:
        return 0 if COMMANDS[options.command](testbed, options) else 1


if __name__ == "__main__":
    sys.exit(main())
