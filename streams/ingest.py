"""The role ``ingest`` put together: topics of others by Faust, HTTP beside it or alone."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from streams.agents.http import serve
from streams.agents.ingest import IngestShell, look
from streams.config import Config
from streams.errors import Fault, WrongUse
from streams.fetch import FetchTransport
from streams.sources.settings import IngestSettings, read_settings, refuse_own_topics


def run_ingest(config: Config, *, instance: str | None, until_end: bool) -> int:
    """Run the worker in this process, until a signal or the end of its input.

    Raises
    ------
    Fault
        With a message for the operator.
    """
    settings = read_settings(config.ingest)
    if not settings.topics and settings.http is None:
        raise WrongUse("ingest has nothing to do: [ingest] names neither topics nor http")
    if until_end and not settings.topics:
        raise WrongUse("--until-end needs [[ingest.topics]]: posts have no end")
    refuse_own_topics(config, settings)
    found = look(config, settings, until_end)
    if not settings.topics:
        return asyncio.run(_serve_alone(config, settings, found["partitions"]))
    from streams.app import run_app

    return run_app(config, "ingest", build_ingest(config, settings, instance, found), instance)


def build_ingest(
    config: Config, settings: IngestSettings, instance: str | None, found: dict[str, Any]
) -> Any:
    """Build the Faust app; ``found`` is what `streams.agents.ingest.look` gives."""
    from streams.app import BUFFERED_CHUNKS, RoleApp, app_settings

    app = RoleApp(config.app_id("ingest"), **app_settings(config, instance))
    shell = IngestShell(app, config, settings, **found)
    app.shell = shell
    names = [topic.name for topic in settings.topics]
    app.transport = FetchTransport(
        app.conf.broker_consumer, app, chunked=names, resume=shell.resume, revoked=shell.drop
    )
    topic = app.topic(*names, key_serializer="raw", value_serializer="raw", maxsize=BUFFERED_CHUNKS)
    app.agent(topic, name="ingest", concurrency=1)(shell.run)
    app.task(shell.tend)
    if settings.http is not None and found["until_end"] is None:

        async def listen() -> None:
            try:
                server, poster = await serve(config, settings, found["partitions"])
            except Fault as fault:
                shell.fail(fault)
                return
            try:
                await asyncio.Event().wait()
            finally:
                await server.stop()
                await poster.stop()

        app.task(listen)
    return app


async def _serve_alone(config: Config, settings: IngestSettings, partitions: int) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server, poster = await serve(config, settings, partitions)
    await stopped.wait()
    await server.stop()
    await poster.stop()
    return 0
