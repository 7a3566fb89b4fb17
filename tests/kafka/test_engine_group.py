"""Several workers in one group, idle partitions, transactions, and states that are refused."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from pivotwatch.contracts.bucket_content import Body
from pivotwatch.contracts.bucket_record import encode
from tests.kafka.engine_rig import Rig, events, rig, wait_for

SLOW = {"ENGINE_TEST_SLOW_MS": "0.5", "ENGINE_TEST_CHUNK": "200"}


@pytest.fixture
def made(broker: str, topic_prefix: str, tmp_path: Path) -> Iterator[Rig]:
    with rig(broker, topic_prefix, tmp_path, partitions=4) as it:
        yield it


def finals(made: Rig) -> Counter[str]:
    """The counts of all final records."""
    total: Counter[str] = Counter()
    for body in bodies(made, "final"):
        total.update(body["counts"])
    return total


def bodies(made: Rig, kind: str) -> list[dict[str, Any]]:
    """The distinct bucket records of one kind."""
    found = [orjson.loads(value.partition(b"\n")[0]) for value in made.distinct("buckets").values()]
    return [body for body in found if body.get("kind") == kind]


def another_partition_closes(made: Rig, bucket: int) -> None:
    """Produce the record by which workers know how far event time has come."""
    settings = made.config.settings
    (record,) = encode(0, bucket, bucket, Body(), width=settings.bucket_ms)
    assert record.value is not None
    made.produce_raw([(b"another", record.value)], "buckets")


def test_rebalances_during_a_chunk(made: Rig) -> None:
    stream = events(22_000)
    made.produce(stream)
    first = made.worker("accounts", "--until-end", instance="a", **SLOW)
    wait_for("the first worker", lambda: "at offset" in first.text())
    second = made.worker("accounts", "--until-end", instance="b", **SLOW)
    wait_for("the second worker", lambda: second.text().count("at offset") >= 2)
    assert first.process.poll() is None
    assert [worker.wait() for worker in (first, second)] == [0, 0]
    assert finals(made) == Counter(event["a"] for event in stream)
    assert len(bodies(made, "final")) == 4
    committed, ends = made.committed()
    assert committed == ends


@pytest.mark.long
def test_an_idle_partition_is_completed_in_the_same_way_after_kill_9(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    with rig(broker, topic_prefix, tmp_path, partitions=1, idle_after="1s") as made:
        another_partition_closes(made, 1)
        made.produce(events(3_000))
        # Killed after 64 shards, the manifest and the decision, before it sends the idle record.
        worker = made.worker("accounts", ENGINE_TEST_KILL_AT="66")
        worker.wait()
        assert not bodies(made, "idle")
        worker = made.worker("accounts")
        wait_for("the idle record", lambda: bodies(made, "idle"))
        assert [(body["b"], body["p"]) for body in bodies(made, "idle")] == [(1, 0)]
        # Events for a completed bucket are late; events for later buckets are counted.
        made.produce([{"a": "late", "t": 0}, {"a": "new", "t": 900}, {"a": "new", "t": 1_200}])
        wait_for("the next bucket", lambda: any(body["b"] == 9 for body in bodies(made, "bucket")))
        worker.process.terminate()
        assert worker.wait() == 0
        assert "late" not in {name for body in bodies(made, "bucket") for name in body["counts"]}
        assert bodies(made, "bucket")[-1]["late"] == 1


def test_only_committed_transactions_count(made: Rig) -> None:
    made.produce_raw([(b"x", orjson.dumps({"a": "x", "t": 1}))] * 10, commit=False)
    made.produce_raw([(b"x", orjson.dumps({"a": "x", "t": 2}))] * 7, commit=True)
    made.run("accounts")
    assert finals(made) == {"x": 7}
    committed, ends = made.committed()
    assert committed == ends, "the offset includes the marker at the end of the transaction"


@pytest.mark.long
def test_records_hidden_by_an_open_transaction_are_not_late(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Records of other producers after its start are hidden too. The partition only seems idle meanwhile."""

    async def run(made: Rig) -> None:
        async def send(producer: AIOKafkaProducer, partition: int, account: str, at: int) -> None:
            value = orjson.dumps({"a": account, "t": at})
            await producer.send_and_wait(made.config.topic("requests"), value, partition=partition)

        async with (
            AIOKafkaProducer(bootstrap_servers=broker) as plain,
            AIOKafkaProducer(bootstrap_servers=broker, transactional_id=f"{topic_prefix}slow") as slow,
        ):
            for partition in range(2):
                await send(plain, partition, "early", 10)
            await slow.begin_transaction()
            await send(slow, 0, "slow", 20)
            await send(plain, 0, "behind", 30)
            await asyncio.to_thread(made.worker, "accounts")
            # Nothing is completed before the event time of another partition is known.
            await asyncio.to_thread(another_partition_closes, made, 1)
            # Partition 0 is checked first: if it counted as idle, it would be completed by now.
            await asyncio.to_thread(wait_for, "a dry partition", lambda: bodies(made, "idle"))
            assert [body["p"] for body in bodies(made, "idle")] == [1]
            await slow.commit_transaction()
        await asyncio.to_thread(wait_for, "the other one", lambda: len(bodies(made, "idle")) > 1)
        counts = {body["p"]: body["counts"] for body in bodies(made, "bucket")}
        assert counts == {0: {"early": 1, "slow": 1, "behind": 1}, 1: {"early": 1}}

    with rig(broker, topic_prefix, tmp_path, partitions=2, idle_after="1s") as made:
        asyncio.run(run(made))


