"""Whatever is killed, whenever: the alerts are those of an undisturbed run (short form).

A worker and the broker are killed once; in ``make chaos`` every fault strikes, with more than twenty
kills and longer outages.
"""

from __future__ import annotations

from tests.chaos import faults
from tests.chaos.ground import Ground
from tests.chaos.traffic import MESSY, records, simulate
from tests.chaos.verdict import judge
from tests.kills import LONG

SEED = 4
BATCH = 20
RECORDS_PER_SECOND = 40
"""So slow that the campaign is on when the faults strike; what is left then comes at once."""


def test_kills_joins_and_a_broker_that_dies(ground: Ground) -> None:
    with ground.siege(SEED) as siege:
        simulation = simulate(1_000, seed=SEED)
        siege.pipeline.release(simulation.releases)
        siege.begin()
        siege.pipeline.feed(records(simulation, 4, seed=SEED, batch=BATCH, mess=MESSY), RECORDS_PER_SECOND)
        faults.kill_worker(siege)
        faults.join_and_leave(siege, kill=LONG)
        faults.kill_broker(siege)
        siege.end()
        verdict = judge(siege.pipeline)
    assert verdict.exact, verdict
    assert verdict.alerts
    assert verdict.letters > len(siege.injected)
    assert max(siege.stops) < 10


def test_a_stale_worker_an_exception_and_a_bad_network(ground: Ground) -> None:
    with ground.siege(SEED, through_proxy=True, session_timeout="3s") as siege:
        simulation = simulate(1_000, seed=SEED + 1)
        siege.pipeline.release(simulation.releases)
        siege.begin()
        siege.pipeline.feed(records(simulation, 4, seed=SEED, batch=BATCH), RECORDS_PER_SECOND)
        if LONG:
            faults.stale_worker(siege, "networks")
        faults.raise_in_a_step(siege)
        faults.stall_and_cut(siege)
        siege.end()
        verdict = judge(siege.pipeline)
    assert verdict.exact, verdict
    assert verdict.alerts
