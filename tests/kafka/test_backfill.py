"""A history that arrives at workers which have waited for longer than ``idle_after``."""

from __future__ import annotations

import contextlib
import time
import urllib.request
from pathlib import Path

from pivotwatch.config.config import Config
from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch.simulation import generate
from pivotwatch_models.durations import parse_duration
from tests.bench.scale import distinct_groups
from tests.browser.pipeline import SCALE, SCENARIO, free_port, pipeline
from tests.kafka.engine_rig import wait_for

HOUR = 3_600_000
HOURS = 24


def is_ready(port: int) -> bool:
    """Whether a worker has its partitions."""
    with contextlib.suppress(OSError):
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5).status == 200)
    return False


def test_a_history_that_comes_to_waiting_workers_gives_the_alerts_of_a_replay(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    ports = {"web": free_port(), "accounts": free_port()}
    settings = {"idle_after": parse_duration("1s"), "web_ports": ports}
    with pipeline(broker, topic_prefix, tmp_path, **settings) as live:
        live.start("accounts")
        live.start("networks")
        wait_for("the worker", lambda: is_ready(ports["accounts"]))
        time.sleep(4)  # By the clock every bucket of the history has passed, so it would be closed by now.
        live.play(HOURS)
        wait_for("the last buckets", lambda: live.scored_at() >= live.released_at + (HOURS - 2) * HOUR, 120)
        assert live.records("dlq") == []
        found = list(distinct_groups(record.value for record in live.records("alerts")))

    simulation = generate(SCENARIO, seed=1, scale=SCALE)
    until = live.released_at + HOURS * HOUR
    lines = (line for one in simulation.slices() if one.begin < until for line in one.lines)
    replay = DetectionPipeline(Config().settings, releases=simulation.releases, partitions=1).run(lines)
    expected = list(distinct_groups(o.value for o in replay if o.topic == "alerts" and o.value))
    assert len(found) > 3
    assert found == expected[: len(found)]
    assert len(expected) - len(found) <= 2, "alerts of the buckets that are still open"
