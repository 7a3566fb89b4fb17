"""Health and metrics of the role ingest, with partitions of several topics and with posts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from pivotwatch.config.config import load
from pivotwatch.engine.health import JOINING, Health
from pivotwatch.engine.types import TP
from pivotwatch.ingest.http_publisher import HttpPublisher, Request
from pivotwatch.ingest.settings import read_settings
from pivotwatch.ingest.worker import HTTP, IngestTask, SourcePartition
from tests.engine.rig import shell_of

LIMIT = 60.0
LOG, SPANS = TP("llm-log", 0), TP("spans", 0)
TOPICS = [{"name": "llm-log", "source": "litellm"}, {"name": "spans", "source": "otlp_json"}]


class Broker:
    """A broker that answers the end offsets of partitions."""

    def __init__(self, ends: Mapping[Any, int]) -> None:
        self.known = ends
        self.asked: list[TopicPartition] = []
        self.asked_for_topics = 0

    async def end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked = tps
        return {tp: self.known.get(tp, 0) for tp in tps}

    async def topics(self) -> set[str]:
        self.asked_for_topics += 1
        return set()


def shell(*topics: dict[str, str], http: bool = False, **live: int) -> Any:
    """A worker with partitions at these offsets."""
    table: dict[str, Any] = {"topics": list(topics)}
    if http:
        table["http"] = {"port": 0, "sources": ["native"], "allow_without_token": True}
    app = SimpleNamespace(consumer=SimpleNamespace(positions={}), unassigned=not topics, rebalancing=False)
    task = IngestTask(load(), read_settings(table), partitions=1, identities={})
    made = shell_of(app, task, *[topic["name"] for topic in topics])
    for name, offset in live.items():
        partition = SourcePartition(TP(name.replace("_", "-"), 0), lambda offset: None)
        partition.offset, partition.begun = offset, True
        made.live[partition.tp] = partition
    return made


def look(worker: Any, now: float, broker: Any) -> list[str]:
    health: Health = worker.health
    health.stalled_after = LIMIT
    ends = None if broker is None else asyncio.run(health.ends(broker))
    health.look(now, worker.progress(), ends)
    return health.stalled


def test_partitions_of_several_topics_are_checked_by_name() -> None:
    broker = Broker({LOG: 9, SPANS: 9})
    worker = shell(*TOPICS, llm_log=5, spans=9)
    assert [look(worker, now, broker) for now in (0, 61)] == [[], ["llm-log-0"]]
    assert sorted(broker.asked) == sorted(broker.known)
    worker.live[LOG].offset = 6
    assert look(worker, 62, broker) == []
    assert set(worker.health.report()["partitions"]) == {"llm-log-0", "spans-0"}


def test_unanswered_posts_with_a_running_broker_are_a_stall() -> None:
    worker = shell(http=True)
    assert not worker.is_ready()
    http_publisher = worker.task.http_publisher = HttpPublisher(load(), 1)
    broker = Broker({})
    loop = asyncio.new_event_loop()
    assert worker.is_ready()
    assert [look(worker, now, broker) for now in (0, 100)] == [[], []], "nothing waits"
    sent = loop.create_future()
    http_publisher.send(Request([], [], sent), 10)
    assert [look(worker, now, broker) for now in (200, 261)] == [[], [HTTP]]
    assert look(worker, 262, None) == [], "the broker is down, so a restart would not help"
    assert look(worker, 263, broker) == []
    assert look(worker, 324, broker) == [HTTP]
    sent.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert (http_publisher.finished, http_publisher.total) == (1, 1)
    assert look(worker, 325, broker) == []
    assert (broker.asked, broker.asked_for_topics) == ([], 7), "the broker was asked whether it answers"


def test_joining_the_group_and_posts_are_both_checked() -> None:
    worker = shell(TOPICS[0], http=True)
    worker.task.http_publisher = HttpPublisher(load(), 1)
    assert [look(worker, now, Broker({})) for now in (0, 61)] == [[], [JOINING]]
    assert worker.health.report()["partitions"].keys() == {HTTP}


def test_metrics_by_partition_and_by_answer() -> None:
    worker = shell(TOPICS[0], llm_log=5)
    worker.app.consumer.positions[LOG] = SimpleNamespace(end=9)
    worker.metrics.posts.labels(503).inc()
    lines = worker.metrics.text().decode().splitlines()
    for sample in (
        'pivotwatch_lag_records{partition="llm-log-0"} 4.0',
        'pivotwatch_processed_offset{partition="llm-log-0"} 5.0',
        "pivotwatch_assigned_partitions 1.0",
        'pivotwatch_http_posts_total{status="503"} 1.0',
    ):
        assert sample in lines
