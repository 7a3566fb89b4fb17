"""Workers of the role ``ingest`` for tests, and their results in ``requests``."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaProducer
from kafka import TopicPartition

from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.engine.kafka import sync_client
from pivotwatch_models.settings import Settings
from tests.detection.stream import ANYBODY, counted
from tests.kafka.engine_rig import ROOT, Rig, Worker

COUNTING = Settings(allowed_lateness="1d", bucket="1d")


def ingest(made: Rig, *flags: str, instance: str = "i1", **env: str) -> Worker:
    """Start a worker."""
    log = made.folder / f"ingest-{len(made.workers)}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.kafka.ingest_rig", instance, *flags],
            env={**made.config.environment(), **env},
            cwd=ROOT,
            stderr=stream,
            stdout=stream,
        )
    worker = Worker(process, log)
    made.workers.append(worker)
    return worker


def ingest_all(made: Rig, **env: str) -> Worker:
    """Run a worker with ``--until-end``, and check its exit status."""
    worker = ingest(made, "--until-end", **env)
    ended = worker.wait()
    assert ended == 0, f"exit status {ended}\n{worker.text()[-4000:]}"
    return worker


def fill(made: Rig, topic: str, partitions: list[list[bytes]]) -> None:
    """Produce values to the partitions of a topic, with a key that is not an account."""

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=made.config.brokers, linger_ms=5) as producer:
            for number, values in enumerate(partitions):
                for value in values:
                    await producer.send(topic, value, key=b"some-key", partition=number)

    asyncio.run(send())


def records(made: Rig, topic: str) -> dict[int, list[Any]]:
    """All records of a topic, by partition, with their headers."""
    with sync_client.consumer(made.config) as client:
        tps = sync_client.partitions_of(client, topic)
        found: dict[int, list[Any]] = {tp.partition: [] for tp in tps}
        client.assign(tps)
        client.seek_to_beginning(*tps)
        ends = client.end_offsets(tps)
        while any(client.position(tp) < ends[tp] for tp in tps):
            for tp, some in client.poll(timeout_ms=200).items():
                found[tp.partition] += some
    return found


def counts(made: Rig) -> Counter[str]:
    """Requests per account, as the counting operator counts the records in ``requests``."""
    total: Counter[str] = Counter()
    for partition, some in records(made, made.config.topic("requests")).items():
        step = CountingOperator(COUNTING, partition, made.partitions, quorum=ANYBODY)
        assert step.process(some) == []
        for (_, account, *_), (requests, *_) in counted(step).items():
            total[account] += requests
    return total


def end_of(made: Rig, topic: str) -> int:
    """Sum of the end offsets of a topic."""
    with sync_client.consumer(made.config) as client:
        tps = sync_client.partitions_of(client, topic)
        return sum(client.end_offsets(tps).values())


def committed(made: Rig, topic: str, partitions: int) -> list[int]:
    """Committed offsets of the group, per partition."""
    from kafka import KafkaConsumer

    client = KafkaConsumer(bootstrap_servers=made.config.brokers, group_id=made.config.app_id("ingest"))
    try:
        return [client.committed(TopicPartition(topic, p)) or 0 for p in range(partitions)]
    finally:
        client.close()


def everything(made: Rig, topics: Iterable[str]) -> str:
    """Everything that was written: keys, values and headers of records, and logs."""
    told = [repr((r.key, r.value, r.headers)) for t in topics for s in records(made, t).values() for r in s]
    return "\n".join([*told, *(worker.text() for worker in made.workers)])


def main() -> int:
    """Run one worker. ``INGEST_TEST_SLOW_MS`` delays each record by this time and makes chunks small."""
    from pivotwatch.base.errors import Fault
    from pivotwatch.config.config import load
    from pivotwatch.engine.fetching.chunks import ChunkScheduler
    from pivotwatch.ingest.decoder import Decoder
    from pivotwatch.roles.registry import run_worker

    slow = float(os.environ.get("INGEST_TEST_SLOW_MS", "0")) / 1000
    if slow:
        ChunkScheduler.size = 200
        decode = Decoder.decode

        def slowly(self: Decoder, message: bytes | None, **how: Any) -> Any:
            time.sleep(slow)
            return decode(self, message, **how)

        Decoder.decode = slowly  # type: ignore[method-assign]
    instance, *flags = sys.argv[1:]
    logging.basicConfig(level="INFO", stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    try:
        return run_worker(load(), role="ingest", instance=instance, until_end="--until-end" in flags)
    except Fault as fault:
        print(f"fault: {fault}", file=sys.stderr)
        return fault.exit_status


if __name__ == "__main__":
    sys.exit(main())
