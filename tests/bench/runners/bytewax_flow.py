"""The counting operator in Bytewax, which delivers batches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

from pivotwatch.contracts.records import Line
from tests.bench.probe import Peer, Task
from tests.bench.runners.librdkafka import QUICK

Batch = list[KafkaSourceMessage[bytes, bytes]]
BATCH = 5_000


def main() -> None:
    task = Task.given()
    peer = Peer(task)

    def take(batch: Batch) -> Iterator[KafkaSinkMessage[bytes, bytes]]:
        for partition, messages in groupby(batch, key=lambda m: m.partition):
            lines = [Line(m.value, m.offset, m.timestamp[1], m.key) for m in messages]
            for output in peer.take(partition, lines):
                yield KafkaSinkMessage(output.key, output.value)

    flow = Dataflow("bench")
    source = KafkaSource(
        [task.brokers],
        [task.topic],
        batch_size=BATCH,
        add_config={name: str(value) for name, value in QUICK.items()},
    )
    read = op.input("read", flow, source)
    outputs = op.flat_map_batch("take", read, take)
    op.output("write", outputs, KafkaSink([task.brokers], task.out))
    run_main(flow)


if __name__ == "__main__":
    main()
