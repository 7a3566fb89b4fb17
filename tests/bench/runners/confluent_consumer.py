"""Only reads with the librdkafka consumer, which Quix Streams and Bytewax use."""

from __future__ import annotations

from confluent_kafka import Consumer

from tests.bench.probe import Peer, Task
from tests.bench.runners.librdkafka import QUICK


def main() -> None:
    task = Task.given()
    peer = Peer(task)
    consumer = Consumer(
        {
            "bootstrap.servers": task.brokers,
            "group.id": task.group,
            "auto.offset.reset": "earliest",
            **QUICK,
        }
    )
    consumer.subscribe([task.topic])
    while True:
        messages = consumer.consume(10_000, 0.1)
        if messages:
            peer.take(0, messages)


if __name__ == "__main__":
    main()