@pytest.mark.long
def test_records_deleted_by_retention_before_they_are_read_end_the_worker(
    broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    with rig(broker, topic_prefix, tmp_path, partitions=1) as made:
        made.produce(events(100))
        worker = made.worker("accounts")
        wait_for("a checkpoint", lambda: made.committed()[0] == [100])
        worker.process.send_signal(signal.SIGSTOP)
        made.produce(events(100))
        made.produce(events(1_000))
        admin = KafkaAdminClient(bootstrap_servers=broker)
        admin.delete_records({TopicPartition(made.config.topic("requests"), 0): 1_150})
        admin.close()
        worker.process.send_signal(signal.SIGCONT)
        assert worker.wait() == 2, worker.text()[-2000:]
        assert "only holds offsets from 1150 on: retention deleted the records" in worker.text()
        assert sum(made.committed()[0]) < 1_150


def test_a_state_that_does_not_fit_is_refused(made: Rig) -> None:
    stream = events(4_000)
    made.produce(stream)
    worker = made.worker("accounts")
    wait_for(
        "checkpoints", lambda: "at offset" in worker.text() and made.size(made.changelog("accounts")) >= 260
    )
    worker.process.terminate()
    assert worker.wait() == 0

    refused = made.run("accounts", status=2, PIVOTWATCH_THETA="4")
    assert "under settings" in refused.text()
    assert "--reset-state" in refused.text()

    # The changelog was deleted; the offsets of the group still exist.
    admin = KafkaAdminClient(bootstrap_servers=made.config.brokers)
    admin.delete_topics([made.changelog("accounts")])
    admin.close()
    refused = made.run("accounts", status=2)
    assert "the changelog was lost" in refused.text()
    made.run("accounts", "--reset-state", PIVOTWATCH_THETA="4")
    assert finals(made) == Counter(event["a"] for event in stream)


def test_a_second_worker_of_the_same_name_replaces_the_first(made: Rig) -> None:
    stream = events(4_000)
    made.produce(stream)
    first = made.worker("accounts")
    wait_for("the first worker", lambda: "at offset" in first.text())
    second = made.worker("accounts", "--until-end")
    assert first.wait() == 2, first.text()[-2000:]
    assert "another worker was started as --instance w1" in first.text()
    assert second.wait() == 0, second.text()[-2000:]
    assert finals(made) == Counter(event["a"] for event in stream)
