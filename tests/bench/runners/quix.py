"""The counting operator in Quix Streams, which delivers one message at a time."""

from __future__ import annotations

import tempfile
from typing import Any

from quixstreams import Application, message_context

from pivotwatch.contracts.records import Line
from tests.bench.probe import Peer, Task
from tests.bench.runners.librdkafka import QUICK


def main(folder: str) -> None:
    task = Task.given()
    peer = Peer(task)
    app = Application(
        broker_address=task.brokers,
        consumer_group=task.group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        consumer_extra_config=QUICK,
        state_dir=folder,
        loglevel="ERROR",
    )
    source = app.topic(task.topic, key_deserializer="bytes", value_deserializer="bytes")
    out = app.topic(task.out, key_serializer="bytes", value_serializer="bytes")

    def take(value: bytes, key: bytes, timestamp: int, headers: Any) -> list[bytes]:
        context = message_context()
        line = Line(value, context.offset, timestamp, key)
        return [output.value for output in peer.take(context.partition, [line])]

    app.dataframe(source).apply(take, expand=True, metadata=True).to_topic(out)
    app.run()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)
