"""``/health`` of a worker that makes no progress."""

from __future__ import annotations

from tests.chaos.pipeline import wait_for
from tests.chaos.testbed import BrokerTestbed
from tests.chaos.traffic import records, simulate


def test_a_stalled_agent_fails_health_and_a_restart_helps(testbed: BrokerTestbed) -> None:
    simulation = simulate(100, seed=1)
    stream = list(records(simulation, 2, seed=1))
    with testbed.fault_run(1, partitions=2, stalled_after="2s") as fault_run:
        switch = fault_run.pipeline.folder / "stall"
        worker = fault_run.start("accounts", "w1", hook="stall", CHAOS_FILE=str(switch))
        first = wait_for("its web server", lambda: worker.get("/ready")[0])
        assert first == 503, "a worker is not ready before it has its state"
        worker.wait_ready()
        fault_run.pipeline.feed(stream[: len(stream) // 2]).join()
        wait_for("the first half", lambda: fault_run.pipeline.lag() == 0)
        assert worker.get("/health")[0] == 200

        switch.touch()
        fault_run.pipeline.feed(stream[len(stream) // 2 :]).join()
        wait_for("health to fail", lambda: worker.get("/health")[0] == 503)
        status, report = worker.get("/health")
        assert status == 503
        assert report["stalled"]
        assert worker.running
        assert "stalled for 2 s" in worker.tail()

        switch.unlink()
        # This worker would continue by itself, because its stall has ended. A real one must be restarted.
        fault_run.stop(worker)
        worker = fault_run.start("accounts", "w1")
        worker.wait_ready()
        wait_for("the rest", lambda: fault_run.pipeline.lag() == 0)
        assert worker.get("/health")[0] == 200
        assert worker.get("/ready")[0] == 200
