"""The long forms: ``python -m tests.chaos siege|soak|timing``. Figures as JSON; status 1 if they are bad."""

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

from tests.chaos import faults, measure
from tests.chaos import soak as steady_memory
from tests.chaos.ground import Ground
from tests.chaos.traffic import MESSY, records, simulate
from tests.chaos.verdict import Verdict, judge


def siege(ground: Ground, given: argparse.Namespace) -> bool:
    """Every fault, with kills in between."""
    with ground.siege(
        given.seed, through_proxy=True, session_timeout="6s", checkpoint_interval="3s"
    ) as struck:
        struck.outage, struck.stall, struck.longest_wait = given.outage, given.stall, 3.0
        simulation = simulate(given.accounts, seed=given.seed, days=2.0)
        struck.pipeline.release(simulation.releases)
        struck.begin()
        stream = records(simulation, 4, seed=given.seed, batch=20, mess=MESSY)
        struck.pipeline.feed(stream, given.rate)
        order = list(faults.ALL)
        struck.rng.shuffle(order)
        between = -(-given.kills // len(order))
        for fault in order:
            for _ in range(between):
                faults.kill_worker(struck)
            say(f"{time.monotonic():.0f} {fault.__doc__ or 'a stale worker'}")
            fault(struck)
        under = struck.pipeline.feeder.sent if struck.pipeline.feeder else 0
        struck.end()
        verdict = judge(struck.pipeline)
    tell({"seed": given.seed, "records under faults": under, **struck.figures(), **told(verdict)})
    return verdict.exact


def soak(ground: Ground, given: argparse.Namespace) -> bool:
    """Steady load; resident memory once a minute. It must be flat."""
    found = steady_memory.soak(
        ground, seed=given.seed, minutes=given.minutes, accounts=given.accounts, rate=given.events, say=say
    )
    tell(found)
    return bool(found["exact"] and found["flat"])


def timing(ground: Ground, given: argparse.Namespace) -> bool:
    """Recovery with much state, rolling restart, scale-in, duplicate instance."""
    found = measure.timing(ground, seed=given.seed, accounts=given.accounts, kills=given.kills, say=say)
    tell(found)
    return bool(found["exact"])


def told(verdict: Verdict) -> dict[str, Any]:
    """A verdict for the report."""
    return {
        "events": verdict.events,
        "alerts": verdict.alerts,
        "repeats": verdict.repeats,
        "lost / duplicated / different": [verdict.lost, verdict.duplicated, verdict.different],
        "dead letters": verdict.letters,
        "problems": verdict.problems,
        "exact": verdict.exact,
    }


def say(text: str) -> None:
    """Progress goes to standard error."""
    print(text, file=sys.stderr, flush=True)


def tell(found: dict[str, Any]) -> None:
    """Figures go to standard output."""
    print(json.dumps(found, indent=1), flush=True)


FORMS: dict[str, Callable[[Ground, argparse.Namespace], bool]] = {
    "siege": siege,
    "soak": soak,
    "timing": timing,
}


def main() -> int:
    """Run one form."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=24, help="kill -9 of a worker, at least")
    parser.add_argument("--accounts", type=int, default=4_000)
    parser.add_argument("--rate", type=float, default=40.0, help="records of 20 events a second")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds without a broker")
    parser.add_argument("--stall", type=float, default=20.0, help="seconds of a network that stands still")
    parser.add_argument("--events", type=int, default=2_500, help="a second, of the soak")
    parser.add_argument("--minutes", type=float, default=30.0, help="of steady load")
    given = parser.parse_args()
    # The feeder's client tells of every attempt to reach a broker that is away.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, Ground(Path(folder)) as ground:
        return 0 if FORMS[given.form](ground, given) else 1


if __name__ == "__main__":
    sys.exit(main())
