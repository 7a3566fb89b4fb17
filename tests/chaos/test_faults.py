"""Faults do not change alerts: a short run in ``make test``.

A worker and the broker are killed once. ``make chaos`` injects every fault, with more than twenty kills and
longer outages.
"""

from __future__ import annotations

from tests.chaos import faults
from tests.chaos.comparison import compare_with_undisturbed
from tests.chaos.testbed import BrokerTestbed
from tests.chaos.traffic import ALL_INPUT_FAULTS, records, simulate
from tests.kills import LONG

SEED = 4
BATCH = 20
RECORDS_PER_SECOND = 40
"""Slow enough that the campaign runs while faults are injected. The rest is then sent at once."""


def test_killed_workers_joins_and_a_killed_broker_change_nothing(testbed: BrokerTestbed) -> None:
    with testbed.fault_run(SEED) as fault_run:
        simulation = simulate(1_000, seed=SEED)
        fault_run.pipeline.release(simulation.releases)
        fault_run.start_all()
        fault_run.pipeline.feed(
            records(simulation, 4, seed=SEED, batch=BATCH, input_faults=ALL_INPUT_FAULTS), RECORDS_PER_SECOND
        )
        faults.kill_worker(fault_run)
        faults.join_and_leave(fault_run, kill=LONG)
        faults.kill_broker(fault_run)
        fault_run.drain_and_stop()
        comparison = compare_with_undisturbed(fault_run.pipeline)
    assert comparison.exact, comparison
    assert comparison.alerts
    assert comparison.dead_letters > len(fault_run.injected)
    assert max(fault_run.stops) < 10


def test_a_stale_worker_an_exception_and_a_stalled_network_change_nothing(testbed: BrokerTestbed) -> None:
    with testbed.fault_run(SEED, through_proxy=True, session_timeout="3s") as fault_run:
        simulation = simulate(1_000, seed=SEED + 1)
        fault_run.pipeline.release(simulation.releases)
        fault_run.start_all()
        fault_run.pipeline.feed(records(simulation, 4, seed=SEED, batch=BATCH), RECORDS_PER_SECOND)
        if LONG:
            faults.stale_worker(fault_run, "networks")
        faults.raise_in_a_step(fault_run)
        faults.stall_and_cut(fault_run)
        fault_run.drain_and_stop()
        comparison = compare_with_undisturbed(fault_run.pipeline)
    assert comparison.exact, comparison
    assert comparison.alerts
