"""Asks Kafka which logs its topics have: their ids, and where leader epochs end (kafka-python).

aiokafka knows neither. Nothing here raises when a broker does not answer: what is not known is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, UnknownTopicOrPartitionError
from kafka.protocol.consumer import OffsetForLeaderEpochRequest

from pivotwatch.base.errors import Fault
from pivotwatch.config.config import Config
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.log_position import GONE, Answer
from pivotwatch.engine.types import TP

NO_ID = "0" * 32
"""What a broker without topic ids answers."""


def ask(config: Config, epochs: Mapping[TP, Collection[int]]) -> Answer:
    """Ask for topics and leader epochs.

    Parameters
    ----------
    epochs
        The leader epochs of each partition; none when only the id of the topic is asked for.
    """
    ids: dict[str, str] = {}
    ends: dict[tuple[TP, int], int] = {}
    try:
        with sync_client.admin(config) as client:
            described = client.describe_topics(sorted({tp.topic for tp in epochs}))
            leaders = {
                TP(topic["name"], partition["partition_index"]): partition["leader_id"]
                for topic in described
                for partition in topic["partitions"]
            }
            ids.update((topic["name"], known) for topic in described if (known := _id(topic)))
            for leader, wanted in _by_leader(leaders, epochs).items():
                ends.update(_ends(client, leader, wanted))
    except (Fault, KafkaError, OSError, ValueError):
        pass  # As much as is known.
    return Answer(ids, ends)


def committed_metadata(config: Config, group: str) -> Mapping[TP, str] | None:
    """The text that a group has committed with each offset; None when no broker answers."""
    try:
        with sync_client.admin(config) as client:
            found = client.list_group_offsets([group])[group]
    except (Fault, KafkaError, OSError):
        return None
    return {TP(*tp): committed.metadata or "" for tp, committed in found.items()}


def _id(topic: Mapping[str, Any]) -> str:
    if topic["error_code"] == UnknownTopicOrPartitionError.errno:
        return GONE
    known = str(topic.get("topic_id") or "").replace("-", "")
    return "" if topic["error_code"] or known == NO_ID else known


def _by_leader(
    leaders: Mapping[TP, int], epochs: Mapping[TP, Collection[int]]
) -> dict[int, list[tuple[TP, int]]]:
    wanted: dict[int, list[tuple[TP, int]]] = defaultdict(list)
    for tp, some in epochs.items():
        if (leader := leaders.get(tp, -1)) >= 0:
            wanted[leader] += [(tp, epoch) for epoch in some]
    return {leader: asked for leader, asked in wanted.items() if asked}


def _ends(
    client: KafkaAdminClient, leader: int, wanted: Collection[tuple[TP, int]]
) -> dict[tuple[TP, int], int]:
    """Where epochs end. A request has each partition once."""
    found = {}
    rounds: dict[int, dict[TP, int]] = defaultdict(dict)
    for tp, epoch in wanted:
        rounds[sum(tp in asked for asked in rounds.values())][tp] = epoch
    for asked in rounds.values():
        try:
            response = client._manager.run(_send, client, leader, asked)
        except (KafkaError, OSError):
            continue
        for topic in response.topics:
            for partition in topic.partitions:
                tp = TP(topic.topic, partition.partition)
                if partition.error_code == 0 and partition.end_offset >= 0:
                    found[tp, asked[tp]] = partition.end_offset
    return found


async def _send(client: KafkaAdminClient, leader: int, asked: Mapping[TP, int]) -> Any:
    by_topic: dict[str, list[Any]] = defaultdict(list)
    for tp, epoch in asked.items():
        by_topic[tp.topic].append(
            OffsetForLeaderEpochRequest.OffsetForLeaderTopic.OffsetForLeaderPartition(
                partition=tp.partition, current_leader_epoch=-1, leader_epoch=epoch
            )
        )
    request = OffsetForLeaderEpochRequest(replica_id=-1, topics=list(by_topic.items()))
    return await client._manager.send(request, node_id=leader)
