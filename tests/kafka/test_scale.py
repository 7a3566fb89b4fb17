"""Several workers and partitions give the alerts of a replay; see `tests.bench.scale`."""

from __future__ import annotations

from tests.bench.scale import Field, replayed, story


def test_two_workers_on_four_partitions_give_the_alerts_of_a_replay_over_one(broker: str) -> None:
    simulation = story(accounts=300, days=1.0)
    expected = replayed(simulation)
    found = Field(broker, 4, simulation).run(workers=2)
    assert found.alerts > 10
    assert (found.alerts, found.digest) == expected
