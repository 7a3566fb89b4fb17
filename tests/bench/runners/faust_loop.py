"""A plain Faust loop: one event at a time, through the counting operator or two dictionaries."""

from __future__ import annotations

from typing import Any

import faust

from pivotwatch.contracts.records import Line
from tests.bench.probe import Peer, Task


class App(faust.App):
    """A Faust app that stores nothing on disk."""

    def _create_directories(self) -> None:
        pass


def main() -> None:
    task = Task.given()
    peer = Peer(task)
    app = App(
        task.group,
        broker=f"kafka://{task.brokers}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
    )
    source = app.topic(task.topic, key_serializer="raw", value_serializer="raw")
    out = app.topic(task.out, key_serializer="raw", value_serializer="raw")

    async def loop(stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            line = Line(event.value, message.offset, int(message.timestamp * 1000), message.key)
            for output in peer.take(message.partition, [line]):
                await out.send(key=output.key, value=output.value)

    app.agent(source, name="loop")(loop)
    faust.Worker(app, loglevel="error", quiet=True, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
