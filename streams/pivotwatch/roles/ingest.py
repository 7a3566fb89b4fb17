"""The role ``ingest`` put together: topics of others by Faust, HTTP beside it or alone."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from faust.types import TP
from prometheus_client import CONTENT_TYPE_LATEST

from pivotwatch.base.errors import Fault, OutOfReach, WrongUse
from pivotwatch.config.config import Config
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.runtime import build_app, run_app
from pivotwatch.ingest.health import HttpOnlyWorker, IngestHealth
from pivotwatch.ingest.http_server import serve
from pivotwatch.ingest.metrics import IngestMetrics
from pivotwatch.ingest.settings import IngestSettings, read_settings, refuse_own_topics
from pivotwatch.ingest.worker import IngestShell


def run(config: Config, *, instance: str | None, until_end: bool, reset_state: bool) -> int:
    """Run the worker in this process, until a signal or the end of its input; returns its exit status.

    It has no state to forget.

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
    return run_app(config, "ingest", build_ingest(config, settings, instance, found), instance)


def build_ingest(
    config: Config, settings: IngestSettings, instance: str | None, found: dict[str, Any]
) -> Any:
    """Build the Faust app; ``found`` is what `pivotwatch.ingest.worker.look` gives."""
    names = [topic.name for topic in settings.topics]
    app = build_app(
        config,
        "ingest",
        instance,
        lambda app: IngestShell(app, config, settings, **found),
        sources=names,
    )
    shell = app.shell
    if settings.http is not None and found["until_end"] is None:

        async def listen() -> None:
            try:
                server, http_publisher = await serve(config, settings, found["partitions"], shell.metrics)
            except Fault as fault:
                shell.fail(fault)
                return
            shell.http_publisher = http_publisher
            try:
                await asyncio.Event().wait()
            finally:
                await server.stop()
                await http_publisher.stop()

        app.task(listen)
    return app


async def _serve_alone(config: Config, settings: IngestSettings, partitions: int) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    posts = HttpOnlyWorker()
    metrics, health = IngestMetrics(posts), IngestHealth(posts, config.stalled_after.total_seconds())
    server, posts.http_publisher = await serve(config, settings, partitions, metrics)
    watching = asyncio.create_task(health.watch(config, config.topic("requests")))
    try:
        pages = await _serve_pages(config, metrics, health)
        await stopped.wait()
        await pages.cleanup()
    finally:
        watching.cancel()
        await server.stop()
        await posts.http_publisher.stop()
    return 0


async def _serve_pages(config: Config, metrics: IngestMetrics, health: IngestHealth) -> web.AppRunner:
    """``/metrics``, ``/health`` and ``/ready``, as Faust serves them for the other roles."""

    def page(key: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(_: web.Request) -> web.Response:
            report = health.report()
            return web.json_response(report, status=200 if report[key] else 503)

        return answer

    async def text(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [web.get("/metrics", text), web.get("/health", page("alive")), web.get("/ready", page("ready"))]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    if config.web_port is not None:
        try:
            await web.TCPSite(runner, config.web_host, config.web_port).start()
        except OSError as error:
            await runner.cleanup()
            raise OutOfReach(f"web_port {config.web_port}: {error.strerror}") from None
    return runner


def look(config: Config, settings: IngestSettings, until_end: bool) -> dict[str, Any]:
    """What the broker knows: partitions of ``requests``, the topics of others, where they end.

    Raises
    ------
    OutOfReach
        When a topic is not there.
    """
    names = [topic.name for topic in settings.topics]
    with sync_client.consumer(config, isolation_level="read_committed") as client:
        requests = sync_client.partitions_of(client, config.topic("requests"))
        there = client.topics()
        for name in names:
            if name not in there:
                told = f"there is no topic {name}, which [ingest] topics names"
                raise OutOfReach(told + sync_client.or_hidden(config.sasl_username))
        theirs = [tp for name in names for tp in sync_client.partitions_of(client, name)]
        ends = client.end_offsets(theirs) if until_end and theirs else {}
    with sync_client.admin(config) as admin:
        described = admin.describe_topics(names) if names else []
    return {
        "partitions": len(requests),
        "identities": {topic["name"]: _identity(topic) for topic in described},
        "until_end": {TP(*tp): end for tp, end in ends.items()} if until_end else None,
    }


def _identity(topic: Mapping[str, Any]) -> str:
    """The name of a topic, and which topic of this name: one that is made anew begins at offset 0 again."""
    identity = str(topic.get("topic_id") or "").replace("-", "")
    return f"{topic['name']}:{identity}" if identity.strip("0") else str(topic["name"])
