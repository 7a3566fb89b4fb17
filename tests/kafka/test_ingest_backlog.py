"""Ingest sends a backlog of several partitions in the order of event time, however fast it reads each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch_models.settings import Settings
from tests.kafka.conftest import MakeTopic
from tests.kafka.engine_rig import Rig, rig
from tests.kafka.ingest_rig import fill, ingest_all, records

HOUR_MS = 3_600_000
START = 1_760_000_400_000
HOURS = 48
SETTINGS = Settings(bucket="1h", allowed_lateness="5m")


@pytest.fixture
def made(broker: str, topic_prefix: str, tmp_path: Path, make_topic: MakeTopic) -> Iterator[Rig]:
    """Two source topics: one with three partitions, one with one."""
    topics = [
        {"name": make_topic("log", 3), "source": "native"},
        {"name": make_topic("other", 1), "source": "native"},
    ]
    with rig(broker, topic_prefix, tmp_path, partitions=2, ingest={"topics": topics}) as it:
        yield it


def backlog(name: str, count: int, hours: float = HOURS, padding: int = 0) -> list[bytes]:
    """Events evenly over the hours, with ``padding`` extra bytes each."""
    step = hours * HOUR_MS / count
    return [
        orjson.dumps(
            {
                "id": f"{name}{i}",
                "ts": START + int(i * step),
                "account": f"{name}{i % 37}",
                "model": "m",
                "prompt": "x" * padding,
            }
        )
        for i in range(count)
    ]


def late_and_counted(made: Rig) -> tuple[int, int]:
    """Late and counted events of the counting operator over all of ``requests``."""
    late = counted = 0
    for partition, some in records(made, made.config.topic("requests")).items():
        step = CountingOperator(SETTINGS, partition, made.partitions)
        step.process(some)
        step.final()
        late += step.counters()["late"]
        counted += step.counters()["events"]
    return late, counted


def test_no_event_is_late_because_another_partition_is_read_faster(made: Rig) -> None:
    log, other = (topic["name"] for topic in made.config.ingest["topics"])
    dense, sparse, long = backlog("d", 60_000), backlog("s", 3_000), backlog("l", 20_000, padding=1_000)
    fill(made, log, [dense, sparse, long])
    fill(made, other, [backlog("o", 500, hours=HOURS / 2)])
    ingest_all(made)
    assert late_and_counted(made) == (0, 83_500)
