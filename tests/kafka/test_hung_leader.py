"""A broker that hangs: the worker goes on soon after the cluster has chosen another leader."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.errors import KafkaError

from infra.kafka.local import LocalKafka
from infra.kafka.supervisor import free_port
from pivotwatch.base.errors import OutOfReach
from pivotwatch.engine.kafka import sync_client
from tests.kafka.engine_rig import Rig, events, rig, wait_for

BROKERS = 3
MOST_SECONDS = 30.0
"""From the failover of the cluster to the progress of the worker."""
REPLICATED = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
}


@contextlib.contextmanager
def cluster() -> Iterator[list[LocalKafka]]:
    """Yield three brokers that are controllers at once."""
    controllers: list[int] = []
    while len(controllers) < BROKERS:
        controllers = sorted({*controllers, free_port()})
    voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(controllers, 1))
    brokers = [
        LocalKafka(
            provider="java",
            heap="320m",
            settings={
                **REPLICATED,
                "node.id": str(node),
                "controller.quorum.voters": voters,
                "listeners": f"PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{port}",
            },
        )
        for node, port in enumerate(controllers, 1)
    ]
    threads = [threading.Thread(target=broker.start) for broker in brokers]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield brokers
    finally:
        for broker in brokers:
            if (pid := broker.pid) is not None:
                os.kill(pid, signal.SIGCONT)
            broker.close()


def is_led_by(made: Rig, node: int) -> bool:
    """Whether a node leads any partition of the worker, or no broker says."""
    topics = [made.config.topic("requests"), made.config.topic("buckets"), made.changelog("accounts")]
    try:
        with sync_client.admin(made.config) as admin:
            described = admin.describe_topics([*topics, "__consumer_offsets"])
    except OutOfReach:
        return True
    leaders = {partition["leader_id"] for topic in described for partition in topic["partitions"]}
    return bool(leaders & {node, -1})


def has_counted(made: Rig, count: int) -> bool:
    """Whether the worker has committed an offset, as far as a broker says."""
    try:
        return made.committed()[0] == [count]
    except KafkaError:
        return False


def balance(made: Rig) -> None:
    """Let every node lead again what it should, as Kafka does by itself after minutes."""

    def balanced() -> bool:
        try:
            with sync_client.admin(made.config) as admin:
                admin.elect_leaders(0, raise_errors=False)
                described = admin.describe_topics()
        except (OutOfReach, KafkaError):
            return False
        partitions = [partition for topic in described for partition in topic["partitions"]]
        return all(one["leader_id"] == one["replica_nodes"][0] for one in partitions)

    wait_for("the leaders of before", balanced)


@pytest.mark.long
def test_a_worker_goes_on_after_its_leader_hangs(topic_prefix: str, tmp_path: Path) -> None:
    with (
        cluster() as brokers,
        rig(
            ",".join(broker.address for broker in brokers),
            topic_prefix,
            tmp_path,
            partitions=1,
            replication_factor=3,
            min_insync_replicas=2,
        ) as made,
    ):
        made.produce(events(300))
        worker = made.worker("accounts")
        wait_for("the events", lambda: has_counted(made, 300))
        everyone = made.config
        for node in range(1, BROKERS + 1):  # Each leads something: the input, an output, the group.
            wait_for("a part of the work", lambda node=node: is_led_by(made, node))
            others = ",".join(broker.address for number, broker in enumerate(brokers, 1) if number != node)
            made.config = everyone.model_copy(update={"brokers": others})
            pid = brokers[node - 1].pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            began = time.monotonic()
            wait_for("another leader", lambda node=node: not is_led_by(made, node))
            failed_over = time.monotonic()
            made.produce(events(300))
            wait_for("progress", lambda node=node: has_counted(made, 300 + 300 * node), deadline=300)
            seconds = time.monotonic() - failed_over
            print(f"node {node}: failover after {failed_over - began:.0f} s, progress {seconds:.0f} s later")
            assert worker.process.poll() is None
            assert seconds < MOST_SECONDS
            os.kill(pid, signal.SIGCONT)
            made.config = everyone
            balance(made)
