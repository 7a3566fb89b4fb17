"""A worker that runs and gets nowhere is red; one that has nothing to do, or no broker, is not."""

from __future__ import annotations

from tests.chaos.ground import Ground
from tests.chaos.pipeline import wait_for
from tests.chaos.traffic import records, simulate


def test_a_stalled_agent_turns_health_red_and_a_restart_helps(ground: Ground) -> None:
    simulation = simulate(100, seed=1)
    stream = list(records(simulation, 2, seed=1))
    with ground.siege(1, partitions=2, stalled_after="2s") as siege:
        switch = siege.pipeline.folder / "stall"
        worker = siege.start("accounts", "w1", hook="stall", CHAOS_FILE=str(switch))
        first = wait_for("its web server", lambda: worker.get("/ready")[0])
        assert first == 503, "it is not ready before it has its state"
        worker.wait_ready()
        siege.pipeline.feed(stream[: len(stream) // 2]).join()
        wait_for("the first half", lambda: siege.pipeline.lag() == 0)
        assert worker.get("/health")[0] == 200

        switch.touch()
        siege.pipeline.feed(stream[len(stream) // 2 :]).join()
        wait_for("red", lambda: worker.get("/health")[0] == 503)
        status, report = worker.get("/health")
        assert status == 503
        assert report["stalled"]
        assert worker.running
        assert "stalled for 2 s" in worker.tail()

        switch.unlink()
        # It goes on by itself, as its stall is over; a supervisor has no such luck.
        siege.leave(worker)
        worker = siege.start("accounts", "w1")
        worker.wait_ready()
        wait_for("the rest", lambda: siege.pipeline.lag() == 0)
        assert worker.get("/health")[0] == 200
        assert worker.get("/ready")[0] == 200
