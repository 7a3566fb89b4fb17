"""Health and metrics of the role ingest: partitions of several topics, and posts beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from aiokafka import TopicPartition

from pivotwatch.config.config import load
from pivotwatch.engine.health import JOINING
from pivotwatch.ingest.health import HTTP, HttpOnlyWorker, IngestHealth
from pivotwatch.ingest.http_publisher import HttpPublisher, Request
from pivotwatch.ingest.metrics import IngestMetrics, SourcePartition

LIMIT = 60.0


class Broker:
    """Says where partitions end."""

    def __init__(self, ends: Mapping[TopicPartition, int]) -> None:
        self.known = ends
        self.asked: list[TopicPartition] = []

    async def end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked = tps
        return {tp: self.known.get(tp, 0) for tp in tps}


class Sources(HttpOnlyWorker):
    """A worker with partitions."""

    def __init__(self, progress: dict[Any, int]) -> None:
        super().__init__()
        self.at = progress

    def progress(self) -> dict[Any, int]:
        return {**self.at, **super().progress()}


def look(health: IngestHealth, now: float, broker: Broker | None) -> list[Any]:
    ends = None if broker is None else asyncio.run(health.ends(broker, "requests"))
    health.look(now, health.worker.progress(), ends)
    return health.stalled


def test_partitions_of_several_topics_are_judged_by_name() -> None:
    broker = Broker({TopicPartition("llm-log", 0): 9, TopicPartition("spans", 0): 9})
    worker = Sources({"llm-log-0": 5, "spans-0": 9})
    health = IngestHealth(worker, LIMIT)
    assert [look(health, now, broker) for now in (0, 61)] == [[], ["llm-log-0"]]
    assert sorted(broker.asked) == sorted(broker.known)
    worker.at["llm-log-0"] = 6
    assert look(health, 62, broker) == []
    assert set(health.report()["partitions"]) == {"llm-log-0", "spans-0"}


def test_posts_that_are_not_answered_although_the_broker_is_there_are_a_stall() -> None:
    posts = HttpOnlyWorker()
    health = IngestHealth(posts, LIMIT)
    assert not posts.is_ready()
    http_publisher = posts.http_publisher = HttpPublisher(load(), 1)
    broker = Broker({})
    loop = asyncio.new_event_loop()
    assert posts.is_ready()
    assert [look(health, now, broker) for now in (0, 100)] == [[], []], "nothing waits"
    sent = loop.create_future()
    http_publisher.send(Request([], [], sent), 10)
    assert [look(health, now, broker) for now in (200, 261)] == [[], [HTTP]]
    assert look(health, 262, None) == [], "the broker is away: a restart would not help"
    assert look(health, 263, broker) == []
    assert look(health, 324, broker) == [HTTP]
    sent.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert (http_publisher.finished, http_publisher.total) == (1, 1)
    assert look(health, 325, broker) == []
    assert broker.asked == [TopicPartition("requests", 0)]


def test_joining_and_posts_go_together() -> None:
    worker = Sources({JOINING: 0})
    worker.http_publisher = HttpPublisher(load(), 1)
    health = IngestHealth(worker, LIMIT)
    assert [look(health, now, Broker({})) for now in (0, 61)] == [[], [JOINING]]
    assert health.report()["partitions"].keys() == {HTTP}


def test_metrics_name_the_partitions_and_what_posts_were_answered() -> None:
    class Worker:
        live: ClassVar = {"llm-log-0": SourcePartition(5, 0.0)}

        def end_of(self, name: str) -> int:
            return {"llm-log-0": 9}[name]

    metrics = IngestMetrics(Worker())
    metrics.posts.labels(503).inc()
    lines = metrics.text().decode().splitlines()
    for sample in (
        'pivotwatch_lag_records{partition="llm-log-0"} 4.0',
        'pivotwatch_processed_offset{partition="llm-log-0"} 5.0',
        "pivotwatch_assigned_partitions 1.0",
        'pivotwatch_http_posts_total{status="503"} 1.0',
    ):
        assert sample in lines
